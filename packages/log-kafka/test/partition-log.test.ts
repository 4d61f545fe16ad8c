import type { FindOptions } from "@waybill/log";
import { type Broker, BrokerError, encodeValue, type FetchRequest } from "@waybill/log-kafka";
import { settle } from "@waybill/testing";
import { expect, test } from "vitest";
import { entryOf, makeWorld, readAll, TOPIC, textsOf, within } from "./lib/world.ts";

const value = (...texts: readonly string[]): Uint8Array => encodeValue(entryOf(texts));

/** A broker of which some calls are answered otherwise. */
function altered(broker: Broker, changes: Partial<Broker>): Broker {
  return new Proxy(broker, {
    get(target, name: keyof Broker) {
      const own = changes[name] ?? target[name];
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

test("positions are dense, counted from a checkpoint, whoever appended", async () => {
  const { open, produce } = await makeWorld();
  await produce(value("a", "b"), value("c"));
  const log = await open();
  expect({ head: log.head, first: log.first, exact: log.isFirstExact }).toEqual({ head: 3, first: 0, exact: true });
  const { checkpoint } = log;
  expect(checkpoint).toMatchObject({ offset: 2, position: 3, byte: log.headByte });
  await produce(value("d", "e"));
  const later = await open({ checkpoint });
  expect({ head: later.head, first: later.first, exact: later.isFirstExact }).toEqual({
    head: 5,
    first: 3,
    exact: false,
  });
  expect(textsOf(await readAll(later))).toEqual(["d", "e"]);
  // What is before is counted when somebody reads it.
  expect((await readAll(later, 1)).map(({ first }) => first)).toEqual([0, 2, 3]);
  expect({ first: later.first, exact: later.isFirstExact, firstByte: later.firstByte }).toEqual({
    first: 0,
    exact: true,
    firstByte: 0,
  });
});

test("what is before a checkpoint is known at once where somebody begins to read there", async () => {
  const { open, produce } = await makeWorld();
  for (const text of ["a", "b", "c", "d"]) await produce(value(text, `${text}!`));
  const log = await open({ checkpoint: { offset: 3, position: 6, byte: 999 }, from: 1 });
  expect(log.first).toBe(2);
  expect(log.headByte - 999).toBe(value("d", "d!").length);
  expect(log.firstByte).toBe(999 - 2 * value("d", "d!").length);
  expect(textsOf(await readAll(log))).toEqual(["b", "b!", "c", "c!", "d", "d!"]);
  expect(await log.offsetOf(5)).toEqual({ offset: 2, index: 1 });
  expect(await log.placeOf(2)).toMatchObject({ offset: 2, position: 4 });
  expect(await log.placeOf(0)).toMatchObject({ offset: 0, position: 0 });
  expect(await log.offsetOf(8)).toBeUndefined();
  expect(log.placeBefore(7)).toMatchObject({ offset: 3, position: 6 });
});

test("the offset of a position is that of its record, also where one call has written many", async () => {
  const { open, produce } = await makeWorld();
  // More than a reader remembers the places of.
  await produce(...Array.from({ length: 5_000 }, (_, index) => value(`${index}`, `${index}!`)));
  const log = await open({ recentMaxBytes: 0 });
  const found = await Promise.all([0, 1, 2, 5, 6_001, 9_999, 10_000].map((position) => log.offsetOf(position)));
  expect(found).toEqual([
    { offset: 0, index: 0 },
    { offset: 0, index: 1 },
    { offset: 1, index: 0 },
    { offset: 2, index: 1 },
    { offset: 3_000, index: 1 },
    { offset: 4_999, index: 1 },
    undefined,
  ]);
});

test("what a reader has read last is known by its place, also amid a large batch", async () => {
  const { open, produce } = await makeWorld();
  await produce(...Array.from({ length: 5_000 }, () => value("e")));
  const log = await open({ recentMaxBytes: 0 });
  const reader = log.reader({ position: 0 });
  await reader.read(300 * value("e").length);
  expect(log.placeBefore(200)).toMatchObject({ offset: 200, position: 200 });
});

test("values that are not ours are fetched once more together, and not one by one", async () => {
  const { broker, open, produce } = await makeWorld();
  await produce(value("a"), ...Array.from({ length: 100 }, () => Buffer.from("foreign")), value("b"));
  let fetches = 0;
  const fetch = (request: FetchRequest): ReturnType<Broker["fetch"]> => {
    fetches += 1;
    return broker.fetch(request);
  };
  const log = await open({ broker: altered(broker, { fetch }) });
  expect(log.head).toBe(2);
  expect(fetches).toBeLessThan(10);
});

test("the position of a record that was read is known by its offset, and of nothing else", async () => {
  const { open, produce } = await makeWorld();
  await produce(value("a", "b"), Buffer.from("foreign"), value("c"));
  const log = await open();
  expect([0, 1, 2, 3].map((offset) => log.recentPosition(offset))).toEqual([0, undefined, 2, undefined]);
  const later = await open({ checkpoint: { offset: 1, position: 2, byte: 0 } });
  expect([0, 1, 2, 3].map((offset) => later.recentPosition(offset))).toEqual([undefined, undefined, 2, undefined]);
});

test("what does not decode counts as no event and no byte, for every reader", async () => {
  const { open, produce } = await makeWorld();
  const damaged = Uint8Array.from(value("damaged"));
  damaged[58] = (damaged[58] ?? 0) ^ 1;
  await produce(value("a"), Buffer.from("foreign"), damaged, new Uint8Array(0), value("b"), Buffer.from("at the end"));
  const log = await open();
  expect(log.head).toBe(2);
  const reader = log.reader({ position: 0 });
  const records = await reader.read(10_000);
  expect(records.map(({ first }) => first)).toEqual([0, 1]);
  expect(reader.cursor).toEqual({ position: 2, byte: records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) });
  expect(await reader.read(10_000)).toEqual([]);
  await produce(value("c"));
  await settle();
  expect(textsOf(await reader.read(10_000))).toEqual(["c"]);
});

test("a value that was damaged on its way is fetched again before it counts as nothing", async () => {
  const { broker, open, produce } = await makeWorld();
  await produce(value("a"), value("b", "c"), value("d"));
  let turned = 0;
  const flaky = altered(broker, {
    fetch: async (request: FetchRequest) => {
      const fetched = await broker.fetch(request);
      const records = fetched.records.map((one) => {
        if (one.offset !== 1 || turned++ % 2 !== 0) return one;
        const bytes = Uint8Array.from(one.value);
        bytes[60] = (bytes[60] ?? 0) ^ 4;
        return { ...one, value: bytes };
      });
      return { ...fetched, records };
    },
  });
  const log = await open({ broker: flaky, recentMaxBytes: 0 });
  expect(log.head).toBe(4);
  expect(textsOf(await readAll(log))).toEqual(["a", "b", "c", "d"]);
  expect(turned).toBeGreaterThan(2);
});

test("the head is announced when records come, and readers see nothing before it was counted", async () => {
  const { clock, open, produce } = await makeWorld();
  const log = await open();
  const heads: number[] = [];
  const stop = log.onCommit(() => heads.push(log.head));
  await produce(value("a", "b"));
  await settle();
  await clock.advance(25);
  await produce(value("c"));
  await settle();
  stop();
  await clock.advance(25);
  await produce(value("d"));
  await settle();
  expect(heads).toEqual([2, 3]);
  expect(log.head).toBe(4);
});

test("the first record after a while is read at once, what comes within 25 ms after it together", async () => {
  const { broker, clock, open, produce } = await makeWorld();
  let answers = 0;
  const counting = altered(broker, {
    fetch: async (request: FetchRequest) => {
      const fetched = await broker.fetch(request);
      if (fetched.records.length > 0) answers += 1;
      return fetched;
    },
  });
  const log = await open({ broker: counting });
  await produce(value("a"));
  await settle();
  expect([log.head, answers]).toEqual([1, 1]);
  await produce(value("b"));
  await produce(value("c"));
  await settle();
  expect(log.head).toBe(1);
  await clock.advance(25);
  await settle();
  expect([log.head, answers]).toEqual([3, 2]);
});

test("reading in small steps gives each record once, and respects the limit", async () => {
  const { open, produce } = await makeWorld();
  const texts = Array.from({ length: 40 }, (_, index) => `event-${index}`);
  await produce(...texts.map((text) => value(text)));
  const log = await open({ markEveryBytes: 200 });
  const reader = log.reader({ position: 7 });
  const seen: string[] = [];
  for (let read = await reader.read(300); read.length > 0; read = await reader.read(300)) {
    expect(read.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThanOrEqual(300);
    seen.push(...textsOf(read));
  }
  expect(seen).toEqual(texts.slice(7));
  for (let position = 0; position < 40; position += 3)
    expect(textsOf(await log.reader({ position }).read(1))).toEqual([texts[position]]);
});

test("an empty answer before the head is not taken for the end", async () => {
  const { broker, clock, open, produce } = await makeWorld();
  await produce(value("a"), value("b"));
  let isLagging = false;
  const lagging = altered(broker, {
    fetch: async (request: FetchRequest) => {
      const fetched = await broker.fetch(request);
      return isLagging ? { ...fetched, records: [], end: 1 } : fetched;
    },
  });
  const log = await open({ broker: lagging });
  isLagging = true;
  const reading = log.reader({ position: 1 }).read(1_000);
  await clock.advance(200);
  isLagging = false;
  expect(textsOf(await within(clock, reading))).toEqual(["b"]);
});

test("what the broker removes leaves the log, exactly, and is announced", async () => {
  const { broker, clock, open, produce } = await makeWorld();
  for (const text of ["a", "b", "c", "d"]) await produce(value(text, text));
  // As if nothing of it were remembered: the place is counted from the next one that is known.
  const log = await open({ checkpoint: { offset: 4, position: 8, byte: 0 }, from: "first", markEveryBytes: 1e9 });
  const removed: number[] = [];
  log.onRemove((first) => removed.push(first));
  const reader = log.reader({ position: 0 });
  await reader.read(1);
  await broker.removeBefore({ topic: TOPIC, partition: 0, offset: 3, deadlineMs: 100 });
  await clock.advance(1_100);
  expect(removed).toEqual([6]);
  expect({ first: log.first, exact: log.isFirstExact, head: log.head }).toEqual({ first: 6, exact: true, head: 8 });
  expect((await within(clock, reader.read(1_000))).map(({ first }) => first)).toEqual([6]);
  await broker.removeBefore({ topic: TOPIC, partition: 0, offset: 4, deadlineMs: 100 });
  await clock.advance(1_100);
  expect({ first: log.first, head: log.head, firstByte: log.firstByte }).toEqual({
    first: 8,
    head: 8,
    firstByte: log.headByte,
  });
  await produce(value("e"));
  expect(textsOf(await readAll(log))).toEqual(["e"]);
});

test("a reader that retention overtook before the tail knew goes on with what is left", async () => {
  const { broker, clock, open, produce } = await makeWorld();
  for (const text of ["a", "b", "c"]) await produce(value(text));
  const log = await open({ recentMaxBytes: 0 });
  const reader = log.reader({ position: 0 });
  await broker.removeBefore({ topic: TOPIC, partition: 0, offset: 2, deadlineMs: 100 });
  expect(textsOf(await within(clock, reader.read(1_000)))).toEqual(["c"]);
  expect(log.first).toBe(2);
});

test("failures show in lastError and are repeated; reading goes on by itself", async () => {
  const { broker, clock, open, produce } = await makeWorld();
  let failing = false;
  const flaky = altered(broker, {
    fetch: (request: FetchRequest) =>
      failing ? Promise.reject(new BrokerError("unreachable", "no route")) : broker.fetch(request),
  });
  const log = await open({ broker: flaky, recentMaxBytes: 0 });
  await produce(value("a"));
  failing = true;
  await clock.advance(1_100);
  expect(log.lastError).toContain("no route");
  await produce(value("b"));
  const reading = log.reader({ position: 0 }).read(1_000);
  await clock.advance(3_000);
  failing = false;
  expect(textsOf(await within(clock, reading))).toEqual(["a"]);
  await clock.advance(3_000);
  expect({ head: log.head, error: log.lastError }).toEqual({ head: 2, error: undefined });
  failing = true;
  const refused = expect(log.reader({ position: 0 }).read(1_000)).rejects.toMatchObject({
    code: "WAYBILL_LOG_UNAVAILABLE",
    reason: "unreachable",
    retryable: true,
  });
  await clock.advance(30_000);
  await refused;
});

test("a checkpoint that is not in the partition is refused; so is going on where records were lost", async () => {
  const { broker, clock, open, produce } = await makeWorld();
  await produce(value("a"), value("b"), value("c"));
  await expect(open({ checkpoint: { offset: 9, position: 9, byte: 9 } })).rejects.toMatchObject({
    code: "WAYBILL_LOG_DAMAGED",
    reason: "offset_out_of_range",
  });
  const away = { isAway: false };
  const broken: string[] = [];
  const log = await open({
    broker: altered(broker, {
      fetch: (request: FetchRequest) =>
        away.isAway ? Promise.reject(new BrokerError("timeout", "paused")) : broker.fetch(request),
    }),
    onBroken: ({ message }) => broken.push(message),
  });
  away.isAway = true;
  await clock.advance(1_100);
  await produce(value("d"), value("e"));
  await broker.removeBefore({ topic: TOPIC, partition: 0, offset: 4, deadlineMs: 100 });
  away.isAway = false;
  await clock.advance(5_000);
  expect(broken).toHaveLength(1);
  expect(log.lastError).toBe(broken[0]);
  await expect(log.reader({ position: 0 }).read(1)).rejects.toMatchObject({ reason: "offset_out_of_range" });
  await expect(open({ checkpoint: { offset: 3, position: 3, byte: 0 } })).rejects.toMatchObject({
    reason: "offset_out_of_range",
  });
});

test("a reader whose log is closed while it gives what it has counted rejects as any other", async () => {
  const { open, produce } = await makeWorld();
  await produce(...["a", "b", "c"].map((text) => encodeValue(entryOf([text]))));
  const log = await open({ from: "first", recentMaxBytes: 0 });
  const reader = log.reader({ position: 0 });
  const [record] = await reader.read(1.5 * encodeValue(entryOf(["a"])).length);
  expect(record?.first).toBe(0);
  const rest = reader.read(1.5 * encodeValue(entryOf(["a"])).length);
  void log.close();
  await expect(rest).rejects.toMatchObject({ code: "WAYBILL_CLOSED" });
});

test("close ends what is under way at once, and nothing goes on", async () => {
  const { clock, open, produce } = await makeWorld();
  const log = await open();
  await produce(value("a"));
  await settle();
  const before = clock.timers;
  await log.close();
  await expect(log.reader({ position: 0 }).read(1)).rejects.toMatchObject({ code: "WAYBILL_CLOSED" });
  await clock.advance(10_000);
  await produce(value("b"));
  expect(log.head).toBe(1);
  expect(clock.timers).toBeLessThan(before);
});

test("finds bytes in events and beside them", async () => {
  const { open, produce } = await makeWorld();
  await produce(value("one", "two"), encodeValue(entryOf(["three"], { metadata: "two" })), value("nothing"));
  const log = await open();
  const found: unknown[] = [];
  for await (const { record, index } of log.find(Buffer.from("two"))) found.push([record.first, index]);
  expect(found).toEqual([
    [0, 1],
    [2, undefined],
  ]);
});

test("finds what was written before the log was opened, at its positions", async () => {
  const { open, produce, clock } = await makeWorld();
  await produce(value("one", "two"), value("three"), value("two"));
  await clock.advance(60 * 60_000);
  await produce(value("four"));
  const { checkpoint } = await open();
  const find = async (text: string, options: FindOptions = {}): Promise<unknown[]> => {
    const log = await open({ checkpoint, from: "end" });
    const found: unknown[] = [];
    for await (const { record, index } of log.find(Buffer.from(text), options)) found.push([record.first, index]);
    await log.close();
    return found;
  };
  expect(await find("two")).toEqual([
    [0, 1],
    [3, 0],
  ]);
  expect(await find("four", { sinceMs: clock.now() - 60_000 })).toEqual([[4, 0]]);
  expect(await find("two", { sinceMs: clock.now() - 60_000 })).toEqual([]);
  expect(await find("four", { untilMs: clock.now() - 60 * 60_000 })).toEqual([]);
  expect(await find("five")).toEqual([]);
});
