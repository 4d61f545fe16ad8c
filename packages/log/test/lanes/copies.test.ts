/**
 * Copies that the log has found. Who takes a lane or a replay over may know of fewer of them, or of
 * more: a batch that was planned must be the same events under the same key all the same.
 */
import { type BatchLimits, DELIVERED, type Outcome } from "@waybill/core";
import {
  DeadLetters,
  Fates,
  fateTailOf,
  LaneState,
  type Log,
  type LogReader,
  type LogRecord,
  LogStore,
  NO_FATES,
  newLaneState,
  openLog,
  type Piece,
  type ReplayState,
  ReplayStore,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { fitting } from "../../src/batch.ts";
import { push } from "../lib/log-store.ts";

const LIMITS: BatchLimits = { maxEvents: 10, maxBytes: 10_000 };

/** The log to which these positions are copies. */
function knowing(log: Log, copies: readonly number[]): Log {
  const read = log.reader.bind(log);
  const mark = (record: LogRecord): LogRecord => {
    const duplicates = copies.map((one) => one - record.first).filter((index) => index >= 0 && index < record.count);
    return duplicates.length === 0 ? record : { ...record, duplicates };
  };
  log.reader = (from) => {
    const reader = read(from);
    const marking: LogReader = {
      get cursor() {
        return reader.cursor;
      },
      read: async (maxBytes) => (await reader.read(maxBytes)).map(mark),
      close: () => reader.close(),
    };
    return marking;
  };
  return log;
}

const runtimeOf = (): { disk: SimDisk; clock: VirtualClock } => ({ disk: new SimDisk(), clock: new VirtualClock() });

/** A log of eight events in records of three. */
async function logOf(runtime: ReturnType<typeof runtimeOf>, copies: readonly number[]): Promise<Log> {
  const log = await openLog({ directory: "/log" }, runtime);
  for (const texts of [
    ["0", "1", "2"],
    ["3", "4", "5"],
    ["6", "7"],
  ])
    await push(log, texts);
  return knowing(log, copies);
}

const fatesOf = (runtime: ReturnType<typeof runtimeOf>, tail: ReturnType<typeof fateTailOf>): Promise<Fates> =>
  Fates.open({ directory: "/fates", runtime, tail });

/** A lane from the start of the log, of which `leased` events may have been sent. */
async function laneOf(copies: readonly number[], leased = 0): Promise<LogStore> {
  const runtime = runtimeOf();
  const { clock, disk } = runtime;
  const empty = await openLog({ directory: "/empty" }, runtime);
  const initial = { ...newLaneState(empty, false), leased };
  const log = await logOf(runtime, copies);
  const state = await LaneState.open(disk, "/lanes", "a", () => initial);
  const deadLetters = await DeadLetters.open("/dead", 0, runtime);
  const fates = await fatesOf(runtime, fateTailOf(initial));
  return new LogStore({ name: "a", log, state, deadLetters, fates, clock, delivery: { maxInFlight: () => 1 } });
}

/** `cursor` is before `removedTo` where retention has taken what a crash left planned. */
async function replayOf(
  copies: readonly number[],
  leased = 0,
  { cursor, removedTo } = { cursor: 0, removedTo: 0 },
): Promise<ReplayStore<ReplayState>> {
  const runtime = runtimeOf();
  const log = await logOf(runtime, copies);
  async function* pieces(from: number): AsyncGenerator<Piece> {
    const begin = Math.max(from, removedTo);
    const reader = log.reader({ position: begin });
    for (;;) {
      const records = await reader.read(1_000);
      if (records.length === 0) return;
      for (const record of records) yield { record, start: Math.max(0, begin - record.first), end: record.count };
    }
  }
  const counts = { delivered: 0, rejected: 0, expired: 0 };
  const state = await LaneState.open<ReplayState>(runtime.disk, "/replays", "a", () => {
    return { total: 8, cursor, leased, ...counts, done: false };
  });
  const fates = await fatesOf(runtime, { from: 0, runs: [], before: NO_FATES });
  return new ReplayStore({ name: "a", state, fates, pieces });
}

/** The keys of all batches, each settled before the next one. */
async function keysOf(store: LogStore | ReplayStore<ReplayState>): Promise<readonly string[]> {
  const keys: string[] = [];
  for (;;) {
    const batch = await store.lease(LIMITS);
    if (batch === undefined) return keys;
    keys.push(batch.key);
    await store.settle(batch, new Array<Outcome>(batch.count).fill(DELIVERED));
  }
}

for (const [what, storeOf] of [
  ["a lane", laneOf],
  ["a replay", replayOf],
] as const) {
  test(`${what} makes batches of copies, and batches of other events`, async () => {
    expect(await keysOf(await storeOf([]))).toEqual(["a-0-8"]);
    expect(await keysOf(await storeOf([1, 2, 3, 6]))).toEqual(["a-0-1", "a-1-3", "a-4-2", "a-6-1", "a-7-1"]);
    expect(await keysOf(await storeOf([0, 1, 2, 3, 4, 5, 6, 7]))).toEqual(["a-0-8"]);
  });

  test(`${what} sends a batch as it was planned, whether or not its owner knows of the copies in it`, async () => {
    expect(await keysOf(await storeOf([1, 2, 3], 5))).toEqual(["a-0-5", "a-5-3"]);
    expect(await keysOf(await storeOf([], 1))).toEqual(["a-0-1", "a-1-7"]);
    expect(await keysOf(await storeOf([5], 1))).toEqual(["a-0-1", "a-1-4", "a-5-1", "a-6-2"]);
  });
}

test("a plan whose first event retention has taken does not hold for the events after it", async () => {
  const known = { cursor: 1, removedTo: 3 };
  expect(await keysOf(await replayOf([4], 3, known))).toEqual(["a-3-1", "a-4-1", "a-5-3"]);
  expect(await keysOf(await replayOf([4], 3, { cursor: 3, removedTo: 3 }))).toEqual(["a-3-3", "a-6-2"]);
});

test("copies end a batch as the limits do, and do not lift these", async () => {
  const log = await logOf(runtimeOf(), [4]);
  const pieces = (await log.reader({ position: 0 }).read(1_000)).map((record) => ({
    record,
    start: 0,
    end: record.count,
  }));
  const fit = (limits: Partial<BatchLimits>, planned = 0): number =>
    fitting(pieces, { ...LIMITS, ...limits }, { gaps: "are chosen", planned });
  expect(fit({})).toBe(4);
  expect(fit({ maxEvents: 3 })).toBe(3);
  expect(fit({ maxEvents: 2 })).toBe(2);
  // Each event is one byte, and a comma is between two.
  expect(fit({ maxBytes: 5 })).toBe(3);
  expect(fit({ maxBytes: 6 })).toBe(3);
  expect(fit({ maxBytes: 7 })).toBe(4);
  expect(fit({ maxEvents: 2, maxBytes: 1 }, 6)).toBe(6);
  const part = [{ ...(pieces[1] as Piece), start: 1 }, pieces[2] as Piece];
  expect(fitting(part, LIMITS)).toBe(1);
});
