/** What is logged while a cluster is out of order: once when that begins, once when it is over. */
import { BrokerError, type BrokerErrorCode } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { EVENTS, OnePartition, TOPIC } from "./lib/one-partition.ts";

const AT = { topic: TOPIC, partition: 0 };
const GROUP = `${TOPIC}.segment`;
const SESSION_MS = 12_000;
const LIMITS = { maxAgeMs: 1, maxBytes: 0, hardMaxBytes: 1e12 };

class World extends OnePartition {
  codes(): readonly string[] {
    return this.lines.map((line) => line.slice(0, line.indexOf(" ")));
  }

  async done(work: Promise<unknown>): Promise<void> {
    let isDone = false;
    void work.then(() => (isDone = true));
    await this.clock.until(() => isDone);
  }
}

test("places that cannot be written and events that cannot be removed are logged once, and their end", async () => {
  const world = new World();
  const coordinator = { isAway: false };
  const relay = await world.open("one", (broker) => ({
    committed: (asked) =>
      coordinator.isAway ? Promise.reject(new BrokerError("not_leader", "nobody")) : broker.committed(asked),
  }));
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  coordinator.isAway = true;
  for (let pass = 0; pass < 3; pass++) {
    await world.done(relay.sync());
    await world.done(relay.retain(LIMITS, world.clock.now()));
    await world.clock.advance(1_000);
  }
  expect(world.codes()).toEqual(["checkpoint_not_written", "records_not_removed"]);
  expect(world.lines[1]).toContain("partition 0: nobody");
  coordinator.isAway = false;
  for (let pass = 0; pass < 2; pass++) {
    await world.done(relay.retain(LIMITS, world.clock.now()));
    await world.done(relay.sync());
  }
  expect(world.codes().slice(2)).toEqual(["records_removed_again", "checkpoint_written"]);
});

test("a partition that cannot be opened is logged once for each kind of error, and when it is opened", async () => {
  const world = new World({ sessionTimeoutMs: SESSION_MS });
  let broken: BrokerErrorCode | undefined;
  const one = await world.open("one", (broker) => ({
    committed: (asked) =>
      broken !== undefined && asked.group === GROUP
        ? Promise.reject(new BrokerError(broken, "no way"))
        : broker.committed(asked),
  }));
  broken = "unreachable";
  await world.clock.advance(20_000);
  expect(world.codes()).toEqual(["lane_not_opened"]);
  broken = "unsupported";
  await world.clock.advance(20_000);
  broken = "unreachable";
  await world.clock.advance(20_000);
  expect(world.codes()).toEqual(["lane_not_opened", "lane_not_opened"]);
  // Cut off it has another error, and who gets the partition anew reports it anew.
  world.cluster.isolate("one");
  await world.clock.advance(2 * SESSION_MS);
  world.cluster.heal("one");
  await world.clock.advance(20_000);
  expect(world.codes().slice(-1)).toEqual(["lane_not_opened"]);
  broken = undefined;
  await world.clock.advance(6_000);
  expect(world.lines.at(-1)).toBe('lane_opened {"environment":"test","destination":"segment","partition":0}');
  expect(world.codes().filter((code) => code.startsWith("lane_"))).toEqual([
    "lane_not_opened",
    "lane_not_opened",
    "lane_not_opened",
    "lane_lost",
    "lane_not_opened",
    "lane_opened",
  ]);
  await world.close(one);
});

test("heartbeats that are not answered for a third of a session are logged once, and when they are again", async () => {
  const world = new World({ sessionTimeoutMs: SESSION_MS });
  await world.open("one");
  await world.clock.advance(2_000);
  world.cluster.isolate("one");
  await world.clock.advance(SESSION_MS / 3 - 100);
  world.cluster.heal("one");
  await world.clock.advance(2_000);
  expect(world.codes()).toEqual([]);
  world.cluster.isolate("one");
  await world.clock.advance(SESSION_MS / 3 + 1_000);
  expect(world.codes()).toEqual(["heartbeats_failing"]);
  await world.clock.advance(2 * SESSION_MS);
  world.cluster.heal("one");
  await world.clock.advance(5_000);
  expect(world.codes()).toEqual(["heartbeats_failing", "lane_lost", "heartbeats_work"]);
});

test("a destination whose offsets are gone, and that has left nothing else, is reported with what it skips", async () => {
  const world = new World();
  const one = await world.open("one");
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  await world.close(one);
  world.cluster.expireOffsets(GROUP);
  const two = await world.open("two");
  expect(world.lines).toEqual([`lanes_begin_at_end {"environment":"test","destination":"segment","partitions":[0]}`]);
  expect(two.faults()).toEqual([expect.stringMatching(/test\/segment had no committed offsets/)]);
  expect(one.faults()).toEqual([]);
});

test("offsets that another relay writes in time, and those of a new destination, are not", async () => {
  const world = new World();
  const one = await world.open("one");
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  await world.close(one);
  const before = world.cluster.offsets(GROUP, [AT]);
  world.cluster.expireOffsets(GROUP);
  world.clock.after(1_000, () => world.cluster.overwrite(GROUP, before));
  const two = await world.open("two");
  expect(world.lines).toEqual([]);
  expect(two.faults()).toEqual([]);
});

test("a topic that an operator changes is logged and a fault until it is set back, and events go on", async () => {
  const world = new World();
  const changed = new Map<string, Readonly<Record<string, string>>>();
  let isAway = false;
  const relay = await world.open("one", (broker) => ({
    describe: async (asked) => {
      if (isAway) throw new BrokerError("unreachable", "nobody");
      const found = await broker.describe(asked);
      return found.map((one) => ({ ...one, configs: { ...one.configs, ...changed.get(one.topic) } }));
    },
  }));
  await world.clock.advance(60_000);
  expect([world.codes(), relay.faults()]).toEqual([[], []]);
  changed.set(TOPIC, { "min.insync.replicas": "1", "cleanup.policy": "compact" });
  await world.clock.advance(180_000);
  expect(world.codes()).toEqual(["topic_faulty"]);
  expect(world.lines[0]).toContain(`--entity-name ${TOPIC} --add-config min.insync.replicas=2`);
  expect(relay.faults()).toEqual([
    expect.stringMatching(/^waybill\.test: it is compacted .*; it acknowledges what 1 /),
  ]);
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  // Who cannot ask goes on with what was known.
  isAway = true;
  changed.clear();
  await world.clock.advance(120_000);
  expect(relay.faults()).toHaveLength(1);
  isAway = false;
  await world.clock.advance(60_000);
  expect(world.codes()).toEqual(["topic_faulty", "topic_repaired"]);
  expect(relay.faults()).toEqual([]);
  await world.close(relay);
});
