/** Lanes whose partition is read from a broker that knows less of it than others do. */
import type { DeadLetters } from "@waybill/log";
import { type Broker, BrokerError, type FetchRequest } from "@waybill/log-kafka";
import type { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import type { ClusterEnvironment } from "../../src/cluster/cluster-environment.ts";
import { accountOf, EVENTS, OnePartition, TOPIC } from "./lib/one-partition.ts";
import { ALL, expectAllOnce, ReplayWorld } from "./lib/replay-world.ts";

/** Records that the broker knows that is behind. */
const KNOWN = 5;
const LONG_MS = 120_000;
const MANY = 200;

test.each([
  ["no checkpoint", `the partition was read to position 0, and its lane had come to ${EVENTS} before`],
  ["a checkpoint of its end", `offset ${EVENTS}, where position ${EVENTS} was, is not in the partition`],
])(
  "with %s a lane begins once its partition is read as far as it was before; until then it says so",
  async (checkpoint, said) => {
    const world = new OnePartition();
    const one = await world.open("one");
    const stale = { isStale: false };
    const two = await world.open("two", lacking(world, stale, TOPIC));
    await world.clock.advance(5_000);
    stale.isStale = true;
    await world.produce(0);
    await world.clock.until(() => world.sent.length === EVENTS);
    await world.close(one);
    if (checkpoint === "no checkpoint") world.cluster.expireOffsets(TOPIC);
    await world.clock.advance(30_000);
    expect(accountOf(two)).toBeUndefined();
    expect(world.lines.filter((line) => line.startsWith("lane_not_opened"))[0]).toContain(said);
    stale.isStale = false;
    await world.produce(EVENTS);
    await world.clock.until(() => world.sent.length >= 2 * EVENTS, LONG_MS);
    await world.clock.advance(5_000);
    expect(world.sent).toHaveLength(2 * EVENTS);
    expect(accountOf(two)).toEqual({ accepted: 2 * EVENTS, delivered: 2 * EVENTS, pending: 0 });
  },
);

test("a batch that was planned goes again as it was, although its events are not all there at first", async () => {
  const world = new OnePartition();
  const one = await world.open("one");
  const stale = { isStale: false };
  const two = await world.open("two", (broker) => ({
    fetch: async (asked) => {
      const fetched = await broker.fetch(asked);
      if (!stale.isStale || asked.topic !== TOPIC) return fetched;
      return { ...fetched, end: KNOWN, records: fetched.records.filter(({ offset }) => offset < KNOWN) };
    },
    offsetAt: async (asked) => {
      const offset = await broker.offsetAt(asked);
      return stale.isStale && asked.topic === TOPIC ? Math.min(offset, KNOWN) : offset;
    },
  }));
  await world.clock.advance(5_000);
  stale.isStale = true;
  world.hangs = true;
  // All at once, so that the batch has them all.
  const numbers = Array.from({ length: EVENTS }, (_, number) => number);
  await world.store(numbers);
  await world.clock.until(() => world.requests.length > 0);
  const first = numbers.map((number) => `m-${number}`).join();
  await world.close(one);
  world.cluster.expireOffsets(TOPIC);
  await world.clock.advance(30_000);
  expect(world.requests).toEqual([first]);
  stale.isStale = world.hangs = false;
  await world.clock.until(() => world.sent.length === EVENTS, LONG_MS);
  expect(world.requests).toEqual([first, first]);
  await world.close(two);
});

test("a partition whose end seemed to be gone is opened again, and its lanes go on where they were", async () => {
  const world = new OnePartition();
  const stale = { isStale: false };
  const one = await world.open("one", (broker) => ({
    fetch: (asked) =>
      stale.isStale && asked.topic === TOPIC
        ? Promise.reject(new BrokerError("offset_out_of_range", `${asked.offset} of 0 to 3`))
        : broker.fetch(asked),
  }));
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  stale.isStale = true;
  await world.clock.advance(30_000);
  expect(world.lines.filter((line) => line.startsWith("lane_not_opened"))).not.toEqual([]);
  stale.isStale = false;
  await world.produce(EVENTS);
  await world.clock.until(() => world.sent.length >= 2 * EVENTS, LONG_MS);
  await world.clock.advance(5_000);
  expect(world.sent).toHaveLength(2 * EVENTS);
  expect(accountOf(one)).toEqual({ accepted: 2 * EVENTS, delivered: 2 * EVENTS, pending: 0 });
});

test("nor before its fates are read as far as they were written", async () => {
  const world = new OnePartition();
  const fates = `${TOPIC}.segment.fates`;
  const one = await world.open("one");
  const stale = { isStale: false };
  const two = await world.open("two", lacking(world, stale, fates));
  await world.clock.advance(5_000);
  stale.isStale = true;
  // Every other one is a copy of the one before it: too many outcomes in turn for the lane's state.
  const numbers = Array.from({ length: MANY }, (_, number) => Math.floor(number / 2));
  await world.store(numbers);
  await world.clock.until(() => world.sent.length === MANY / 2);
  await world.clock.advance(5_000);
  await world.close(one);
  await world.clock.advance(30_000);
  expect(world.lines.filter((line) => line.startsWith("lane_not_opened"))[0]).toContain(`${fates}-0 was read to`);
  expect(accountOf(two)).toBeUndefined();
  stale.isStale = false;
  await world.clock.until(() => accountOf(two) !== undefined, LONG_MS);
  expect(accountOf(two)).toEqual({ accepted: MANY, delivered: MANY / 2, pending: 0 });
  let outcome: unknown;
  void two.shards[0]
    ?.destination("segment")
    ?.outcomeOf(1)
    .then((found) => (outcome = found));
  await world.clock.until(() => outcome !== undefined);
  expect(outcome).toEqual({ outcome: "dropped", reason: "duplicate" });
});

test("nor before it is read which of its dead letters were discarded", async () => {
  const world = new OnePartition();
  const marks = `${TOPIC}.segment.marks`;
  const one = await world.open("one");
  const stale = { isStale: false };
  const two = await world.open("two", lacking(world, stale, marks));
  await world.clock.advance(5_000);
  stale.isStale = true;
  world.status = 400;
  await world.store([1, 2, 3]);
  await world.clock.until(() => deadLettersOf(one)?.counts().waiting === 3);
  let isDone = false;
  void deadLettersOf(one)
    ?.mark([0, 2], "discarded")
    .then(() => (isDone = true));
  await world.clock.until(() => isDone);
  // Nothing more is written to the lane's state.
  world.cluster.isolate("one");
  await world.clock.advance(LONG_MS);
  expect(world.lines.filter((line) => line.startsWith("lane_not_opened"))[0]).toContain(`${marks}-0 was read to`);
  expect(deadLettersOf(two)).toBeUndefined();
  stale.isStale = false;
  await world.clock.until(() => deadLettersOf(two) !== undefined, LONG_MS);
  expect(deadLettersOf(two)?.counts()).toMatchObject({ waiting: 1, discarded: 2 });
});

test("who has lost a lane discards none of its dead letters", async () => {
  const world = new OnePartition();
  const one = await world.open("one");
  const two = await world.open("two");
  await world.clock.advance(5_000);
  world.status = 400;
  await world.store([1]);
  await world.clock.until(() => deadLettersOf(one)?.counts().waiting === 1);
  const deadLetters = deadLettersOf(one);
  world.cluster.pause("one");
  await world.clock.until(() => deadLettersOf(two) !== undefined, LONG_MS);
  world.cluster.resume("one");
  let failed: unknown;
  deadLetters?.mark([0], "discarded").catch((error: unknown) => (failed = error));
  await world.clock.until(() => failed !== undefined, LONG_MS);
  await world.clock.advance(5_000);
  expect(world.cluster.records({ topic: `${TOPIC}.segment.marks`, partition: 0 })).toEqual([]);
  expect(deadLettersOf(two)?.counts().waiting).toBe(1);
});

const DESIRED = "waybill.desired";

/** A broker that answers as one that was cut off from the others when `desired` had so much. */
function lateReader(world: ReplayWorld, stale: { end: number | undefined }): (broker: Broker) => Broker {
  return (broker) => {
    const { fetch, offsetAt } = { fetch: broker.fetch.bind(broker), offsetAt: broker.offsetAt.bind(broker) };
    return Object.assign(broker, {
      fetch: async (asked: FetchRequest) => {
        const { end } = stale;
        if (end === undefined || asked.topic !== DESIRED) return fetch(asked);
        if (asked.offset >= end) await new Promise<void>((resolve) => world.clock.after(asked.maxWaitMs, resolve));
        const fetched = await fetch({ ...asked, maxWaitMs: 0 });
        return { ...fetched, end, records: fetched.records.filter(({ offset }) => offset < end) };
      },
      offsetAt: async (asked: Parameters<Broker["offsetAt"]>[0]) =>
        asked.topic === DESIRED && asked.at === "end" ? (stale.end ?? offsetAt(asked)) : offsetAt(asked),
    });
  };
}

test("a replay that was over is not run again by who has not read so yet", async () => {
  const world = new ReplayWorld();
  const stale: { end: number | undefined } = { end: undefined };
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(8);
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  stale.end = world.cluster.records({ topic: DESIRED, partition: 0 }).length;
  const ended = await world.ended(one, id);
  // Its states show no trace of the replay after that.
  await world.produce(1, 8);
  await world.clock.until(() => world.sent.length === 24 + 3);
  world.requests.length = 0;
  const two = await world.start("two", { around: lateReader(world, stale) });
  expect(await world.view(two, id)).not.toEqual(ended);
  await one.stop();
  await world.clock.advance(LONG_MS);
  expect(world.sent).toEqual([]);
  expect(two.environment.laneEntries()).toEqual([]);
  stale.end = undefined;
  await world.clock.until(() => world.areShared(two), LONG_MS);
  await world.produce(1, 9);
  await world.clock.advance(60_000);
  expect(world.sent.toSorted()).toEqual(["p0-9", "p1-9", "p2-9"]);
  expect(await world.view(two, id)).toEqual(ended);
  await world.end();
});

test("a destination that was paused is not sent to by who has not read so yet", async () => {
  const world = new ReplayWorld();
  const stale: { end: number | undefined } = { end: undefined };
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  stale.end = world.cluster.records({ topic: DESIRED, partition: 0 }).length;
  const lanes = { environment: "test", destination: "segment" };
  await world.run(one.control.steer(lanes, "pause"));
  await world.produce(4);
  const two = await world.start("two", { around: lateReader(world, stale) });
  await one.stop();
  await world.clock.advance(LONG_MS);
  expect(world.sent).toEqual([]);
  stale.end = undefined;
  await world.clock.until(() => world.areShared(two), LONG_MS);
  await world.clock.advance(60_000);
  expect(world.sent).toEqual([]);
  await world.run(two.control.steer(lanes, "resume"));
  await world.clock.until(() => world.sent.length === 12);
  expect(expectAllOnce(world, 4)).toBe(0);
  await world.end();
});

/** A broker that, while it is stale, has heard of no record of a topic. */
function lacking(
  { clock }: OnePartition,
  stale: { readonly isStale: boolean },
  topic: string,
): (broker: Broker) => Partial<Broker> {
  const isLacking = (asked: { readonly topic: string }): boolean => stale.isStale && asked.topic === topic;
  return (broker) => ({
    fetch: (asked) => (isLacking(asked) ? empty(clock, asked) : broker.fetch(asked)),
    offsetAt: (asked) => (isLacking(asked) ? Promise.resolve(0) : broker.offsetAt(asked)),
  });
}

function deadLettersOf({ shards }: ClusterEnvironment): DeadLetters | undefined {
  return shards[0]?.destination("segment")?.deadLetters;
}

/** As of a leader that has heard of no record. */
async function empty(clock: VirtualClock, { offset, maxWaitMs }: FetchRequest): ReturnType<Broker["fetch"]> {
  if (offset > 0) throw new BrokerError("offset_out_of_range", `${offset} of 0 to 0`);
  await new Promise<void>((resolve) => clock.after(maxWaitMs, resolve));
  return { records: [], end: 0, first: 0 };
}
