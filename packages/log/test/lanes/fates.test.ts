import { DELIVERED, DROP_REASONS, type Outcome } from "@waybill/core";
import { type Fate, Fates, type FateTail } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const REJECTED: Outcome = { status: "rejected", reason: "never" };
const FILTERED: Outcome = { status: "dropped", reason: "filtered" };
const OUTCOMES: readonly Outcome[] = [
  DELIVERED,
  DELIVERED,
  DELIVERED,
  REJECTED,
  ...DROP_REASONS.map((reason): Outcome => ({ status: "dropped", reason })),
];
const NOTHING = { delivered: 0, rejected: 0, expired: 0, dropped: {} };
const FROM_0: FateTail = { from: 0, runs: [], before: NOTHING };
const FOREVER = {
  maxAgeMs: Number.POSITIVE_INFINITY,
  maxBytes: Number.POSITIVE_INFINITY,
  hardMaxBytes: Number.POSITIVE_INFINITY,
};

function open(disk: SimDisk, tail: FateTail = FROM_0): Promise<Fates> {
  return Fates.open({ directory: "/fates", runtime: { disk, clock: new VirtualClock() }, tail });
}

function statusOf(outcome: Outcome): Fate {
  return outcome.status === "dropped"
    ? { status: "dropped", reason: outcome.reason }
    : { status: outcome.status as "delivered" | "rejected" };
}

/**
 * Settles so many events at random, as a lane does: batch by batch, a block before each state.
 * Returns what became of each.
 */
async function settleAll(fates: Fates, random: SeededRandom, count: number): Promise<Fate[]> {
  const expected: Fate[] = [];
  for (let index = 0; index < count; index++) {
    const outcome = random.pick(OUTCOMES);
    fates.settle(outcome);
    expected.push(statusOf(outcome));
    if (index % 100 === 99) await fates.flush();
  }
  return expected;
}

async function fatesOf(fates: Fates, from: number, count: number): Promise<Fate[]> {
  const found: Fate[] = [];
  for (let index = 0; index < count; index++) found.push(await fates.at(from + index));
  return found;
}

test("equal outcomes are one run, whatever their number, and no block is written for them", async () => {
  const fates = await open(new SimDisk());
  for (let index = 0; index < 100_000; index++) fates.settle(DELIVERED);
  await fates.flush();
  expect(fates.tail).toEqual({ from: 0, runs: [100_000, 1], before: NOTHING, blocksTo: 0 });
  expect(await fates.at(99_999)).toEqual({ status: "delivered" });
  expect(await fates.at(100_000)).toEqual({ status: "unknown" });
});

test("each event's own outcome is found, in the tail and in blocks, also after another start", async () => {
  const disk = new SimDisk();
  const fates = await open(disk, { ...FROM_0, from: 40 });
  const expected = await settleAll(fates, new SeededRandom(1), 2_000);
  fates.expire(7);
  fates.drop("log_damaged", 3);
  expect(await fatesOf(fates, 40, 2_000)).toEqual(expected);
  expect(await fates.at(2_045)).toEqual({ status: "expired" });
  expect(await fates.at(2_049)).toEqual({ status: "dropped", reason: "log_damaged" });
  const { tail } = fates;
  await fates.close();
  const again = await open(disk, tail);
  expect(await fatesOf(again, 40, 2_000)).toEqual(expected);
  expect(again.counts()).toEqual(fates.counts());
});

test("the counts are those of the single fates", async () => {
  const fates = await open(new SimDisk());
  const expected = await settleAll(fates, new SeededRandom(2), 3_000);
  const dropped = Object.fromEntries(
    DROP_REASONS.map((reason) => [
      reason,
      expected.filter((fate) => "reason" in fate && fate.reason === reason).length,
    ]),
  );
  expect(fates.counts()).toEqual({
    delivered: expected.filter(({ status }) => status === "delivered").length,
    rejected: expected.filter(({ status }) => status === "rejected").length,
    expired: 0,
    dropped,
  });
});

test("the tail fits the slot of a lane's state; a long one is a block", async () => {
  const fates = await open(new SimDisk());
  for (let index = 0; index < 5_000; index++) {
    fates.settle(index % 2 === 0 ? DELIVERED : FILTERED);
    if (index % 50 === 49) await fates.flush();
    expect(JSON.stringify(fates.tail).length).toBeLessThan(2_500);
  }
  expect(await fates.at(0)).toEqual({ status: "delivered" });
  expect(await fates.at(1)).toEqual({ status: "dropped", reason: "filtered" });
});

test("short runs cost at most a byte an event", async () => {
  const disk = new SimDisk();
  const fates = await open(disk);
  const random = new SeededRandom(3);
  const count = 20_000;
  for (let index = 0; index < count; index++) {
    fates.settle(random.pick(OUTCOMES));
    if (index % 2_500 === 2_499) await fates.flush();
  }
  await fates.close();
  let bytes = 0;
  for (const name of await disk.list("/fates")) bytes += await (await disk.open(`/fates/${name}`)).size();
  expect(bytes).toBeLessThan(count * 1.3);
});

test("after a crash that follows a block the events are settled again, and the newer outcome counts", async () => {
  const disk = new SimDisk();
  const fates = await open(disk);
  for (let index = 0; index < 500; index++) fates.settle(index % 2 === 0 ? DELIVERED : FILTERED);
  await fates.flush();
  expect(fates.tail).toMatchObject({ from: 500, runs: [] });
  await fates.close();
  // The state with this tail was never written: the cursor is where it was.
  const again = await open(disk, FROM_0);
  expect(again.counts()).toEqual(NOTHING);
  for (let index = 0; index < 500; index++) again.settle(index % 2 === 0 ? REJECTED : DELIVERED);
  await again.flush();
  expect(await fatesOf(again, 0, 2)).toEqual([{ status: "rejected" }, { status: "delivered" }]);
  const { tail } = again;
  await again.close();
  const third = await open(disk, tail);
  expect(third.counts()).toEqual({ ...NOTHING, delivered: 250, rejected: 250 });
});

test("a position whose block is lost is unknown, never delivered", async () => {
  const disk = new SimDisk();
  const fates = await open(disk);
  for (let index = 0; index < 500; index++) fates.settle(index % 2 === 0 ? DELIVERED : FILTERED);
  await fates.flush();
  fates.settle(DELIVERED);
  const { tail } = fates;
  await fates.close();
  const [name] = await disk.list("/fates");
  const file = await disk.open(`/fates/${name}`);
  const size = await file.size();
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0);
  bytes[size - 20] = (bytes[size - 20] as number) ^ 1;
  await file.write([bytes], 0);
  await file.close();
  const again = await open(disk, tail);
  expect(await fatesOf(again, 0, 500)).toEqual(new Array(500).fill({ status: "unknown" }));
  expect(await again.at(500)).toEqual({ status: "delivered" });
});

test("what is settled while a block is being written is after it", async () => {
  const fates = await open(new SimDisk());
  for (let index = 0; index < 500; index++) fates.settle(index % 2 === 0 ? DELIVERED : FILTERED);
  const flushed = [fates.flush(), fates.flush()];
  fates.settle(REJECTED);
  expect(await fates.at(500)).toEqual({ status: "rejected" });
  expect(await fates.at(1)).toEqual({ status: "dropped", reason: "filtered" });
  await Promise.all(flushed);
  expect(fates.tail).toMatchObject({ from: 500, runs: [1, 2], before: { delivered: 250, dropped: { filtered: 250 } } });
  expect(fates.counts()).toEqual({ ...NOTHING, delivered: 250, rejected: 1, dropped: { filtered: 250 } });
});

test("without room for a block the fates are kept in memory and written once there is room; the state claims nothing that is not on disk", async () => {
  const disk = new SimDisk();
  const fates = await open(disk);
  disk.capacityBytes = 0;
  for (let index = 0; index < 1_000; index++) fates.settle(index % 2 === 0 ? DELIVERED : FILTERED);
  await expect(fates.flush()).rejects.toMatchObject({ code: "WAYBILL_LOG_FULL" });
  expect(fates.tail).toMatchObject({ from: 1_000, runs: [] });
  expect(await fates.at(1)).toEqual({ status: "dropped", reason: "filtered" });
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await fates.flush();
  const { tail } = fates;
  await fates.close();
  const again = await open(disk, tail);
  expect(await again.at(1)).toEqual({ status: "dropped", reason: "filtered" });
  expect(again.counts()).toEqual({ ...NOTHING, delivered: 500, dropped: { filtered: 500 } });
});

test("retention removes old blocks but none whose events the log still has; the counts go on", async () => {
  const disk = new SimDisk();
  const clock = new VirtualClock();
  const fates = await Fates.open({
    directory: "/fates",
    runtime: { disk, clock },
    tail: FROM_0,
    segmentMaxBytes: 2_000,
  });
  const expected = await settleAll(fates, new SeededRandom(4), 10_000);
  const counts = fates.counts();
  await fates.retain({ ...FOREVER, maxBytes: 0 }, clock.now(), 6_000);
  expect(await fates.at(0)).toEqual({ status: "unknown" });
  expect(await fatesOf(fates, 6_000, 4_000)).toEqual(expected.slice(6_000));
  expect(fates.counts()).toEqual(counts);
  const kept = fates.tail;
  await fates.close();
  expect((await open(disk, kept)).counts()).toEqual(counts);
});

/** A block of outcomes out of order that the state was never written after. */
async function withNewerBlock(): Promise<{ readonly disk: SimDisk; readonly tail: FateTail }> {
  const disk = new SimDisk();
  const fates = await open(disk);
  const { tail } = fates;
  fates.settleAt(5, FILTERED);
  fates.expireUnread(7, 9);
  await fates.flush();
  await fates.close();
  return { disk, tail };
}

test("a block that is newer than the state never counts, whenever the next state is written", async () => {
  const { disk, tail } = await withNewerBlock();
  const next = await open(disk, tail);
  expect([next.wasSettled(5), next.wasSettled(8)]).toEqual([false, false]);
  next.settleAt(6, REJECTED);
  await next.flush();
  const later = next.tail;
  await next.close();
  const last = await open(disk, later);
  expect([5, 6, 7, 8].map((position) => last.wasSettled(position))).toEqual([false, true, false, false]);
});

test("nor while nothing can be written down that comes after it", async () => {
  const { disk, tail } = await withNewerBlock();
  const first = await open(disk, tail);
  first.settleAt(6, REJECTED);
  await first.flush();
  const known = first.tail;
  first.settleAt(8, REJECTED);
  await first.flush();
  await first.close();
  const next = await open(disk, known);
  disk.capacityBytes = 0;
  await expect(next.flush()).rejects.toMatchObject({ code: "WAYBILL_LOG_FULL" });
  const full = next.tail;
  await next.close();
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  const last = await open(disk, full);
  expect([5, 6, 8].map((position) => last.wasSettled(position))).toEqual([false, true, false]);
  expect(last.aheadAt(6)).toEqual({ status: "rejected" });
});

test("what could not be written down is unknown, not delivered, when its part of the log is removed", async () => {
  const fates = await open(new SimDisk(), { ...FROM_0, isUnsure: true });
  fates.doubt(10);
  fates.noteOpen(4);
  for (const position of [3, 4, 12]) fates.writeDelivered(position);
  expect([3, 4, 12].map((position) => fates.aheadAt(position).status)).toEqual(["unknown", "delivered", "delivered"]);
});

test.each([
  ["lost with the end of its log", (): SimDisk => new SimDisk()],
  ["damaged", damaged],
])("where a block was %s nothing of what it may have had is taken for delivered", async (_, after) => {
  const disk = new SimDisk();
  const fates = await open(disk);
  fates.settleAt(5, REJECTED);
  await fates.flush();
  const { tail } = fates;
  await fates.close();
  const next = await open(after(disk), tail);
  next.doubt(10);
  next.noteOpen(4);
  expect([4, 5, 6].map((position) => next.aheadAt(position).status)).toEqual(["delivered", "unknown", "unknown"]);
});

function damaged(disk: SimDisk): SimDisk {
  const path = disk.paths().find((one) => one.endsWith(".log")) ?? "";
  disk.flipBit(path, Buffer.from(disk.contents(path)).indexOf("ahead"));
  return disk;
}

test("the outcome of an event that was parked is known while its block is being written", async () => {
  const fates = await open(new SimDisk());
  fates.passTo(2, (position) => position === 0, true);
  await fates.flush();
  fates.settleAt(0, REJECTED);
  const flushing = fates.flush();
  expect(await fates.at(0)).toEqual({ status: "rejected" });
  await flushing;
  expect(await fates.at(0)).toEqual({ status: "rejected" });
});
