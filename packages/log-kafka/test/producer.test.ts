/** Writing to topics: acknowledged, or refused as retryable; in order; bounded. */
import { BrokerError, decodeValue, type ProduceRequest, type ReadRecord, withNumberedIds } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { entryOf } from "./lib/entries.ts";
import { withCalls, withProduce } from "./lib/faulty-broker.ts";
import { startProducing, TOPIC } from "./lib/producing.ts";
import { runUntil } from "./lib/run-until.ts";

const UNAVAILABLE = { code: "WAYBILL_LOG_UNAVAILABLE", retryable: true, retryAfterMs: 1_000 };

/** Settles to the error's message, or to what came. */
function outcomeOf<T>(promise: Promise<T>): Promise<T | string> {
  return promise.catch((error: unknown) => (error as Error).message);
}

test("places are those of the records", async () => {
  const { clock, append, records } = await startProducing();
  const first = await runUntil(clock, append({ 0: ["a", "b"], 2: ["c"] }));
  expect(first).toEqual([
    { partition: 0, offset: 0, count: 2 },
    { partition: 2, offset: 0, count: 1 },
  ]);
  const next = await runUntil(clock, append({ 2: ["d"] }));
  expect(next).toEqual([{ partition: 2, offset: 1, count: 1 }]);
  expect(records(0)).toEqual(["a,b"]);
  expect(records(2)).toEqual(["c", "d"]);
});

test("what was acknowledged is handed on as a fetch answers it, unless the topic keeps other times", async () => {
  const given: [number, readonly ReadRecord[]][] = [];
  let isKnown = true;
  const { clock, broker, append, producer } = await startProducing({
    faulty: (faulty) =>
      withProduce(faulty, async (_, produce) => ({
        ...(await produce()),
        ...(isKnown ? {} : { appendedAtMs: undefined }),
      })),
    producer: { onWritten: (partition, records) => given.push([partition, records]) },
  });
  const numbered = withNumberedIds(entryOf(["d"]), { prefix: "of 7", first: 4 });
  const parts = [0, 2].map((partition) => ({ partition, entry: entryOf(["a", "b"]), indexes: undefined }));
  await runUntil(clock, producer.append([...parts, { partition: 2, entry: numbered, indexes: undefined }]));
  const at = { topic: TOPIC, offset: 0, maxBytes: 1_000, maxWaitMs: 0, deadlineMs: 1_000 };
  for (const partition of [0, 2]) {
    const { records } = await runUntil(clock, broker.fetch({ ...at, partition }));
    const read = records.map(({ value, ...place }) => ({ ...place, records: [decodeValue(value)] }));
    expect(given.find(([of]) => of === partition)?.[1]).toEqual(read);
  }
  given.length = 0;
  isKnown = false;
  await runUntil(clock, append({ 0: ["d"] }));
  expect(given).toEqual([]);
});

test("nothing is stored at once", async () => {
  const { clock, producer } = await startProducing();
  expect(await runUntil(clock, producer.append([]))).toEqual([]);
});

test("requests that come together share a call for each partition, also while one is in flight", async () => {
  const calls: ProduceRequest[] = [];
  const { clock, append, records } = await startProducing({
    faulty: (broker) =>
      withProduce(broker, (request, produce) => {
        calls.push(request);
        return produce();
      }),
  });
  const appended = [append({ 0: ["a"], 1: ["x"] }), append({ 0: ["b"] }), append({ 0: ["c"] })];
  await clock.advance(0);
  appended.push(append({ 0: ["d"] }), append({ 0: ["e"] }));
  const places = await runUntil(clock, Promise.all(appended));
  expect(calls.map(({ partition, values }) => [partition, values.length])).toEqual([
    [0, 3],
    [1, 1],
    [0, 2],
  ]);
  expect(places.flat().map(({ partition, offset }) => [partition, offset])).toEqual([
    [0, 0],
    [1, 0],
    [0, 1],
    [0, 2],
    [0, 3],
    [0, 4],
  ]);
  expect(records(0)).toEqual(["a", "b", "c", "d", "e"]);
});

test("what waited for a call goes a little later with all that comes until then; a first call never waits", async () => {
  const calls: [number, number, number][] = [];
  const { clock, append } = await startProducing({
    faulty: (broker, time) =>
      withProduce(broker, async ({ partition, values }, produce) => {
        calls.push([time.monotonic() - startMs, partition, values.length]);
        await new Promise<void>((resolve) => time.after(20, resolve));
        return produce();
      }),
  });
  const startMs = clock.monotonic();
  const appended = [append({ 0: ["a"] }), append({ 1: ["b"] })];
  await clock.advance(10);
  appended.push(append({ 0: ["c"], 1: ["d"] }));
  await clock.advance(14);
  appended.push(append({ 0: ["e"] }));
  await runUntil(clock, Promise.all(appended));
  const endMs = clock.monotonic() - startMs;
  await runUntil(clock, append({ 0: ["f"] }));
  const sharedAtMs = calls[2]?.[0] ?? 0;
  expect(sharedAtMs).toBeGreaterThan(24);
  expect(calls.toSorted(([one, first], [other, second]) => one - other || first - second)).toEqual([
    [0, 0, 1],
    [0, 1, 1],
    [sharedAtMs, 0, 2],
    [sharedAtMs, 1, 1],
    [endMs, 0, 1],
  ]);
});

test("one call of a partition is in flight at a time, whatever it takes", async () => {
  let inFlight = 0;
  let most = 0;
  const { clock, append, records } = await startProducing({
    partitions: 1,
    faulty: (broker, time) =>
      withProduce(broker, async (_request, produce) => {
        inFlight += 1;
        most = Math.max(most, inFlight);
        await new Promise<void>((resolve) => time.after(50, resolve));
        return produce().finally(() => (inFlight -= 1));
      }),
  });
  const appended: Promise<unknown>[] = [];
  for (let index = 0; index < 20; index++) {
    appended.push(append({ 0: [`e${index}`] }));
    await clock.advance(7);
  }
  await runUntil(clock, Promise.all(appended));
  expect(most).toBe(1);
  expect(records(0)).toEqual(Array.from({ length: 20 }, (_, index) => `e${index}`));
});

test("when some partitions have acknowledged and others not, the append is refused as retryable", async () => {
  const { clock, producer, append, records } = await startProducing({
    faulty: (broker) =>
      withProduce(broker, ({ partition }, produce) =>
        partition === 1 ? Promise.reject(new BrokerError("not_enough_replicas", "1 of 2")) : produce(),
      ),
  });
  const refused = append({ 0: ["a"], 1: ["b"] });
  await expect(runUntil(clock, refused)).rejects.toMatchObject({ ...UNAVAILABLE, reason: "not_enough_replicas" });
  await clock.advance(100);
  expect(records(0)).toEqual(["a"]);
  expect(producer.lastError).toContain("partition 1 of waybill.production: 1 of 2");
});

test("what the broker does not lead any more is sent again, before what came after it", async () => {
  let refusals = 3;
  const { clock, append, records } = await startProducing({
    partitions: 1,
    faulty: (broker) =>
      withProduce(broker, (_request, produce) =>
        refusals-- > 0 ? Promise.reject(new BrokerError("not_leader", "moved")) : produce(),
      ),
  });
  const first = append({ 0: ["a"] });
  await clock.advance(10);
  const second = append({ 0: ["b"] });
  expect(await runUntil(clock, Promise.all([first, second]))).toEqual([
    [{ partition: 0, offset: 0, count: 1 }],
    [{ partition: 0, offset: 1, count: 1 }],
  ]);
  expect(records(0)).toEqual(["a", "b"]);
});

test("without a leader the request is refused when its time is over, and writing resumes by itself", async () => {
  let hasLeader = false;
  const { clock, producer, append } = await startProducing({
    faulty: (broker) =>
      withProduce(broker, (_request, produce) =>
        hasLeader ? produce() : Promise.reject(new BrokerError("not_leader", "nobody leads it")),
      ),
  });
  const beganMs = clock.monotonic();
  await expect(runUntil(clock, append({ 0: ["a"] }))).rejects.toMatchObject({ ...UNAVAILABLE, reason: "not_leader" });
  expect(clock.monotonic() - beganMs).toBeGreaterThanOrEqual(5_000);
  expect(clock.monotonic() - beganMs).toBeLessThan(7_000);
  expect(producer.lastError).toContain("nobody leads it");
  const waiting = append({ 0: ["b"] });
  await clock.advance(500);
  hasLeader = true;
  expect(await runUntil(clock, waiting)).toEqual([{ partition: 0, offset: 0, count: 1 }]);
  expect(producer.lastError).toBeUndefined();
});

test("what may have been done is not sent again by us: its request is refused", async () => {
  let calls = 0;
  const { clock, append, records } = await startProducing({
    faulty: (broker) =>
      withProduce(broker, async (_request, produce) => {
        calls += 1;
        const produced = await produce();
        if (calls === 1) throw new BrokerError("unreachable", "the connection broke");
        return produced;
      }),
  });
  await expect(runUntil(clock, append({ 0: ["a"] }))).rejects.toMatchObject({ ...UNAVAILABLE, reason: "unreachable" });
  expect(calls).toBe(1);
  await runUntil(clock, append({ 0: ["a"] }));
  expect(records(0)).toEqual(["a", "a"]);
});

test("a call that never settles is given up, and holds up nobody after it", async () => {
  let calls = 0;
  const { clock, producer, append, records } = await startProducing({
    faulty: (broker) =>
      withProduce(broker, (_request, produce) => {
        calls += 1;
        return calls === 1 ? new Promise(() => undefined) : produce();
      }),
  });
  const hung = outcomeOf(append({ 0: ["a"] }));
  await clock.advance(1_000);
  const other = append({ 1: ["x"] });
  const next = append({ 0: ["b"] });
  expect(await runUntil(clock, other)).toHaveLength(1);
  expect(clock.monotonic()).toBeLessThan(2_000);
  expect(await runUntil(clock, hung)).toBe("Kafka has not acknowledged the events: no answer within 5000 ms");
  expect(await runUntil(clock, next)).toEqual([{ partition: 0, offset: 0, count: 1 }]);
  expect(records(0)).toEqual(["b"]);
  expect(producer.pendingBytes).toBe(0);
});

test("what waits for a slow call is refused once its time is over", async () => {
  const { clock, producer, append } = await startProducing({
    producer: { callMs: 20_000, waitMs: 3_000 },
    faulty: (broker, time) =>
      withProduce(broker, async (_request, produce) => {
        await new Promise<void>((resolve) => time.after(8_000, resolve));
        return produce();
      }),
  });
  const first = append({ 0: ["a"] });
  await clock.advance(10);
  const second = append({ 0: ["b"] });
  await expect(runUntil(clock, second)).rejects.toMatchObject({ ...UNAVAILABLE, reason: "timeout" });
  expect(await runUntil(clock, first)).toHaveLength(1);
  expect(producer.pendingBytes).toBe(0);
});

test("bytes that wait are bounded", async () => {
  let isHeld = true;
  const { clock, producer, append } = await startProducing({
    producer: { pendingMaxBytes: 1_300 },
    faulty: (broker) => withProduce(broker, (_request, produce) => (isHeld ? new Promise(() => undefined) : produce())),
  });
  const held = Array.from({ length: 4 }, () => outcomeOf(append({ 0: ["x".repeat(250)] })));
  await clock.advance(1);
  expect(producer.pendingBytes).toBeGreaterThan(1_000);
  await expect(append({ 1: ["y".repeat(250)] })).rejects.toMatchObject({
    code: "WAYBILL_LOG_BUSY",
    retryable: true,
    retryAfterMs: 1_000,
  });
  await runUntil(clock, Promise.all(held));
  expect(producer.pendingBytes).toBe(0);
  isHeld = false;
  // One alone is taken however large it is.
  expect(await runUntil(clock, append({ 1: ["z".repeat(2_000)] }))).toHaveLength(1);
});

test("the bytes of an append count until its last record is answered: they are held together", async () => {
  const { clock, producer, append, records } = await startProducing({
    faulty: (broker) =>
      withProduce(broker, ({ partition }, produce) => (partition === 0 ? produce() : new Promise(() => undefined))),
  });
  const held = outcomeOf(append({ 0: ["x".repeat(1_000)], 1: ["y"] }));
  await clock.advance(10);
  expect(records(0)).toHaveLength(1);
  expect(producer.pendingBytes).toBeGreaterThan(1_000);
  await runUntil(clock, held);
  expect(producer.pendingBytes).toBe(0);
});

test("a call has at most so many bytes, and an entry that is larger is split between events", async () => {
  const sizes: number[] = [];
  const { clock, append, records } = await startProducing({
    configs: { "max.message.bytes": "1000" },
    faulty: (broker) =>
      withProduce(broker, ({ values }, produce) => {
        sizes.push(values.reduce((bytes, { length }) => bytes + length, 0));
        return produce();
      }),
  });
  const events = Array.from({ length: 30 }, (_, index) => `${index}`.padEnd(90, "."));
  const places = await runUntil(clock, append({ 3: events }));
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1_000);
  expect(places.reduce((sum, { count }) => sum + count, 0)).toBe(30);
  expect(places.map(({ offset }) => offset)).toEqual(places.map((_, index) => index));
  expect(records(3).flatMap((record) => record.split(","))).toEqual(events);
});

test("an entry that is split keeps the numbers of the ids that its request gives the events", async () => {
  const { clock, cluster, producer } = await startProducing({ configs: { "max.message.bytes": "1000" } });
  const events = Array.from({ length: 30 }, (_, index) => `${index}`.padEnd(90, "."));
  const entry = withNumberedIds({ ...entryOf(events), metadata: "kind" }, { prefix: "of 7", first: 100 });
  await runUntil(clock, producer.append([{ partition: 3, entry, indexes: undefined }]));
  const stored = cluster.records({ topic: TOPIC, partition: 3 }).map(({ value }) => decodeValue(value));
  expect(stored.length).toBeGreaterThan(2);
  let first = 100;
  for (const record of stored) {
    expect(record).toMatchObject({ metadata: "kind", numbered: { prefix: "of 7", first } });
    first += record?.count ?? 0;
  }
  expect(first).toBe(130);
});

test("an event that is larger than a record may be is refused for good, and nothing of its request is stored", async () => {
  const { clock, append, records } = await startProducing({ configs: { "max.message.bytes": "1000" } });
  await expect(append({ 0: ["a", "x".repeat(1_000)], 1: ["b"] })).rejects.toMatchObject({
    code: "WAYBILL_EVENT",
    reason: "size",
    retryable: false,
  });
  await clock.advance(1_000);
  expect(records(0)).toEqual([]);
  expect(records(1)).toEqual([]);
});

test("when the first half of a request fails, the other half is not sent before it", async () => {
  let calls = 0;
  const { clock, append, records } = await startProducing({
    configs: { "max.message.bytes": "1000" },
    faulty: (broker) =>
      withProduce(broker, (_request, produce) =>
        ++calls === 1 ? Promise.reject(new BrokerError("unreachable", "it broke")) : produce(),
      ),
  });
  const events = Array.from({ length: 12 }, (_, index) => `${index}`.padEnd(90, "."));
  await expect(runUntil(clock, append({ 0: events }))).rejects.toMatchObject({ reason: "unreachable" });
  await clock.advance(10_000);
  expect(calls).toBe(1);
  await runUntil(clock, append({ 0: events }));
  expect(records(0).flatMap((record) => record.split(","))).toEqual(events);
});

test("a topic that takes less than before is met by smaller calls", async () => {
  const sizes: number[] = [];
  const { clock, append, records } = await startProducing({
    configs: { "max.message.bytes": "1000" },
    // What the relay found at its start.
    producer: { maxMessageBytes: 8_000 },
    faulty: (broker) =>
      withProduce(broker, ({ values }, produce) => {
        sizes.push(values.length);
        return produce();
      }),
  });
  const texts = Array.from({ length: 10 }, (_, index) => `${index}`.padEnd(300, "."));
  await runUntil(clock, Promise.all(texts.map((text) => append({ 0: [text] }))));
  expect(sizes[0]).toBe(10);
  expect(records(0)).toEqual(texts);
  // A record that was too large by itself is split when it comes again.
  const again = await startProducing({
    configs: { "max.message.bytes": "1000" },
    producer: { maxMessageBytes: 8_000 },
  });
  await expect(runUntil(again.clock, again.append({ 0: texts }))).rejects.toMatchObject({
    ...UNAVAILABLE,
    reason: "too_large",
  });
  await runUntil(again.clock, again.append({ 0: texts }));
  expect(again.records(0).flatMap((record) => record.split(","))).toEqual(texts);
  // An event by itself is refused for good.
  await expect(again.append({ 0: ["x".repeat(2_000)] })).rejects.toMatchObject({ code: "WAYBILL_EVENT" });
});

test("while writing fails it says so, and sees by itself when the cluster is well again", async () => {
  let isWell = false;
  let describes = 0;
  const { clock, producer, append, records } = await startProducing({
    faulty: (broker) =>
      withCalls(broker, {
        produce: (request) =>
          isWell ? broker.produce(request) : Promise.reject(new BrokerError("not_enough_replicas", "1 of 2 in sync")),
        describe: async (asked) => {
          describes += 1;
          const found = await broker.describe(asked);
          return isWell
            ? found
            : found.map((topic) => ({
                ...topic,
                partitions: topic.partitions.map((one) => ({ ...one, inSyncReplicas: [1] })),
              }));
        },
      }),
  });
  expect(producer.lastError).toBeUndefined();
  await expect(runUntil(clock, append({ 0: ["a"], 1: ["b"] }))).rejects.toMatchObject(UNAVAILABLE);
  expect(producer.lastError).toBe(
    "Kafka does not take records for partition 0 of waybill.production (and 1 more): 1 of 2 in sync",
  );
  await clock.advance(10_000);
  expect(describes).toBeGreaterThanOrEqual(9);
  expect(producer.lastError).toBeDefined();
  isWell = true;
  await clock.advance(1_500);
  expect(producer.lastError).toBeUndefined();
  const seen = describes;
  await clock.advance(10_000);
  expect(describes).toBe(seen);
  // To see it, nothing was written.
  expect(records(0)).toEqual([]);
});

test("what a person has to repair stays visible for a while, and is then tried again", async () => {
  const { clock, producer, append } = await startProducing({
    faulty: (broker) => withProduce(broker, () => Promise.reject(new BrokerError("unauthorized", "no right to write"))),
  });
  await expect(runUntil(clock, append({ 0: ["a"] }))).rejects.toMatchObject({ ...UNAVAILABLE, reason: "unauthorized" });
  await clock.advance(20_000);
  expect(producer.lastError).toContain("no right to write");
  await clock.advance(20_000);
  expect(producer.lastError).toBeUndefined();
});

test("a cluster that does not answer is seen before the first request", async () => {
  let isAway = true;
  const { clock, producer } = await startProducing({
    faulty: (broker) =>
      withCalls(broker, {
        describe: (asked) =>
          isAway ? Promise.reject(new BrokerError("unreachable", "refused")) : broker.describe(asked),
      }),
  });
  await runUntil(clock, producer.tryCluster());
  expect(producer.lastError).toContain("(and 3 more): refused");
  isAway = false;
  await clock.advance(2_000);
  expect(producer.lastError).toBeUndefined();
});

test("a close answers what waits and takes no more", async () => {
  const { clock, producer, append } = await startProducing({
    faulty: (broker) => withProduce(broker, () => Promise.reject(new BrokerError("not_leader", "nobody leads it"))),
  });
  const waiting = outcomeOf(append({ 0: ["a"] }));
  await clock.advance(1);
  const beganMs = clock.monotonic();
  await runUntil(clock, producer.close());
  expect(clock.monotonic() - beganMs).toBeLessThan(1_000);
  expect(await waiting).toContain("nobody leads it");
  await expect(append({ 0: ["b"] })).rejects.toMatchObject({ code: "WAYBILL_CLOSED" });
  expect(clock.timers).toBe(0);
});
