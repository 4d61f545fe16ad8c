/**
 * Crash points of the log: a workload runs once on a disk that records every operation; then, for
 * every point between two of them and in the middle of each, every state is built that a power cut
 * there could leave, and the log must recover from it. Up to {@link SUBSETS_MAX} subsets of a point
 * are enumerated, beyond that so many are sampled with a seed.
 *
 * Recovery must give every acknowledged record that retention had not begun to remove, at its
 * position, byte for byte; invent none; change nothing when it runs again; and leave a log that
 * takes more. A cursor must not be after what was settled, nor before what was synced.
 */
import type { Disk } from "@waybill/core";
import { LaneState, type Log, openLog } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { type CrashTally, crashesOf } from "./power-cut.ts";
import { type Operation, RecordingDisk } from "./recording-disk.ts";
import { contents, digestOf, entryOf, readAll } from "./records.ts";

export interface CrashPointResult {
  /** Disk operations that were recorded. */
  readonly operations: number;
  /** Places a crash was put: before each operation, in the middle of each write, at the end. */
  readonly points: number;
  /** Different disk states. */
  readonly states: number;
  /** Times a log was opened. */
  readonly recoveries: number;
  /** Points whose subsets were sampled, being more than the bound. */
  readonly sampled: number;
  readonly failures: readonly string[];
}

export interface CrashPointOptions {
  readonly seed: number;
  /** Appends of the workload. */
  readonly appends: number;
  /** Between the log and its disk: for planted bugs. */
  readonly wrap?: (disk: Disk) => Disk;
}

export const SUBSETS_MAX = 256;
const LOG = "/log";
const LANES = "/lanes";
/** Times the log is opened for each state. */
const RECOVERIES_EACH = 3;

interface Appended {
  readonly text: string;
  /**
   * Operations recorded when it was issued, and when it was acknowledged; `undefined` when it never
   * was.
   */
  readonly issuedAt: number;
  acknowledgedAt?: number;
  position?: number;
}

interface Workload {
  readonly operations: readonly Operation[];
  readonly appended: readonly Appended[];
  /** The lane's positions: operations recorded when it was written, and when it was synced. */
  readonly cursors: readonly { readonly position: number; readonly writtenAt: number; syncedAt?: number }[];
}

async function runWorkload({ seed, appends, wrap }: CrashPointOptions): Promise<Workload> {
  const random = new SeededRandom(seed);
  const disk = new RecordingDisk();
  const clock = new VirtualClock();
  const runtime = { disk: wrap?.(disk) ?? disk, clock };
  const appended: Appended[] = [];
  const cursors: { position: number; writtenAt: number; syncedAt?: number }[] = [];
  const open = (): Promise<Log> => openLog({ directory: LOG, segmentMaxBytes: 1_500 }, runtime);
  let log = await open();
  let lane = await LaneState.open(runtime.disk, LANES, "one", () => ({ position: 0 }));
  const append = async (index: number): Promise<void> => {
    const text = `{"n":${index},"pad":"${"x".repeat(random.below(900))}"}`;
    const entry: Appended = { text, issuedAt: disk.operations.length };
    appended.push(entry);
    try {
      entry.position = await log.append(entryOf(text));
      entry.acknowledgedAt = disk.operations.length;
    } catch {
      // Refused: it may be anywhere or nowhere, and was promised nothing.
    }
  };
  for (let index = 0; index < appends; ) {
    const together = 1 + random.below(4);
    await Promise.all(Array.from({ length: together }, () => append(index++)));
    const roll = random.next();
    if (roll < 0.5) {
      const position = Math.max(cursors.at(-1)?.position ?? 0, random.below(log.head + 1));
      cursors.push({ position, writtenAt: disk.operations.length });
      await lane.write({ position });
    } else if (roll < 0.65) {
      await lane.sync();
      for (const cursor of cursors) cursor.syncedAt ??= disk.operations.length;
    } else if (roll < 0.75) {
      await log.retain({ maxAgeMs: 0, maxBytes: 6_000, hardMaxBytes: 6_000 }, clock.now(), log.head);
    } else if (roll < 0.83) {
      disk.capacityBytes = disk.capacityBytes === Number.POSITIVE_INFINITY ? 14_000 : Number.POSITIVE_INFINITY;
    } else if (roll < 0.9) {
      await log.close();
      await lane.close();
      for (const cursor of cursors) cursor.syncedAt ??= disk.operations.length;
      log = await open();
      lane = await LaneState.open(runtime.disk, LANES, "one", () => ({ position: 0 }));
    }
  }
  return { operations: disk.operations, appended, cursors };
}

/** Runs the workload and tries every crash point of it. */
export async function tryCrashPoints(options: CrashPointOptions): Promise<CrashPointResult> {
  const workload = await runWorkload(options);
  const { operations } = workload;
  const random = new SeededRandom(options.seed + 1);
  const tally: CrashTally = { points: 0, sampled: 0, states: 0 };
  const failures: string[] = [];
  for (const { at, number, files } of crashesOf(operations, { subsetsMax: SUBSETS_MAX, random, tally })) {
    const problem = await problemOf(files, at, workload);
    if (problem !== undefined)
      failures.push(
        `seed ${options.seed}, before operation ${at} (${operations[at]?.kind ?? "the end"}), state ${number}: ${problem}`,
      );
  }
  return { operations: operations.length, ...tally, recoveries: tally.states * RECOVERIES_EACH, failures };
}

async function problemOf(
  files: ReadonlyMap<string, Uint8Array>,
  at: number,
  workload: Workload,
): Promise<string | undefined> {
  const disk = SimDisk.of(files, [LOG, LANES]);
  const clock = new VirtualClock();
  const runtime = { disk, clock };
  const options = { directory: LOG, segmentMaxBytes: 1_500 };
  try {
    const log = await openLog(options, runtime);
    const records = new Map((await readAll(log)).map((record) => [record.first, Buffer.from(record.body).toString()]));
    const wrong = missingOrInvented(records, at, workload);
    if (wrong !== undefined) return wrong;
    const lane = await LaneState.open(disk, LANES, "one", () => ({ position: 0 }));
    const cursor = wrongCursor(lane.initial.position, at, workload);
    if (cursor !== undefined) return cursor;
    await log.close();
    const before = digestOf(contents(disk));
    const again = await openLog(options, runtime);
    if (again.recovery.tornBytes > 0 || again.head !== log.head || again.first !== log.first)
      return "a second recovery finds something else";
    if (digestOf(contents(disk)) !== before) return "a second recovery changes the disk";
    const position = await again.append(entryOf('"more"'));
    await again.close();
    const last = (await readAll(await openLog(options, runtime))).at(-1);
    if (last?.first !== position || Buffer.from(last.body).toString() !== '"more"')
      return "what is appended after it is lost";
    return undefined;
  } catch (error) {
    return `recovery fails: ${String(error)}`;
  }
}

function missingOrInvented(
  records: ReadonlyMap<number, string>,
  at: number,
  { operations, appended }: Workload,
): string | undefined {
  const removedBelow = keptFrom(operations, at);
  for (const { position, text, acknowledgedAt } of appended) {
    if (position === undefined || acknowledgedAt === undefined || acknowledgedAt > at || position < removedBelow)
      continue;
    if (records.get(position) !== text) return `the acknowledged record at ${position} is missing or changed`;
  }
  const issued = new Set(appended.filter(({ issuedAt }) => issuedAt <= at).map(({ text }) => text));
  for (const [position, text] of records)
    if (text !== '"more"' && !issued.has(text)) return `the record at ${position} was never appended`;
  if (new Set(records.values()).size !== records.size) return "a record is there twice";
  return undefined;
}

/**
 * Records below were in a segment that retention had begun to remove: its name is that of the next
 * one.
 */
function keptFrom(operations: readonly Operation[], at: number): number {
  let from = 0;
  const bases = new Set<number>();
  for (const operation of operations.slice(0, at)) {
    if (!("path" in operation) || !operation.path.startsWith(`${LOG}/`)) continue;
    const base = Number(operation.path.slice(LOG.length + 1, -".log".length));
    if (operation.kind === "link") bases.add(base);
    if (operation.kind !== "unlink") continue;
    bases.delete(base);
    const next = Math.min(...bases);
    // A segment that was created anew under the same name was empty.
    if (next > base && next !== Number.POSITIVE_INFINITY) from = Math.max(from, next);
  }
  return from;
}

function wrongCursor(position: number, at: number, { cursors }: Workload): string | undefined {
  const writtenLast = cursors.filter(({ writtenAt }) => writtenAt <= at).at(-1)?.position ?? 0;
  const syncedLast = cursors.filter(({ syncedAt }) => syncedAt !== undefined && syncedAt <= at).at(-1)?.position ?? 0;
  if (position > writtenLast) return `the cursor is at ${position}, past ${writtenLast}, the last one written`;
  if (position < syncedLast) return `the cursor is at ${position}, before ${syncedLast}, the last one synced`;
  return undefined;
}
