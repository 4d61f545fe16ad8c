/**
 * Checks the lanes of a log by their files alone: that a lane's state can be read, that the sum of
 * its events' fates is its ledger, that each block of fates has the counts it records, and that its
 * dead letters are whole.
 *
 * A relay may be at work meanwhile: the state is read before the blocks, and blocks that are newer
 * than it are left out.
 */
import type { Disk } from "@waybill/core";
import type { LogRecord, Position } from "../types.ts";
import { verifyLog } from "../verify.ts";
import { namesIn, walkLog } from "../walk.ts";
import { blockOf, countsUpTo, type FateCounts, isSparse, totalOf } from "./fate-blocks.ts";
import { LaneState } from "./lane-state.ts";
import { fateTailOf, type LaneStateValue, parseLaneState } from "./lane-value.ts";

export interface LaneReport {
  readonly lane: string;
  /** Events that have their outcome, according to the ledger. */
  readonly settled: number;
  /** Of those the ones whose outcome is known one by one. */
  readonly known: number;
  /** What is damaged or disagrees, a sentence each; none for a lane that is whole. */
  readonly faults: readonly string[];
}

/**
 * The lanes beside a log: `directory` holds `lanes`, `fates` and `dead`. `logFirst`: the first
 * position that the log still has. **Errors**: `WAYBILL_DISK`.
 */
export async function verifyLanes(directory: string, logFirst: Position, disk: Disk): Promise<readonly LaneReport[]> {
  const reports: LaneReport[] = [];
  // A name with a dot is not a lane: it was set aside, or never finished.
  for (const lane of (await namesIn(disk, `${directory}/lanes`)).filter((name) => !name.includes(".")))
    reports.push(await verifyLane(directory, lane, logFirst, disk));
  return reports;
}

async function verifyLane(directory: string, lane: string, logFirst: Position, disk: Disk): Promise<LaneReport> {
  const state = await LaneState.peek(disk, `${directory}/lanes/${lane}`, parseLaneState);
  const deadLetters = await deadLetterFaults(`${directory}/dead/${lane}`, disk);
  if (state === undefined) {
    const fault =
      "its state cannot be read: at the next start it begins again at the start of the log, and its ledger anew";
    return { lane, settled: 0, known: 0, faults: [fault, ...deadLetters] };
  }
  const blocks = (): AsyncIterable<LogRecord> => recordsIn(`${directory}/fates/${lane}`, disk);
  const { settled, known, faults } = await verifyLaneState(state, blocks, logFirst);
  return { lane, settled, known, faults: [...faults, ...deadLetters] };
}

async function* recordsIn(directory: string, disk: Disk): AsyncGenerator<LogRecord> {
  if ((await namesIn(disk, directory)).length === 0) return;
  for await (const walked of walkLog(directory, disk)) if (walked.kind === "record") yield walked.record;
}

/**
 * Compares a lane's ledger with the fates of its events, the state's own and those in `blocks`,
 * wherever these are. They may be read after the state. **Errors**: those of `blocks`.
 */
export async function verifyLaneState(
  state: LaneStateValue,
  blocks: () => AsyncIterable<LogRecord>,
  logFirst: Position,
): Promise<Omit<LaneReport, "lane">> {
  const ledger: FateCounts = state;
  const settled = totalOf(ledger);
  if (state.fates === undefined) return { settled, known: 0, faults: [] };
  const fates = countsUpTo(state.fates);
  // What is settled ahead of others has its place among the fates once they are settled too.
  const elsewhere = (state.unkept ?? 0) + (state.ahead ?? 0);
  const faults = disagreements(ledger, fates, elsewhere > 0);
  const lost = await verifyBlocks(blocks(), state, logFirst, faults);
  const unkept = Math.max(0, settled - totalOf(fates));
  if (unkept > elsewhere)
    faults.push(`${unkept - elsewhere} events of the ledger have no fate: their trace says unknown`);
  return { settled, known: totalOf(fates) - lost, faults };
}

/** `hasMore`: the ledger counts events that these fates do not have, so it may be ahead. */
function disagreements(ledger: FateCounts, fates: FateCounts, hasMore: boolean): string[] {
  const pairs: (readonly [string, number, number])[] = [
    ["delivered", ledger.delivered, fates.delivered],
    ["rejected", ledger.rejected, fates.rejected],
    ["expired", ledger.expired, fates.expired],
  ];
  const dropped = (counts: FateCounts): Readonly<Record<string, number>> => counts.dropped;
  for (const reason of new Set([...Object.keys(ledger.dropped), ...Object.keys(fates.dropped)]))
    pairs.push([`dropped as ${reason}`, dropped(ledger)[reason] ?? 0, dropped(fates)[reason] ?? 0]);
  return pairs.flatMap(([outcome, inLedger, inFates]) =>
    inLedger === inFates || (hasMore && inLedger > inFates)
      ? []
      : [`the ledger has ${inLedger} events ${outcome}, their fates ${inFates}`],
  );
}

/**
 * Reads every block up to the state's tail. Returns how many events' fates are lost, of those that
 * the log still has.
 */
async function verifyBlocks(
  blocks: AsyncIterable<LogRecord>,
  state: LaneStateValue,
  logFirst: Position,
  faults: string[],
): Promise<number> {
  const tail = fateTailOf(state);
  let end: Position = 0;
  let counted: FateCounts | undefined;
  let lost = 0;
  /** Outcomes of parked events since the block before. */
  let patched = 0;
  const gap = (from: Position, to: Position): void => {
    if (to <= from) return;
    lost += to - from;
    faults.push(`the fates of positions ${from} to ${to - 1} are damaged: their trace says unknown`);
  };
  // Of before lanes kept fates, or of events the log no longer has: those may be gone.
  const neededFrom = Math.max(state.base + (state.unkept ?? 0), logFirst);
  for await (const record of blocks) {
    const block = blockOf(record);
    if (block === undefined) continue;
    if (block.form === "patch") patched += block.entries;
    if (isSparse(block.form) || block.end > tail.from) continue;
    gap(Math.max(end, neededFrom), block.first);
    if (
      block.first === end &&
      counted !== undefined &&
      totalOf(block.upToEnd) - totalOf(counted) !== totalOf(block.own) + patched
    )
      faults.push(`the block of fates of positions ${block.first} to ${block.end - 1} does not count what it holds`);
    end = block.end;
    counted = block.upToEnd;
    patched = 0;
  }
  gap(Math.max(end, neededFrom), tail.from);
  return lost;
}

async function deadLetterFaults(directory: string, disk: Disk): Promise<string[]> {
  if ((await namesIn(disk, directory)).length === 0) return [];
  const { damaged } = await verifyLog(directory, disk);
  return damaged.map(
    ({ segment, offset, bytes, events }) =>
      `dead letters are damaged: dead/${segment} bytes ${offset} to ${offset + bytes}, at least ${Math.max(1, events)} of them`,
  );
}
