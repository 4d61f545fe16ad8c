import { type Broker, BrokerError, type FetchRequest, type KeyedRecord, KeyedTopic } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { runUntil } from "./lib/run-until.ts";

const TOPIC = "waybill.desired";

interface Reader {
  readonly topic: KeyedTopic;
  readonly records: readonly KeyedRecord[];
  readonly errors: readonly (string | undefined)[];
}

async function made(): Promise<{
  readonly clock: VirtualClock;
  readonly cluster: SimCluster;
  readonly open: (name: string, around?: (broker: Broker) => Broker) => Promise<Reader>;
}> {
  const clock = new VirtualClock();
  const cluster = new SimCluster({ clock, random: new SeededRandom(1) });
  const configs = { "cleanup.policy": "compact", "min.insync.replicas": "2", "delete.retention.ms": "0" };
  const topic = { topic: TOPIC, partitions: 1, replicationFactor: 3, configs, deadlineMs: 1_000 };
  await runUntil(clock, cluster.connect("maker").create(topic));
  return {
    clock,
    cluster,
    open: async (name, around = (broker) => broker) => {
      const records: KeyedRecord[] = [];
      const errors: (string | undefined)[] = [];
      const opening = KeyedTopic.open({
        broker: around(cluster.connect(name)),
        clock,
        topic: TOPIC,
        onRecord: (record) => void records.push(record),
        onReading: (error) => void errors.push(error),
      });
      return { topic: await runUntil(clock, opening), records, errors };
    },
  };
}

function texts({ records }: Reader): readonly string[] {
  return records.map(({ key, value }) => `${key}=${value}`);
}

test("all readers see what is written in one order, and who comes later what is left of it", async () => {
  const { clock, cluster, open } = await made();
  const one = await open("one");
  const two = await open("two");
  expect(await runUntil(clock, one.topic.write("a", "1"))).toBe(0);
  expect(await runUntil(clock, two.topic.write("a", "2"))).toBe(1);
  await runUntil(clock, one.topic.write("b", "é"));
  await runUntil(clock, one.topic.write("b", ""));
  await runUntil(clock, two.topic.write("c", "3"));
  await runUntil(clock, Promise.all([one.topic.catchUp(), two.topic.catchUp()]));
  expect(texts(one)).toEqual(["a=1", "a=2", "b=é", "b=", "c=3"]);
  expect(two.records).toEqual(one.records);
  cluster.retain();
  const late = await open("late");
  expect(texts(late)).toEqual(["a=2", "c=3"]);
  expect(late.records.map(({ offset }) => offset)).toEqual([1, 4]);
});

test("what is caught up with includes each record that was acknowledged before", async () => {
  const { clock, cluster, open } = await made();
  const one = await open("one");
  const two = await open("two");
  cluster.isolate("two");
  await runUntil(clock, one.topic.write("a", "1"));
  let isCaughtUp = false;
  const catching = two.topic.catchUp().then(() => (isCaughtUp = true));
  await clock.advance(4_000);
  expect(isCaughtUp).toBe(false);
  cluster.heal("two");
  await runUntil(clock, catching);
  expect(texts(two)).toEqual(["a=1"]);
});

test("caught up with all is who has read what others have, also where its broker was cut off", async () => {
  const { clock, cluster, open } = await made();
  const one = await open("one");
  const two = await open("two");
  const place = { topic: TOPIC, partition: 0 };
  await runUntil(clock, one.topic.write("a", "1"));
  await clock.advance(5_000);
  const deposed = cluster.leaderOf(place) as number;
  cluster.isolate(
    "two",
    cluster.brokers.filter((broker) => broker !== deposed),
  );
  cluster.cutOff(deposed);
  await clock.advance(30_000);
  expect(cluster.leaderOf(place)).not.toBe(deposed);
  await runUntil(clock, one.topic.write("a", "2", 60_000));
  await runUntil(clock, two.topic.catchUp());
  expect(texts(two)).toEqual(["a=1"]);
  let isCaughtUp = false;
  const caughtUp = two.topic.catchUpWithAll(120_000).then(() => (isCaughtUp = true));
  await clock.advance(30_000);
  expect(isCaughtUp).toBe(false);
  cluster.heal("two");
  cluster.rejoin(deposed);
  await runUntil(clock, caughtUp);
  expect(texts(two)).toContain("a=2");
});

test("calls to catch up with all share a record, but for what was written meanwhile", async () => {
  const { clock, cluster, open } = await made();
  const one = await open("one");
  const two = await open("two");
  const calls = Array.from({ length: 5 }, () => one.topic.catchUpWithAll());
  await Promise.resolve();
  const later = one.topic.catchUpWithAll();
  await runUntil(clock, two.topic.write("a", "1"));
  await runUntil(clock, Promise.all([...calls, later]));
  const marks = cluster.records({ topic: TOPIC, partition: 0 }).filter(({ key }) => key === "mark");
  expect(marks).toHaveLength(2);
  await runUntil(clock, two.topic.write("b", "2"));
  cluster.retain();
  const left = cluster.records({ topic: TOPIC, partition: 0 }).map(({ key }) => key);
  expect(left).toEqual(["a", "b"]);
  one.topic.close();
  await expect(one.topic.catchUpWithAll()).rejects.toMatchObject({ code: "WAYBILL_CLOSED" });
});

test("who cannot write to it does not catch up with all, and may try again", async () => {
  const { clock, cluster, open } = await made();
  const { topic } = await open("one");
  cluster.isolate("one");
  const tries = [topic.catchUpWithAll(), topic.catchUpWithAll(3_000)];
  for (const one of tries) await expect(runUntil(clock, one)).rejects.toMatchObject({ isTransient: true });
  cluster.heal("one");
  await runUntil(clock, topic.catchUpWithAll(10_000));
});

test("who can write to it and not read it waits for 15 seconds, and may try again", async () => {
  const { clock, open } = await made();
  let isRefused = false;
  const { topic } = await open("one", (broker) => {
    const fetch = broker.fetch.bind(broker);
    const refuse = async (asked: FetchRequest): ReturnType<Broker["fetch"]> => {
      if (isRefused) throw new BrokerError("unauthorized", "not allowed");
      return fetch(asked);
    };
    return Object.assign(broker, { fetch: refuse });
  });
  isRefused = true;
  // The call under way ends.
  await clock.advance(1_000);
  const beganAtMs = clock.monotonic();
  const tries = [topic.catchUpWithAll(), topic.catchUpWithAll(), topic.write("a", "1").then(() => topic.catchUp())];
  for (const one of tries)
    await expect(runUntil(clock, one)).rejects.toMatchObject({
      code: "WAYBILL_LOG_UNAVAILABLE",
      reason: "unauthorized",
    });
  expect(clock.monotonic() - beganAtMs).toBeGreaterThan(15_000);
  expect(clock.monotonic() - beganAtMs).toBeLessThan(40_000);
  isRefused = false;
  await runUntil(clock, topic.catchUpWithAll());
});

test("an outage is reported when it begins and when it ends, and nothing is missed", async () => {
  const { clock, cluster, open } = await made();
  const one = await open("one");
  const two = await open("two");
  cluster.isolate("two");
  await clock.advance(60_000);
  await runUntil(clock, one.topic.write("a", "1"));
  await clock.advance(60_000);
  expect(two.errors.length).toBe(1);
  expect(two.errors[0]).toMatch(/timeout|no answer|answer/i);
  cluster.heal("two");
  await clock.advance(10_000);
  expect(two.errors.length).toBe(2);
  expect(two.errors[1]).toBeUndefined();
  expect(texts(two)).toEqual(["a=1"]);
});

test("who was away while the topic lost its end, and got another one, reads all anew", async () => {
  const { clock, cluster, open } = await made();
  const one = await open("one");
  const two = await open("two");
  const write = async (key: string): Promise<void> => {
    for (let number = 0; number < 20; number++) await runUntil(clock, two.topic.write(key, `${number}`, 10_000));
  };
  await write("a");
  await runUntil(clock, Promise.all([one.topic.catchUp(), two.topic.catchUp()]));
  for (const broker of cluster.brokers) cluster.kill(broker, { losesPower: true });
  await clock.advance(1_000);
  cluster.isolate("one");
  for (const broker of cluster.brokers) cluster.restart(broker);
  await clock.advance(5_000);
  const offsets = (): readonly number[] => cluster.records({ topic: TOPIC, partition: 0 }).map(({ offset }) => offset);
  expect(offsets().length).toBeLessThan(20);
  await write("b");
  const missed = offsets();
  expect(missed.length).toBeGreaterThan(20);
  cluster.heal("one");
  await clock.advance(10_000);
  for (const { records } of [one, two]) expect(records.slice(20).map(({ offset }) => offset)).toEqual(missed);
  // What is still the same is not read again.
  cluster.isolate("one");
  await clock.advance(10_000);
  cluster.heal("one");
  await clock.advance(10_000);
  expect(one.records).toHaveLength(20 + missed.length);
});

test("a write without an answer is sent again; without time for that it is rejected", async () => {
  const { clock, open, cluster } = await made();
  const { topic } = await open("one");
  cluster.isolate("one");
  await expect(runUntil(clock, topic.write("a", "1"))).rejects.toMatchObject({ isTransient: true });
  const writing = topic.write("a", "2", 60_000);
  clock.after(10_000, () => cluster.heal("one"));
  await runUntil(clock, writing);
  expect(cluster.records({ topic: TOPIC, partition: 0 }).at(-1)?.key).toBe("a");
});

test("a closed topic rejects what is on its way and what comes later", async () => {
  const { open } = await made();
  const one = await open("one");
  const writing = one.topic.write("a", "1");
  one.topic.close();
  await expect(writing).rejects.toMatchObject({ code: "WAYBILL_CLOSED" });
  await expect(one.topic.catchUp()).rejects.toMatchObject({ code: "WAYBILL_CLOSED" });
});
