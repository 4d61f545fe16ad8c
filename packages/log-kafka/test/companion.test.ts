import {
  type Broker,
  BrokerError,
  type FetchRequest,
  type PartitionLogOptions,
  type ProduceRequest,
} from "@waybill/log-kafka";
import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { entryOf, makeWorld, readAll, TOPIC, textsOf, within } from "./lib/world.ts";

const WRITTEN: Partial<PartitionLogOptions> = { positions: "written" };

/** What becomes of a produce call whose answer is lost. */
type Fate = "done" | "not done" | "later" | "answered";

/** Produce calls end as `next` tells: the answer of all but `answered` is lost. */
function unsure(
  broker: Broker,
  next: () => Fate,
): { readonly broker: Broker; readonly late: (() => Promise<unknown>)[] } {
  const late: (() => Promise<unknown>)[] = [];
  const produce = async (request: ProduceRequest): Promise<{ readonly offset: number }> => {
    const fate = next();
    if (fate === "answered") return broker.produce(request);
    if (fate === "done") await broker.produce(request);
    if (fate === "later") late.push(() => broker.produce(request));
    throw new BrokerError("timeout", "no answer in time");
  };
  const changed = new Proxy(broker, {
    get: (target, name: keyof Broker) => (name === "produce" ? produce : target[name].bind(target)),
  });
  return { broker: changed, late };
}

test("entries that come together share a produce call, and get their places in order", async () => {
  const { broker, open } = await makeWorld();
  let calls = 0;
  const counted = unsure(broker, () => {
    calls += 1;
    return "answered";
  });
  const log = await open({ ...WRITTEN, broker: counted.broker });
  const first = log.append(entryOf(["a", "b"]));
  const others = Promise.all(["c", "d", "e"].map((text) => log.append(entryOf([text]))));
  expect(await first).toBe(0);
  expect(await others).toEqual([2, 3, 4]);
  expect(calls).toBe(2);
  expect(textsOf(await readAll(log))).toEqual(["a", "b", "c", "d", "e"]);
  await expect((await open()).append(entryOf(["x"]))).rejects.toMatchObject({ code: "WAYBILL_OPTIONS" });
});

test("a call whose answer was lost is repeated, and its copies count once, for every reader", async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = new SeededRandom(seed);
    const { broker, clock, open } = await makeWorld();
    const fates: readonly Fate[] = ["done", "not done", "later", "answered"];
    const chosen = unsure(broker, () => fates[Math.floor(random.next() * fates.length)] as Fate);
    const log = await open({ ...WRITTEN, broker: chosen.broker });
    const places = new Map<string, number>();
    for (let index = 0; index < 20; index++) {
      const texts = [`e${index}`, ...(random.next() < 0.5 ? [`f${index}`] : [])];
      places.set(`e${index}`, await within(clock, log.append(entryOf(texts))));
      // What was on its way for long arrives between others, or at the end.
      if (random.next() < 0.3) await chosen.late.shift()?.();
    }
    for (const arrive of chosen.late) await arrive();
    await clock.advance(10);
    const records = await readAll(log);
    expect(new Set(textsOf(records)).size, `seed ${seed}`).toBe(textsOf(records).length);
    for (const [text, position] of places) expect(textsOf(records)[position]).toBe(text);
    for (const from of ["first", "end"] as const) {
      const again = await open({ ...WRITTEN, from });
      expect({ head: again.head, texts: textsOf(await readAll(again, 0)) }).toEqual({
        head: log.head,
        texts: textsOf(records),
      });
    }
  }
});

test("of a replaced owner and its successor one gets a place; the other's entry is written again or not counted", async () => {
  const { broker, clock, open } = await makeWorld();
  const zombie = unsure(broker, () => "later");
  const before = await open({ ...WRITTEN, broker: zombie.broker, giveUpAfterMs: 1_000 });
  const refused = expect(before.append(entryOf(["from the zombie"]))).rejects.toMatchObject({
    code: "WAYBILL_LOG_UNAVAILABLE",
    retryable: true,
  });
  await clock.advance(20_000);
  await refused;
  const owner = await open(WRITTEN);
  expect(await owner.append(entryOf(["a"]))).toBe(0);
  // Its place is taken: nobody counts it.
  await zombie.late[0]?.();
  expect(textsOf(await readAll(owner))).toEqual(["a"]);
  const held = before.append(entryOf(["b of the zombie"]));
  void held.catch(() => undefined);
  await clock.advance(10);
  // It comes before what the owner writes for the same place, which is written for the next one.
  const other = unsure(broker, () => {
    void zombie.late.at(-1)?.();
    return "answered";
  });
  const next = await open({ ...WRITTEN, broker: other.broker });
  expect(await within(clock, next.append(entryOf(["b"])))).toBe(2);
  expect(textsOf(await readAll(owner))).toEqual(["a", "b of the zombie", "b"]);
  await before.close();
  await expect(within(clock, held)).resolves.toBe(1);
});

test("an append that cannot be made is rejected, tells why, and the next one works", async () => {
  const { broker, clock, open } = await makeWorld();
  let works = false;
  const chosen = unsure(broker, () => (works ? "answered" : "not done"));
  const log = await open({ ...WRITTEN, broker: chosen.broker });
  const appended = log.append(entryOf(["a"]));
  const refused = expect(appended).rejects.toMatchObject({ code: "WAYBILL_LOG_UNAVAILABLE", reason: "timeout" });
  const barrier = expect(log.barrier()).rejects.toMatchObject({ retryable: true });
  await clock.advance(10_000);
  expect(log.lastError).toContain("no answer in time");
  await clock.advance(60_000);
  await refused;
  await barrier;
  works = true;
  expect(await within(clock, log.append(entryOf(["b"])))).toBe(0);
  expect(log.lastError).toBeUndefined();
  works = false;
  const open2 = expect(log.append(entryOf(["c"]))).rejects.toMatchObject({ code: "WAYBILL_CLOSED" });
  await clock.advance(100);
  await log.close();
  await open2;
});

test("a long log of which only the end was read has its first position and its head, and reads from anywhere", async () => {
  const { broker, open } = await makeWorld();
  const log = await open(WRITTEN);
  for (let index = 0; index < 400; index++) await log.append(entryOf([`e${index}`, `f${index}`]));
  await broker.removeBefore({ topic: TOPIC, partition: 0, offset: 20, deadlineMs: 100 });
  let fetched = 0;
  const counted = new Proxy(broker, {
    get: (target, name: keyof Broker) =>
      name === "fetch"
        ? async (request: FetchRequest) => {
            const answer = await broker.fetch(request);
            fetched += answer.records.length;
            return answer;
          }
        : target[name].bind(target),
  });
  const again = await open({ ...WRITTEN, broker: counted, from: "end" });
  expect({ first: again.first, head: again.head, exact: again.isFirstExact }).toEqual({
    first: 40,
    head: 800,
    exact: true,
  });
  expect(fetched).toBeLessThan(300);
  expect(textsOf(await readAll(again, 100)).slice(0, 2)).toEqual(["e50", "f50"]);
  expect(textsOf(await readAll(again)).length).toBe(760);
  expect(await again.append(entryOf(["next"]))).toBe(800);
});

test("a record above the topic's limit is refused alone", async () => {
  const { clock, open } = await makeWorld({ "max.message.bytes": "2000" });
  const log = await open(WRITTEN);
  await expect(within(clock, log.append(entryOf(["x".repeat(3_000)])))).rejects.toMatchObject({
    code: "WAYBILL_EVENT",
    reason: "size",
  });
  expect(await log.append(entryOf(["a"]))).toBe(0);
});

test("a log of which everything was removed does not give positions again, where a checkpoint tells of them", async () => {
  const { open } = await makeWorld();
  const log = await open({ ...WRITTEN, markEveryBytes: 1 });
  for (const text of ["a", "b", "c"]) await log.append(entryOf([text, text]));
  const { checkpoint } = log;
  await log.removeBefore(6);
  expect({ first: log.first, head: log.head }).toEqual({ first: 6, head: 6 });
  await log.close();
  const again = await open({ ...WRITTEN, checkpoint });
  expect(await again.append(entryOf(["d"]))).toBe(6);
  const third = await open(WRITTEN);
  expect({ first: third.first, head: third.head }).toEqual({ first: 6, head: 7 });
});

test("an append whose answer does not come is answered as soon as its record is read back", async () => {
  const { broker, clock, open } = await makeWorld();
  const silent = new Proxy(broker, {
    get: (target, name: keyof Broker) =>
      name === "produce"
        ? (request: ProduceRequest) => broker.produce(request).then(() => new Promise(() => undefined))
        : target[name].bind(target),
  });
  const log = await open({ ...WRITTEN, broker: silent });
  const before = clock.monotonic();
  expect(await within(clock, log.append(entryOf(["a"])))).toBe(0);
  expect(clock.monotonic() - before).toBeLessThan(100);
});

test("where it matters, what waits is rejected once another writer's value was read", async () => {
  const { broker, clock, open } = await makeWorld();
  const owner = await open(WRITTEN);
  const zombie = unsure(broker, () => "later");
  const before = await open({ ...WRITTEN, broker: zombie.broker, rejectsAfterOthers: true });
  const written = before.append(entryOf(["a"]));
  await clock.advance(10);
  const held = before.append(entryOf(["b"]));
  const refused = expect(held).rejects.toMatchObject({
    code: "WAYBILL_LOG_UNAVAILABLE",
    reason: "overtaken",
    retryable: true,
  });
  await zombie.late[0]?.();
  await clock.advance(10);
  expect(await written).toBe(0);
  expect(await owner.append(entryOf(["b of its successor"]))).toBe(1);
  await clock.advance(20_000);
  await refused;
  for (const arrive of zombie.late) await arrive();
  await clock.advance(10);
  expect(textsOf(await readAll(owner))).toEqual(["a", "b of its successor"]);
  const again = expect(before.append(entryOf(["c"]))).rejects.toMatchObject({ reason: "timeout" });
  await clock.advance(60_000);
  await again;
});
