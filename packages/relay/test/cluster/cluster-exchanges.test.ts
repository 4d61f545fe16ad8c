/** Callers that wait for a vendor's answer, at the relay that has the lane or at another one. */
import { expect, test } from "vitest";
import type { ClusterEnvironment } from "../../src/cluster/cluster-environment.ts";
import type { ExchangeAnswer } from "../../src/delivery/exchanges.ts";
import { DEADLINE_MS, ExchangeWorld } from "./lib/exchange-world.ts";

const USERS = Array.from({ length: 8 }, (_, index) => `user-${index}`);
/** Longer than it takes to store, read and send. */
const SOON_MS = 500;

test("callers at either relay get the vendor's answer, whichever has the lane", async () => {
  const world = new ExchangeWorld();
  const relays = await world.openTwo();
  for (const relay of relays) {
    const before = world.hops;
    for (const user of USERS) {
      expect(await world.timed(world.answerTo(relay, user))).toEqual({ answer: 201, tookS: 0 });
    }
    expect(world.hops - before).toBeGreaterThan(0);
    expect(world.hops - before).toBeLessThan(USERS.length);
  }
});

test.each(["trophy", "getfluxly"] as const)(
  "who asks after %s has answered gets the answer all the same, for 30 s",
  async (vendor) => {
    let delayMs = 9_000;
    const world: ExchangeWorld = new ExchangeWorld({
      vendor,
      hop: async (answer) => {
        await new Promise<void>((resume) => world.clock.after(delayMs, resume));
        return answer();
      },
    });
    const [one] = await world.openTwo();
    const elsewhere = await elsewhereOf(world, one);
    expect(await world.timed(world.answerTo(one, elsewhere))).toEqual({ answer: 201, tookS: 9 });
    delayMs = 31_000;
    expect(await world.timed(world.answerTo(one, elsewhere))).toEqual({ answer: "nobody", tookS: 31 });
  },
);

/** A user whose lane is not at this relay. */
async function elsewhereOf(world: ExchangeWorld, relay: ClusterEnvironment): Promise<string> {
  for (const user of USERS) {
    const before = world.hops;
    await world.timed(world.answerTo(relay, user));
    if (world.hops > before) return user;
  }
  throw new Error("all lanes are here");
}

test("a vendor that is silent is waited for until the deadline, here and there", async () => {
  const world = new ExchangeWorld();
  const [one] = await world.openTwo();
  world.isSilent = true;
  for (const user of USERS)
    expect(await world.timed(world.answerTo(one, user))).toEqual({ answer: undefined, tookS: 10 });
  expect(world.hops).toBeGreaterThan(0);
});

test("a caller whose lane goes to another relay hears that its event is stored", async () => {
  const world = new ExchangeWorld({ partitions: 2 });
  const [one, two] = await world.openTwo();
  world.isSilent = true;
  const answers = USERS.map((user) => world.timed(world.answerTo(one, user)));
  await world.clock.advance(SOON_MS);
  await world.close(two);
  const ended = await Promise.all(answers);
  expect(new Set(ended.map(({ answer }) => answer))).toEqual(new Set(["nobody", undefined]));
  for (const { answer, tookS } of ended) expect(tookS >= 9).toBe(answer === undefined);
});

test("a relay that stops waits for other relays no longer", async () => {
  const world = new ExchangeWorld({ hop: () => new Promise(() => undefined) });
  const [one] = await world.openTwo();
  const answers = USERS.map((user) => world.timed(world.answerTo(one, user)));
  await world.clock.advance(SOON_MS);
  await world.close(one);
  expect(new Set((await Promise.all(answers)).map(({ answer }) => answer))).toEqual(new Set(["nobody", 201]));
  expect(world.hops).toBeGreaterThan(0);
});

test("the answer is that of the vendor's first destination, whose lane may be at another relay", async () => {
  const world = new ExchangeWorld({ destinations: ["first", "second"] });
  const relays = await world.openTwo();
  for (const relay of relays)
    for (const user of USERS) {
      const answer = await awaited(world, world.answerTo(relay, user));
      expect(JSON.stringify(answer)).toContain("http://first.test/");
    }
  expect(world.urls.some((url) => url.startsWith("http://second.test/"))).toBe(true);
});

async function awaited(world: ExchangeWorld, answering: Promise<ExchangeAnswer>): Promise<ExchangeAnswer> {
  await world.timed(answering);
  return answering;
}

test("without a destination of the vendor nobody is waited for", async () => {
  const world = new ExchangeWorld();
  const one = await world.openOne();
  const stored = { first: undefined, place: { partition: 0, offset: 0, count: 1 } };
  const exchange = { source: "app", vendor: "getfluxly", stored } as const;
  expect(await one.exchanges.answerTo(exchange, DEADLINE_MS)).toBe("nobody");
});

test("a copy is not sent, and its caller hears that it is stored", async () => {
  const world = new ExchangeWorld({ vendor: "getfluxly", partitions: 1 });
  const one = await world.openOne();
  const event = { user_id: "u", previous_id: "p", message_id: "m-1" };
  const alias = (): Promise<ExchangeAnswer> => world.exchange(one, "/v1/identify/alias", event);
  expect(await world.timed(alias())).toMatchObject({ answer: 201 });
  expect(await world.timed(alias())).toMatchObject({ answer: "nobody" });
  expect(world.urls).toHaveLength(1);
});

test("a relay that does not have the lane, or the record, says so", async () => {
  const world = new ExchangeWorld({ partitions: 1 });
  const one = await world.openOne();
  const place = { environment: "test", destination: "first", partition: 0, offset: 0 };
  expect(await one.answerHere({ ...place, partition: 7 }, 1)).toBe("nobody");
  expect(await one.answerHere({ ...place, destination: "other" }, 1)).toBe("nobody");
  expect(await world.timed(one.answerHere({ ...place, offset: 99 }, 1_000))).toEqual({ answer: "nobody", tookS: 1 });
});

test("the time that it takes to read the record is a part of the wait, and one caller waits for it", async () => {
  const world = new ExchangeWorld({ partitions: 1 });
  const one = await world.openOne();
  world.isSilent = true;
  const place = { environment: "test", destination: "first", partition: 0, offset: 0 };
  const waiting = world.timed(one.answerHere(place, 4_500));
  await world.clock.advance(3_000);
  void world.answerTo(one, "user");
  await world.clock.advance(SOON_MS);
  expect(await world.timed(one.answerHere(place, 4_500))).toEqual({ answer: "nobody", tookS: 0 });
  expect(await waiting).toEqual({ answer: undefined, tookS: 4 });
});
