/** The places from which positions are counted: there is one as long as there are records. */
import type { CommittedOffset } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { accountOf, EVENTS, OnePartition, TOPIC } from "./lib/one-partition.ts";

const AT = { topic: TOPIC, partition: 0 };
const FULL = { maxAgeMs: Number.POSITIVE_INFINITY, maxBytes: 0, hardMaxBytes: 0 };

async function done(world: OnePartition, work: Promise<unknown>): Promise<void> {
  let isDone = false;
  void work.then(() => (isDone = true));
  await world.clock.until(() => isDone);
}

test("a relay that dies right after it has removed old events leaves a place to count from", async () => {
  const world = new OnePartition();
  const one = await world.open("one");
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  await world.clock.advance(1_000);
  expect(await settled(world, one.retain(FULL, world.clock.now()))).toBeGreaterThan(0);
  // It dies: nothing else is written, and its session ends.
  world.cluster.isolate("one");
  await world.clock.advance(100_000);
  const two = await world.open("two");
  await world.produce(EVENTS);
  await world.clock.until(() => world.sent.length === 2 * EVENTS);
  await world.clock.advance(1_000);
  expect(accountOf(two)).toEqual({ accepted: 2 * EVENTS, delivered: 2 * EVENTS, pending: 0 });
});

test("a place that an older one has replaced, or a broker has forgotten, is written again", async () => {
  const world = new OnePartition();
  const one = await world.open("one");
  const stored = (): CommittedOffset | undefined => world.cluster.offsets(TOPIC, [AT])[0];
  await world.produce(0);
  await done(world, one.sync());
  const older = stored();
  await world.produce(EVENTS);
  await world.clock.advance(1_000);
  await done(world, one.sync());
  const newer = stored();
  expect(newer?.offset).toBe(2 * EVENTS);
  expect(older === undefined ? false : world.cluster.overwrite(TOPIC, [older])).toBe(true);
  await done(world, one.sync());
  expect(stored()).toEqual(newer);
  world.cluster.expireOffsets(TOPIC);
  await done(world, one.sync());
  expect(stored()).toEqual(newer);
});

test("a relay that stops leaves the place that it has counted to, for who opens the partition next", async () => {
  const world = new OnePartition();
  const one = await world.open("one");
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  expect(world.cluster.offsets(TOPIC, [AT])).toEqual([]);
  await world.close(one);
  expect(world.cluster.offsets(TOPIC, [AT])[0]?.offset).toBe(EVENTS);
});

test("a stop does not wait for that place for long", async () => {
  const world = new OnePartition();
  const one = await world.open("one", (broker) => ({
    commit: (asked) => (asked.group === TOPIC ? new Promise(() => undefined) : broker.commit(asked)),
  }));
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  const stopsAtMs = world.clock.monotonic();
  await world.close(one);
  expect(world.clock.monotonic() - stopsAtMs).toBeLessThan(1_000);
});

async function settled<T>(world: OnePartition, work: Promise<T>): Promise<T> {
  await done(world, work);
  return work;
}
