import type { Produced } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { testGroups } from "./broker/test-groups.ts";
import { type Check, DEADLINE, type MakeBroker, World } from "./broker/world.ts";

const WIDE = { maxBytes: 1_000_000, maxWaitMs: 0, ...DEADLINE };
const MINUTE_MS = 60_000;

/**
 * The contract of `Broker`: an implementation passes by this call. `make` is called by each test.
 * A simulated cluster is made anew by it and moves its clock in `settled` and `wait`; a real one is
 * started once, before the tests, and `make` tells how to reach it: `settled` returns what it gets,
 * `wait` waits. The tests make topics and groups of their own, with one replica, and leave them;
 * a shorter `group.consumer.session.timeout.ms` (6 s) lets the test of it run in time.
 */
export function testBroker(name: string, make: MakeBroker): void {
  const check: Check = (what, body) => test(`${name}: ${what}`, () => World.run(make, body));
  testTopics(check);
  testProducing(check);
  testLimits(check);
  testKeys(check);
  testFetching(check);
  testWaiting(check);
  testOffsets(check);
  testCalls(check);
  testGroups(check);
}

function testTopics(check: Check): void {
  check("describes the topics that exist: leaders, replicas, settings", async (world) => {
    const topic = await world.topic(3, { "retention.ms": "7200000" });
    const asked = { topics: [topic, `${topic}.no`], ...DEADLINE };
    const described = await world.settled(world.broker.describe(asked));
    expect(described.map((one) => one.topic)).toEqual([topic]);
    expect(described[0]?.partitions.length).toBe(3);
    for (const { leader, replicas, inSyncReplicas } of described[0]?.partitions ?? []) {
      expect(replicas).toEqual([leader]);
      expect(inSyncReplicas).toEqual([leader]);
    }
    expect(described[0]?.configs["retention.ms"]).toBe("7200000");
    expect(described[0]?.configs["message.timestamp.type"]).toBe("LogAppendTime");
  });

  check("a topic is made once, and with no more replicas than there are brokers", async (world) => {
    const topic = await world.topic();
    const asked = { topic, partitions: 1, replicationFactor: 1, configs: {}, ...DEADLINE };
    await world.refused("exists", world.broker.create(asked));
    const replicationFactor = world.under.brokers + 1;
    await world.refused("invalid", world.broker.create({ ...asked, topic: `${topic}.no`, replicationFactor }));
    await world.refused("invalid", world.broker.create({ ...asked, topic: `${topic}.no`, partitions: 0 }));
    expect(await world.settled(world.broker.describe({ topics: [`${topic}.no`], ...DEADLINE }))).toEqual([]);
  });

  check("refuses what is asked of a partition that does not exist", async (world) => {
    const topic = await world.topic();
    for (const at of [
      { topic: `${topic}.no`, partition: 0 },
      { topic, partition: 1 },
    ]) {
      const { broker } = world;
      await world.refused("unknown_topic", broker.produce({ ...at, values: [Buffer.from("a")], ...DEADLINE }));
      await world.refused("unknown_topic", broker.fetch({ ...at, offset: 0, ...WIDE }));
      await world.refused("unknown_topic", broker.offsetAt({ ...at, at: "end", ...DEADLINE }));
      await world.refused("unknown_topic", broker.removeBefore({ ...at, offset: 0, ...DEADLINE }));
    }
  });
}

function testProducing(check: Check): void {
  check("appends in order without a gap, and tells the first offset", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    expect(await world.produce(at, "a", "b")).toBe(0);
    expect(await world.produce(at, "c")).toBe(2);
    expect(await world.produce(at, "", "ä")).toBe(3);
    expect(await world.read(at, 0)).toEqual(["a", "b", "c", "", "ä"]);
  });

  check("keeps partitions apart", async (world) => {
    const topic = await world.topic(2);
    expect(await world.produce({ topic, partition: 0 }, "a")).toBe(0);
    expect(await world.produce({ topic, partition: 1 }, "b")).toBe(0);
    expect(await world.read({ topic, partition: 1 }, 0)).toEqual(["b"]);
  });

  check("calls at once lose, double and mix nothing", async (world) => {
    const topic = await world.topic(2);
    const calls = Array.from({ length: 60 }, (_, index) => ({ topic, partition: index % 2, texts: pair(index) }));
    const producing = calls.map(({ texts, ...at }) =>
      world.broker.produce({ ...at, values: texts.map((text) => Buffer.from(text)), ...DEADLINE }),
    );
    const offsets = await world.settled(Promise.all(producing));
    const stored = [await world.read({ topic, partition: 0 }, 0), await world.read({ topic, partition: 1 }, 0)];
    expect(stored.map((texts) => texts.length)).toEqual([60, 60]);
    for (const [index, { texts, partition }] of calls.entries()) {
      const { offset } = offsets[index] as Produced;
      expect(stored[partition]?.slice(offset, offset + 2)).toEqual(texts);
    }
  });
}

function testLimits(check: Check): void {
  check("stamps each record with the broker's time, and tells it", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    const values = [Buffer.from("a"), Buffer.from("b")];
    const produced = await world.settled(world.broker.produce({ ...at, values, ...DEADLINE }));
    await world.under.wait(50);
    await world.produce(at, "c");
    const { records } = await world.settled(world.broker.fetch({ ...at, offset: 0, ...WIDE }));
    const [first, same, second] = records.map((one) => one.appendedAtMs) as [number, number, number];
    expect([first, same]).toEqual([produced.appendedAtMs, produced.appendedAtMs]);
    expect(Math.abs(first - world.under.now())).toBeLessThan(MINUTE_MS);
    expect(second - first).toBeGreaterThanOrEqual(40);
  });

  check("refuses what is larger than the topic takes, and stores nothing of it", async (world) => {
    const at = { topic: await world.topic(1, { "max.message.bytes": "10000" }), partition: 0 };
    const values = [Buffer.alloc(1_000), Buffer.alloc(9_500)];
    await world.refused("too_large", world.broker.produce({ ...at, values, ...DEADLINE }));
    await world.settled(world.broker.produce({ ...at, values: [Buffer.alloc(9_500)], ...DEADLINE }));
    expect(await world.settled(world.broker.offsetAt({ ...at, at: "end", ...DEADLINE }))).toBe(1);
  });

  check("takes records of a megabyte", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    const value = Buffer.alloc(1_000_000, "abcdefg");
    await world.settled(world.broker.produce({ ...at, values: [value], ...DEADLINE }));
    const { records } = await world.settled(world.broker.fetch({ ...at, offset: 0, ...WIDE }));
    expect(Buffer.compare(Buffer.from(records[0]?.value ?? []), value)).toBe(0);
  });

  check("a trap: one replica alone is enough, whatever the least number in sync is", async (world) => {
    const at = { topic: await world.topic(1, { "min.insync.replicas": "2" }), partition: 0 };
    expect(await world.produce(at, "a")).toBe(0);
  });
}

const COMPACTED = { "cleanup.policy": "compact" };

function testKeys(check: Check): void {
  check("records have keys where they are given; an empty value removes a key", async (world) => {
    const at = { topic: await world.topic(1, COMPACTED), partition: 0 };
    const values = ["one", "", "two"].map((text) => Buffer.from(text));
    await world.settled(world.broker.produce({ ...at, values, keys: ["a/b", "a/b", "ä"], ...DEADLINE }));
    const { records } = await world.settled(world.broker.fetch({ ...at, offset: 0, ...WIDE }));
    expect(records.map(({ key, value }) => [key, Buffer.from(value).toString()])).toEqual([
      ["a/b", "one"],
      ["a/b", ""],
      ["ä", "two"],
    ]);
    const plain = { topic: await world.topic(), partition: 0 };
    await world.produce(plain, "a");
    const fetched = await world.settled(world.broker.fetch({ ...plain, offset: 0, ...WIDE }));
    expect(fetched.records[0]).not.toHaveProperty("key");
  });

  check("a compacted topic refuses a record without a key", async (world) => {
    const at = { topic: await world.topic(1, COMPACTED), partition: 0 };
    await world.refused("invalid", world.broker.produce({ ...at, values: [Buffer.from("a")], ...DEADLINE }));
    expect(await world.settled(world.broker.offsetAt({ ...at, at: "end", ...DEADLINE }))).toBe(0);
  });
}

function testFetching(check: Check): void {
  check("reads from any offset on, and tells what there is", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    await world.produce(at, "a", "b", "c");
    const fetched = await world.settled(world.broker.fetch({ ...at, offset: 1, ...WIDE }));
    expect(fetched.records.map(({ offset, value }) => [offset, Buffer.from(value).toString()])).toEqual([
      [1, "b"],
      [2, "c"],
    ]);
    expect({ end: fetched.end, first: fetched.first }).toEqual({ end: 3, first: 0 });
  });

  check("keeps to the limit of bytes, but answers one record however large it is", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    for (const letter of "abcde") await world.produce(at, letter.repeat(10_000));
    const limited = { ...at, offset: 0, maxBytes: 25_000, maxWaitMs: 0, ...DEADLINE };
    expect((await world.settled(world.broker.fetch(limited))).records.length).toBe(2);
    const small = await world.settled(world.broker.fetch({ ...limited, offset: 3, maxBytes: 1 }));
    expect(small.records.map(({ offset }) => offset)).toEqual([3]);
  });

  check("answers with all records of a produce call, from the offset on", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    const large = (...letters: readonly string[]): string[] => letters.map((letter) => letter.repeat(10_000));
    await world.produce(at, ...large("a", "b", "c"));
    await world.produce(at, ...large("d", "e"));
    const offsets = async (offset: number, maxBytes: number): Promise<readonly number[]> => {
      const { records } = await world.settled(
        world.broker.fetch({ ...at, offset, maxBytes, maxWaitMs: 0, ...DEADLINE }),
      );
      return records.map((record) => record.offset);
    };
    expect(await offsets(0, 1)).toEqual([0, 1, 2]);
    expect(await offsets(1, 1)).toEqual([1, 2]);
    expect(await offsets(2, 45_000)).toEqual([2]);
    expect(await offsets(2, 55_000)).toEqual([2, 3, 4]);
    expect(await offsets(4, 1)).toEqual([4]);
  });

  check("refuses an offset that was never written", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    await world.produce(at, "a");
    await world.refused("offset_out_of_range", world.broker.fetch({ ...at, offset: 2, ...WIDE }));
  });
}

function testWaiting(check: Check): void {
  check("answers at the end with nothing, at once when it may not wait", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    await world.produce(at, "a");
    const fetched = await world.settled(world.broker.fetch({ ...at, offset: 1, ...WIDE }));
    expect(fetched).toEqual({ records: [], end: 1, first: 0 });
  });

  check("waits at the end for the next record", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    await world.produce(at, "a");
    const fetching = world.broker.fetch({ ...at, offset: 1, ...WIDE, maxWaitMs: 8_000 });
    await world.under.wait(100);
    await world.produce(at, "b");
    const { records } = await world.settled(fetching);
    expect(records.map(({ value }) => Buffer.from(value).toString())).toEqual(["b"]);
  });

  check("waits no longer than it may", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    const before = world.under.now();
    const fetched = await world.settled(world.broker.fetch({ ...at, offset: 0, ...WIDE, maxWaitMs: 300 }));
    expect(fetched).toEqual({ records: [], end: 0, first: 0 });
    expect(world.under.now() - before).toBeGreaterThanOrEqual(290);
    expect(world.under.now() - before).toBeLessThan(8_000);
  });
}

function testOffsets(check: Check): void {
  check("tells the first offset, the end, and the first one at or after an instant", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    const offsetAt = (what: "first" | "end" | { readonly atMs: number }): Promise<number> =>
      world.settled(world.broker.offsetAt({ ...at, at: what, ...DEADLINE }));
    expect([await offsetAt("first"), await offsetAt("end"), await offsetAt({ atMs: 1 })]).toEqual([0, 0, 0]);
    await world.produce(at, "a", "b");
    await world.under.wait(50);
    await world.produce(at, "c");
    const { records } = await world.settled(world.broker.fetch({ ...at, offset: 0, ...WIDE }));
    const [first, , third] = records.map((one) => one.appendedAtMs) as [number, number, number];
    expect([await offsetAt("first"), await offsetAt("end")]).toEqual([0, 3]);
    expect([await offsetAt({ atMs: 1 }), await offsetAt({ atMs: first })]).toEqual([0, 0]);
    expect([await offsetAt({ atMs: first + 1 }), await offsetAt({ atMs: third })]).toEqual([2, 2]);
    expect(await offsetAt({ atMs: third + 1 })).toBe(3);
  });

  check("removes what is before an offset, and nothing else", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    const { broker } = world;
    const removeBefore = (offset: number): Promise<number> =>
      world.settled(broker.removeBefore({ ...at, offset, ...DEADLINE }));
    await world.produce(at, "a", "b", "c");
    expect(await removeBefore(2)).toBe(2);
    expect(await removeBefore(1)).toBe(2);
    expect(await world.settled(broker.offsetAt({ ...at, at: "first", ...DEADLINE }))).toBe(2);
    expect(await world.settled(broker.offsetAt({ ...at, at: { atMs: 1 }, ...DEADLINE }))).toBe(2);
    await world.refused("offset_out_of_range", broker.fetch({ ...at, offset: 1, ...WIDE }));
    const fetched = await world.settled(broker.fetch({ ...at, offset: 2, ...WIDE }));
    expect({ first: fetched.first, end: fetched.end, records: fetched.records.length }).toEqual({
      first: 2,
      end: 3,
      records: 1,
    });
    await world.refused("offset_out_of_range", broker.removeBefore({ ...at, offset: 4, ...DEADLINE }));
    expect(await removeBefore(3)).toBe(3);
    expect(await world.produce(at, "d")).toBe(3);
  });
}

function testCalls(check: Check): void {
  check("a call ends with its deadline", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    await world.produce(at, "a");
    const before = world.under.now();
    const slow = world.broker.fetch({ ...at, offset: 1, maxBytes: 1_000, maxWaitMs: 5_000, deadlineMs: 300 });
    await world.refused("timeout", slow);
    expect(world.under.now() - before).toBeLessThan(4_000);
    expect(await world.produce(at, "b")).toBe(1);
  });

  check("close rejects what is on its way, and what comes later", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    const other = await world.connect("closing");
    const fetching = other.fetch({ ...at, offset: 0, ...WIDE, maxWaitMs: 8_000 });
    fetching.catch(() => undefined);
    await world.under.wait(200);
    const before = world.under.now();
    await world.settled(other.close());
    await world.refused("unreachable", fetching);
    expect(world.under.now() - before).toBeLessThan(4_000);
    await world.refused("unreachable", other.describe({ topics: [], ...DEADLINE }));
    expect(await world.produce(at, "a")).toBe(0);
  });

  check("two connections see the same", async (world) => {
    const at = { topic: await world.topic(), partition: 0 };
    const other = await world.connect("other");
    await world.settled(other.produce({ ...at, values: [Buffer.from("a")], ...DEADLINE }));
    expect(await world.read(at, 0)).toEqual(["a"]);
  });
}

function pair(index: number): readonly string[] {
  return [`${index} first`, `${index} second`];
}
