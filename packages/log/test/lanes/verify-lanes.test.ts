/**
 * What a check of the files says of lanes: their ledgers, the fates of their events, their dead
 * letters.
 */
import { DELIVERED, type Outcome } from "@waybill/core";
import {
  DeadLetters,
  Fates,
  fatesInFiles,
  fatesOf,
  LaneState,
  type LaneStateValue,
  LogStore,
  NO_FATES,
  newLaneState,
  openLog,
  parseLaneState,
  verifyLanes,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const EVENTS = 1_000;
const NEVER: Outcome = { status: "rejected", reason: "never" };
const FILTERED: Outcome = { status: "dropped", reason: "filtered" };

/**
 * A lane that settled its events with outcomes so mixed that their fates became blocks; three of
 * them are rejected.
 */
async function settled(): Promise<SimDisk> {
  const disk = new SimDisk();
  const clock = new VirtualClock();
  const runtime = { disk, clock };
  const log = await openLog({ directory: "/e/log" }, runtime);
  const state = await LaneState.open<LaneStateValue>(disk, "/e/lanes", "a", (lost) => newLaneState(log, lost));
  const deadLetters = await DeadLetters.open("/e/dead/a", log.head, runtime);
  const fates = await Fates.open({ directory: "/e/fates/a", runtime, ...fatesOf(state.initial, log) });
  const store = new LogStore({ name: "a", log, state, fates, deadLetters, clock });
  for (let index = 0; index < EVENTS; index++) {
    const body = Buffer.from(`{"messageId":"m-${index}"}`);
    await log.append({ source: "s", receivedAtMs: 1, metadata: "", body: [body], ends: Uint32Array.of(body.length) });
  }
  for (let sent = 0; sent < EVENTS; sent += 100) {
    const batch = await store.lease({ maxEvents: 100, maxBytes: 1_000_000 });
    if (batch === undefined) throw new Error("nothing was leased");
    const outcomes = Array.from({ length: batch.count }, (_, index) =>
      index % 2 === 0 ? DELIVERED : index === 31 && sent < 300 ? NEVER : FILTERED,
    );
    await store.settle(batch, outcomes);
  }
  await store.close();
  await log.close();
  return disk;
}

const check = async (disk: SimDisk): Promise<unknown> => verifyLanes("/e", 0, disk);

async function newest(disk: SimDisk, directory: string): Promise<{ readonly path: string; readonly size: number }> {
  const path = `${directory}/${(await disk.list(directory)).filter((name) => name.endsWith(".log")).at(-1)}`;
  const file = await disk.open(path);
  const size = await file.size();
  await file.close();
  return { path, size };
}

/** Writes the lane's state anew with a change. */
async function change(disk: SimDisk, value: Partial<LaneStateValue>): Promise<void> {
  const fail = (): never => {
    throw new Error("there is a state");
  };
  const state = await LaneState.open<LaneStateValue>(disk, "/e/lanes", "a", fail, parseLaneState);
  await state.write({ ...state.initial, ...value });
  await state.close();
}

test("a lane whose fates add up to its ledger is whole", async () => {
  const disk = await settled();
  expect(await check(disk)).toEqual([{ lane: "a", settled: EVENTS, known: EVENTS, faults: [] }]);
});

test("a damaged block of fates is reported, with the positions whose outcome is unknown", async () => {
  const disk = await settled();
  const { path } = await newest(disk, "/e/fates/a");
  disk.flipBit(path, 200);
  const [report] = await verifyLanes("/e", 0, disk);
  expect(report?.faults).toEqual(["the fates of positions 0 to 99 are damaged: their trace says unknown"]);
  expect(report).toMatchObject({ settled: EVENTS, known: EVENTS - 100 });
  // Of events that the log no longer has, fates may be gone.
  expect(await verifyLanes("/e", 200, disk)).toMatchObject([{ known: EVENTS, faults: [] }]);
});

test("a ledger that is not the sum of the fates is reported", async () => {
  const disk = await settled();
  await change(disk, { delivered: 501 });
  expect(await check(disk)).toMatchObject([
    {
      settled: EVENTS + 1,
      faults: [
        "the ledger has 501 events delivered, their fates 500",
        "1 events of the ledger have no fate: their trace says unknown",
      ],
    },
  ]);
  await change(disk, { delivered: 500, unkept: 0, dropped: { filtered: 490 } });
  expect(await check(disk)).toMatchObject([
    { faults: ["the ledger has 490 events dropped as filtered, their fates 497"] },
  ]);
});

test("events from before lanes kept fates are not a fault", async () => {
  const disk = await settled();
  await change(disk, { delivered: 600, unkept: 100 });
  expect(await check(disk)).toMatchObject([{ settled: EVENTS + 100, known: EVENTS, faults: [] }]);
});

test("a state that cannot be read and a damaged dead letter are reported", async () => {
  const disk = await settled();
  for (const at of [20, 4_096 + 20]) disk.flipBit("/e/lanes/a", at);
  const deadLetters = await newest(disk, "/e/dead/a");
  disk.flipBit(deadLetters.path, 100);
  expect(await check(disk)).toEqual([
    {
      lane: "a",
      settled: 0,
      known: 0,
      faults: [
        "its state cannot be read: at the next start it begins again at the start of the log, and its ledger anew",
        expect.stringMatching(/^dead letters are damaged: dead\/\w+\.log bytes 64 to \d+, at least 1 of them$/),
      ],
    },
  ]);
});

test("without lanes there is nothing to say", async () => {
  expect(await check(new SimDisk())).toEqual([]);
});

test("a dead letter that cannot be read is counted as damaged once it was listed, and as nothing else", async () => {
  const disk = await settled();
  const deadLetters = await DeadLetters.open("/e/dead/a", EVENTS, { disk, clock: new VirtualClock() });
  expect(deadLetters.counts()).toEqual({ waiting: 3, retried: 0, discarded: 0, damaged: 0 });
  await deadLetters.mark([0, 2], "retried");
  const { path } = await newest(disk, "/e/dead/a");
  disk.flipBit(path, 100);
  for (let time = 0; time < 2; time++) {
    const listed: number[] = [];
    for await (const { deadLetterId } of deadLetters.list()) listed.push(deadLetterId);
    expect(listed).toEqual([1, 2]);
    expect(deadLetters.counts()).toEqual({ waiting: 1, retried: 1, discarded: 0, damaged: 1 });
  }
});

test("a block that does not count what it holds is reported", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const blocks = await openLog({ directory: "/e/fates/a" }, runtime);
  for (const [first, delivered] of [
    [0, 2],
    [2, 3],
  ] as const) {
    const head = { first, count: 2, form: "runs", delivered, rejected: 0, expired: 0, dropped: {} };
    // Two events that were delivered.
    const body = [Uint8Array.of(2, 1)];
    await blocks.append({ source: "", receivedAtMs: 0, metadata: JSON.stringify(head), body, ends: Uint32Array.of(2) });
  }
  await blocks.close();
  const none = { rejected: 0, expired: 0, dropped: {} };
  const value = { base: 0, position: 4, byte: 64, delivered: 4, leased: 0, ...none };
  const fates = { from: 4, runs: [], before: { delivered: 4, ...none } };
  const state = await LaneState.open(disk, "/e/lanes", "a", () => ({ ...value, fates }));
  await state.close();
  expect(await check(disk)).toMatchObject([
    { faults: ["the block of fates of positions 2 to 3 does not count what it holds"] },
  ]);
});

test("the files of a lane that nobody has open tell what became of its events", async () => {
  const disk = await settled();
  const positions = [0, 1, 131, 999, EVENTS];
  const found = await fatesInFiles("/e", "a", positions, disk);
  const [delivered, filtered] = [{ status: "delivered" }, { status: "dropped", reason: "filtered" }];
  expect(positions.map((position) => found.get(position)?.fate)).toEqual([
    delivered,
    filtered,
    { status: "rejected" },
    filtered,
    { status: "pending" },
  ]);
  const { path } = await newest(disk, "/e/fates/a");
  disk.flipBit(path, 200);
  expect((await fatesInFiles("/e", "a", [0], disk)).get(0)?.fate).toEqual({ status: "unknown" });
  expect((await fatesInFiles("/e", "b", [0], disk)).size).toBe(0);
});

test("so they do of an event that was set aside and delivered after later ones", async () => {
  const disk = new SimDisk();
  const tail = { from: 0, runs: [], before: NO_FATES };
  const fates = await Fates.open({ directory: "/e/fates/a", runtime: { disk, clock: new VirtualClock() }, tail });
  fates.passTo(4, (position) => position === 1 || position === 3, true);
  fates.settleAt(1, DELIVERED);
  await fates.flush();
  const ledger = { delivered: 3, rejected: 0, expired: 0, dropped: {} };
  const value = { base: 0, position: 3, byte: 64, leased: 0, ...ledger, fates: fates.tail };
  await fates.close();
  const state = await LaneState.open(disk, "/e/lanes", "a", () => value);
  await state.close();
  const found = await fatesInFiles("/e", "a", [0, 1, 2, 3], disk);
  expect([...found.values()].map(({ fate }) => fate.status)).toEqual([
    "delivered",
    "delivered",
    "delivered",
    "pending",
  ]);
});
