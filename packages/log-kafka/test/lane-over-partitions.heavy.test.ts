/** What runs over the log on a disk runs, unchanged, over partitions: a lane with all its logs. */
import { DELIVERED, type Outcome } from "@waybill/core";
import {
  DeadLetters,
  Fates,
  fatesOf,
  LaneState,
  type LaneStateValue,
  LogBatch,
  LogStore,
  newLaneState,
  parseLaneState,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { testStore } from "@waybill/testing/suites";
import { expect, test } from "vitest";
import { runStrands } from "../../log/test/lib/strands-model.ts";
import { LanePartitions } from "./lib/lane-partitions.ts";

const WIDE = { maxEvents: 1_000, maxBytes: 1_000_000 };
const NEVER: Outcome = { status: "rejected", reason: "never" };

interface Opened {
  readonly store: LogStore;
  readonly deadLetters: DeadLetters;
}

/** The state is still a file here: what a commit makes of it has tests of its own. */
async function openStore(logs: LanePartitions, clock: VirtualClock, disk: SimDisk): Promise<Opened> {
  const { log, openLog } = await logs.open(clock);
  const runtime = { clock, openLog };
  const makeNew = (damaged: boolean): LaneStateValue => newLaneState(log, damaged);
  const state = await LaneState.open<LaneStateValue>(disk, "/lanes", "a", makeNew, parseLaneState);
  const deadLetters = await DeadLetters.open("/dead", log.head, runtime, state.initial.dead);
  const fates = await Fates.open({ directory: "/fates", runtime, ...fatesOf(state.initial, log), tailMaxRuns: 2 });
  return { store: new LogStore({ name: "a", log, state, fates, deadLetters, clock }), deadLetters };
}

testStore("log store over a partition", async (texts) => {
  const logs = new LanePartitions();
  const { store } = await openStore(logs, new VirtualClock(), new SimDisk());
  if (texts.length > 0) await logs.append(texts);
  return { store, push: (more) => logs.append(more) };
});

testStore("log store over many records of a partition", async (texts) => {
  const logs = new LanePartitions();
  const { store } = await openStore(logs, new VirtualClock(), new SimDisk());
  const pushEach = async (more: readonly string[]): Promise<void> => {
    for (const text of more) await logs.append([text]);
  };
  await pushEach(texts);
  return { store, push: pushEach };
});

test("strands, parked users, retention and deaths over partitions: each event has one outcome, ledger and fates agree", () =>
  runStrands(12, { mayFatesFail: false, makeLogs: () => new LanePartitions() }));

test("dead letters, their marks and fates are there for who opens the topics next", async () => {
  const logs = new LanePartitions();
  const clock = new VirtualClock();
  const disk = new SimDisk();
  const { store, deadLetters } = await openStore(logs, clock, disk);
  await logs.append(Array.from({ length: 12 }, (_, index) => `{"n":${index}}`));
  const batch = await store.lease(WIDE);
  expect(batch?.count).toBe(12);
  const outcomes = Array.from({ length: 12 }, (_, index): Outcome => (index % 3 === 0 ? NEVER : DELIVERED));
  if (batch !== undefined) await store.settle(batch, outcomes);
  await deadLetters.mark([1], "discarded");
  await store.close();
  const again = await openStore(logs, clock, disk);
  expect(again.deadLetters.counts()).toEqual({ waiting: 3, retried: 0, discarded: 1, damaged: 0 });
  const events: string[] = [];
  for await (const { event, position } of again.deadLetters.list()) events.push(`${position} ${Buffer.from(event)}`);
  expect(events).toEqual(['0 {"n":0}', '3 {"n":3}', '6 {"n":6}', '9 {"n":9}']);
  expect((await again.deadLetters.forEvent(6))?.deadLetterId).toBe(2);
  const statuses = await Promise.all(
    Array.from({ length: 12 }, async (_, position) => (await again.store.fateAt(position)).status),
  );
  expect(statuses).toEqual(outcomes.map(({ status }) => status));
  expect(again.store.account()).toMatchObject({ accepted: 12, delivered: 8, rejected: 4, balanced: true });
});

test("all events of a large batch become dead letters, whatever a topic takes at once", async () => {
  const { store, deadLetters } = await openStore(new LanePartitions(), new VirtualClock(), new SimDisk());
  const body = Buffer.alloc(300_000, "x");
  const shared = { count: 1, source: "s", receivedAtMs: 1, metadata: "m", body, ends: Uint32Array.of(body.length) };
  const pieces = Array.from({ length: 40 }, (_, first) => ({
    record: { ...shared, first, sizeBytes: body.length },
    start: 0,
    end: 1,
  }));
  await deadLetters.keep(new LogBatch("a", pieces), new Array<Outcome>(40).fill(NEVER));
  const sizes: number[] = [];
  for await (const { event } of deadLetters.list()) sizes.push(event.length);
  expect(sizes).toEqual(pieces.map(() => body.length));
  await store.close();
});
