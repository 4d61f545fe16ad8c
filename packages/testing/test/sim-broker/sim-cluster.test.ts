import type { Broker, HeartbeatAnswer, TopicPartition } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";

const DEADLINE = { deadlineMs: 1_000 };
const TOPIC = "events";

test("records are read where they were appended, with the broker's time", async () => {
  const { clock, broker } = await setUp(1);
  const at = { topic: TOPIC, partition: 0, ...DEADLINE };
  expect(await done(clock, broker.produce({ ...at, values: [text("a"), text("b")] }))).toMatchObject({ offset: 0 });
  const fetched = await done(clock, broker.fetch({ ...at, offset: 0, maxBytes: 1_000, maxWaitMs: 0 }));
  expect(fetched.records.map(({ offset, value }) => [offset, String(Buffer.from(value))])).toEqual([
    [0, "a"],
    [1, "b"],
  ]);
  expect(fetched.end).toBe(2);
});

test("compaction keeps the last record of each key where it was, and what removes one for its time", async () => {
  const { clock, broker, cluster } = await setUp(1, { "cleanup.policy": "compact", "delete.retention.ms": "60000" });
  const at = { topic: TOPIC, partition: 0, ...DEADLINE };
  const keys = ["a", "b", "a", "b", "c", "a"];
  const values = ["1", "2", "3", "", "4", ""].map(text);
  await done(clock, broker.produce({ ...at, keys, values }));
  expect(cluster.retain()).toBe(3);
  await clock.advance(60_000);
  expect(cluster.retain()).toBe(1);
  const fetched = await done(clock, broker.fetch({ ...at, offset: 0, maxBytes: 1_000, maxWaitMs: 0 }));
  expect(fetched.records.map(({ offset, key }) => [offset, key])).toEqual([
    [4, "c"],
    [5, "a"],
  ]);
  expect({ first: fetched.first, end: fetched.end }).toEqual({ first: 0, end: 6 });
  await done(clock, broker.produce({ ...at, keys: ["c"], values: [text("5")] }));
  await clock.advance(60_000);
  expect(cluster.retain()).toBe(2);
  expect(cluster.records(at).map(({ offset, key }) => [offset, key])).toEqual([[6, "c"]]);
});

test("a partition goes to the next member after the last one has let go of it", async () => {
  const { clock, broker } = await setUp(2);
  const beat = (memberId: string, memberEpoch: number, owned?: readonly TopicPartition[]): Promise<HeartbeatAnswer> =>
    done(clock, broker.heartbeat({ group: "g", memberId, memberEpoch, ...(owned && { owned }), ...DEADLINE }));
  const join = (memberId: string): Promise<HeartbeatAnswer> =>
    done(
      clock,
      broker.heartbeat({
        group: "g",
        memberId,
        memberEpoch: 0,
        topics: [TOPIC],
        owned: [],
        rebalanceTimeoutMs: 1_000,
        ...DEADLINE,
      }),
    );
  const [zero, one] = [0, 1].map((partition) => ({ topic: TOPIC, partition })) as [TopicPartition, TopicPartition];
  expect(await join("a")).toMatchObject({ memberEpoch: 1, assignment: [zero, one] });
  expect(await join("b")).toMatchObject({ memberEpoch: 2, assignment: [] });
  expect(await beat("a", 1, [zero, one])).toMatchObject({ memberEpoch: 1, assignment: [zero] });
  expect(await beat("b", 2)).toMatchObject({ memberEpoch: 2, assignment: undefined });
  expect(await beat("a", 1, [zero])).toMatchObject({ memberEpoch: 2 });
  expect(await beat("b", 2)).toMatchObject({ memberEpoch: 2, assignment: [one] });
});

async function setUp(
  partitions: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ readonly clock: VirtualClock; readonly broker: Broker; readonly cluster: SimCluster }> {
  const clock = new VirtualClock();
  const cluster = new SimCluster({ clock, random: new SeededRandom(1) });
  const broker = cluster.connect("relay-1");
  const configs = { "min.insync.replicas": "2", "message.timestamp.type": "LogAppendTime", ...settings };
  await done(clock, broker.create({ topic: TOPIC, partitions, replicationFactor: 3, configs, ...DEADLINE }));
  return { clock, broker, cluster };
}

async function done<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = promise.finally(() => {
    isSettled = true;
  });
  settled.catch(() => undefined);
  await clock.until(() => isSettled);
  return settled;
}

function text(value: string): Uint8Array {
  return Buffer.from(value);
}
