/**
 * What became of each event of a lane: which ones were delivered, dropped, rejected or expired,
 * where the ledger only counts them.
 *
 * Fates are runs over positions: so many events with the same outcome. The newest runs, the tail,
 * are in the lane's state beside its cursor and are written with it in one piece. When the tail has
 * more than `TAIL_MAX_RUNS` runs it becomes a block in a small log of the lane's own, durable
 * before the state moves on:
 *
 *   settle
 *     -> [crash: the batch is sent again, as ever]
 *   block synced
 *     -> [crash: the state still has the cursor before these events; they are settled again, and
 *        the newer block counts]
 *   state with the new cursor and an empty tail
 *
 * So every position below the cursor is in the tail or in a block. One that is not, because its
 * block was damaged or could not be written, is `unknown`: a lost block must not become a lie.
 *
 * A block is a record of that log: its metadata has the positions that it covers and how many
 * events had each fate up to its end, so that the ledger can be checked after older blocks are
 * gone. Its body is a list of runs (count as a varint, fate as a byte) or, where that is longer,
 * one byte per event.
 */
import { type Clock, type Disk, DROP_REASONS, type DropReason, type Outcome } from "@waybill/core";
import { recordsFrom } from "../records.ts";
import { openLog } from "../segment-log.ts";
import type { Log, LogRecord, Position, RetentionLimits } from "../types.ts";

/**
 * An event's final outcome. `unknown`: its record is lost. `not_addressed`: it was not among the
 * chosen ones of a replay.
 */
export type Fate =
  | { readonly status: "delivered" | "rejected" | "expired" | "unknown" | "not_addressed" }
  | { readonly status: "dropped"; readonly reason: DropReason };

/** Events per fate since the lane began. */
export interface FateCounts {
  readonly delivered: number;
  readonly rejected: number;
  readonly expired: number;
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>;
}

/** The part of the fates that is stored in a lane's state. */
export interface FateTail {
  /** The first position it covers. */
  readonly from: Position;
  /** Count and code of each run, in turn. */
  readonly runs: readonly number[];
  /** Events per fate before it, since the lane began to keep fates. */
  readonly before: FateCounts;
}

export const NO_FATES: FateCounts = { delivered: 0, rejected: 0, expired: 0, dropped: {} };

export interface FatesOptions {
  readonly directory: string;
  readonly runtime: { readonly disk: Disk; readonly clock: Clock };
  /** As it is stored in the lane's state. */
  readonly tail: FateTail;
  /** Of the log of blocks. Default 8 MiB. */
  readonly segmentMaxBytes?: number;
  /** Runs that the state holds at most. Default 100, at most 2 KiB of text. */
  readonly tailMaxRuns?: number;
}

/** What is stored beside a block's body; the counts are those up to its end. */
interface BlockHead extends FateCounts {
  readonly first: Position;
  readonly count: number;
  readonly form: "runs" | "map";
}

/** Which positions a block covers, and its own position in the log of blocks. */
interface Place {
  readonly first: Position;
  readonly end: Position;
  readonly at: Position;
}

/**
 * 100 runs have at most 2 KiB as text: they fit the slot of the lane's state beside everything
 * else.
 */
const TAIL_MAX_RUNS = 100;
/**
 * What may wait in memory for a disk without room: 2 MiB of runs. Older fates are then given up and
 * become `unknown`.
 */
const WAITING_MAX_RUNS = 100_000;
const SEGMENT_BYTES = 8 * 1024 * 1024;

const NOT_ADDRESSED = 0;
const DELIVERED = 1;
const REJECTED = 2;
const EXPIRED = 3;
/** Of the first reason; the others follow. Never reused: they are stored in files. */
const FIRST_DROPPED = 16;

/** Of a final outcome. */
function fateCode(outcome: Outcome): number {
  if (outcome.status === "delivered") return DELIVERED;
  return outcome.status === "dropped" ? droppedCode(outcome.reason) : REJECTED;
}

function droppedCode(reason: DropReason): number {
  return FIRST_DROPPED + DROP_REASONS.indexOf(reason);
}

function fateOf(code: number): Fate {
  if (code === DELIVERED) return { status: "delivered" };
  if (code === REJECTED) return { status: "rejected" };
  if (code === EXPIRED) return { status: "expired" };
  if (code === NOT_ADDRESSED) return { status: "not_addressed" };
  const reason = DROP_REASONS[code - FIRST_DROPPED];
  return reason === undefined ? { status: "unknown" } : { status: "dropped", reason };
}

/** Runs from a position on. */
interface Runs {
  readonly from: Position;
  /** After the last event. */
  end: Position;
  /** Count and code of each, in turn. */
  readonly list: number[];
}

export class Fates {
  readonly #log: Log;
  /** Where the blocks are, read when a fate is first looked for. */
  #places: Place[] | undefined;
  /** What no block has. */
  #tail: Runs;
  /** What is on its way to a block. */
  #leaving: Runs | undefined;
  #flushing: Promise<void> | undefined;
  readonly #counts: Map<number, number>;

  readonly #tailMaxRuns: number;

  private constructor(log: Log, { from, runs, before }: FateTail, tailMaxRuns: number) {
    this.#log = log;
    this.#tailMaxRuns = tailMaxRuns;
    this.#counts = countsOf(before);
    this.#tail = { from, end: from, list: [] };
    for (let at = 0; at < runs.length; at += 2) this.#push(runs[at] as number, runs[at + 1] as number);
  }

  /** **Errors**: `WAYBILL_DISK`. */
  static async open(options: FatesOptions): Promise<Fates> {
    const { directory, runtime, tail, segmentMaxBytes = SEGMENT_BYTES, tailMaxRuns = TAIL_MAX_RUNS } = options;
    return new Fates(await openLog({ directory, segmentMaxBytes }, runtime), tail, tailMaxRuns);
  }

  /**
   * What belongs into the lane's state. A tail that is too long for it could not be written as a
   * block: its events would be unknown after a crash.
   */
  get tail(): FateTail {
    const { from, end, list } = this.#tail;
    if (this.#leaving !== undefined || list.length > 2 * this.#tailMaxRuns)
      return { from: end, runs: [], before: this.counts() };
    const before = new Map(this.#counts);
    for (let at = 0; at < list.length; at += 2) add(before, list[at + 1] as number, -(list[at] as number));
    return { from, runs: list, before: viewOf(before) };
  }

  /** Events per fate since the lane began to keep them. */
  counts(): FateCounts {
    return viewOf(this.#counts);
  }

  /** The next event has got its outcome; only final ones are given. */
  settle(outcome: Outcome): void {
    this.#push(1, fateCode(outcome));
  }

  /** The events up to `position` are not part of this: a replay has gaps. */
  skipTo(position: Position): void {
    this.#push(Math.max(0, position - this.#tail.end), NOT_ADDRESSED);
  }

  expire(events: number): void {
    this.#push(events, EXPIRED);
  }

  /** All up to `position` that have no fate yet. */
  expireTo(position: Position): void {
    this.#push(Math.max(0, position - this.#tail.end), EXPIRED);
  }

  drop(reason: DropReason, events: number): void {
    this.#push(events, droppedCode(reason));
  }

  /** Whether {@link flush} has something to do. */
  get isLong(): boolean {
    return this.#flushing !== undefined || this.#tail.list.length > 2 * this.#tailMaxRuns;
  }

  /**
   * Before the state with {@link tail} is written: a long tail becomes a block. **Errors**: those
   * of `Log.append`; the tail is then kept.
   */
  async flush(): Promise<void> {
    if (!this.isLong) return;
    this.#flushing ??= this.#append().finally(() => (this.#flushing = undefined));
    await this.#flushing;
  }

  /** What became of the event at `position`, which must be below the lane's cursor. */
  async at(position: Position): Promise<Fate> {
    for (const runs of [this.#tail, this.#leaving])
      if (runs !== undefined && position >= runs.from) return runAt(runs.list, position - runs.from);
    this.#places ??= await placesOf(this.#log);
    // A newer block counts: its events were settled again after a crash.
    const place = this.#places.findLast(({ first, end }) => first <= position && position < end);
    const record = place === undefined ? undefined : await readAt(this.#log, place.at);
    const head = record === undefined ? undefined : headOf(record);
    if (record === undefined || head === undefined) return { status: "unknown" };
    return bodyAt(record.body, head, position - head.first);
  }

  /**
   * Removes the oldest blocks; those of events from `keptFrom` on stay, whatever the limits are.
   */
  async retain(limits: RetentionLimits, nowMs: number, keptFrom: Position): Promise<void> {
    if (this.#log.head === this.#log.first) return;
    this.#places ??= await placesOf(this.#log);
    const needed = this.#places.find(({ end }) => end > keptFrom)?.at ?? this.#log.head;
    await this.#log.retain({ ...limits, hardMaxBytes: Number.POSITIVE_INFINITY }, nowMs, needed);
    const { first } = this.#log;
    this.#places = this.#places.filter(({ at }) => at >= first);
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #push(count: number, code: number): void {
    if (count === 0) return;
    const { list } = this.#tail;
    const last = list.length - 1;
    if (list[last] === code) list[last - 1] = (list[last - 1] as number) + count;
    else list.push(count, code);
    this.#tail.end += count;
    add(this.#counts, code, count);
  }

  async #append(): Promise<void> {
    const leaving = this.#tail;
    const { from, end, list } = leaving;
    const count = end - from;
    const runs = encodeRuns(list);
    const body = runs.length < count ? runs : encodeMap(list, count);
    const head: BlockHead = { first: from, count, form: body === runs ? "runs" : "map", ...this.counts() };
    this.#leaving = leaving;
    this.#tail = { from: end, end, list: [] };
    try {
      const at = await this.#log.append({
        source: "",
        receivedAtMs: 0,
        metadata: JSON.stringify(head),
        body: [body],
        ends: Uint32Array.of(body.length),
      });
      this.#places?.push({ first: from, end, at });
    } catch (error) {
      const since = this.#tail;
      const kept = list.length <= 2 * WAITING_MAX_RUNS;
      if (kept) this.#tail = { from, end: since.end, list: list.concat(since.list) };
      throw error;
    } finally {
      this.#leaving = undefined;
    }
  }
}

function add(counts: Map<number, number>, code: number, count: number): void {
  counts.set(code, (counts.get(code) ?? 0) + count);
}

function countsOf({ delivered, rejected, expired, dropped }: FateCounts): Map<number, number> {
  return new Map([
    [DELIVERED, delivered],
    [REJECTED, rejected],
    [EXPIRED, expired],
    ...Object.entries(dropped).map(([reason, count]) => [droppedCode(reason as DropReason), count] as const),
  ]);
}

function viewOf(counts: ReadonlyMap<number, number>): FateCounts {
  const dropped: Partial<Record<DropReason, number>> = {};
  for (const [code, count] of counts) {
    const fate = fateOf(code);
    if (fate.status === "dropped" && count > 0) dropped[fate.reason] = count;
  }
  return {
    delivered: counts.get(DELIVERED) ?? 0,
    rejected: counts.get(REJECTED) ?? 0,
    expired: counts.get(EXPIRED) ?? 0,
    dropped,
  };
}

/** The fate of the event `offset` after the first one of the runs. */
function runAt(runs: readonly number[], offset: number): Fate {
  let left = offset;
  for (let at = 0; at < runs.length; at += 2) {
    left -= runs[at] as number;
    if (left < 0) return fateOf(runs[at + 1] as number);
  }
  return { status: "unknown" };
}

const SEVEN_BITS = 0x7f;
const MORE = 0x80;

function encodeRuns(runs: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < runs.length; at += 2) {
    let count = runs[at] as number;
    while (count > SEVEN_BITS) {
      bytes.push((count % MORE) | MORE);
      count = Math.floor(count / MORE);
    }
    bytes.push(count, runs[at + 1] as number);
  }
  return Uint8Array.from(bytes);
}

function decodeRuns(bytes: Uint8Array): number[] {
  const runs: number[] = [];
  let count = 0;
  let scale = 1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    count += (byte & SEVEN_BITS) * scale;
    scale *= MORE;
    if (byte >= MORE) continue;
    runs.push(count, bytes[++at] ?? 0);
    count = 0;
    scale = 1;
  }
  return runs;
}

function encodeMap(runs: readonly number[], count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  let from = 0;
  for (let at = 0; at < runs.length; at += 2) {
    bytes.fill(runs[at + 1] as number, from, from + (runs[at] as number));
    from += runs[at] as number;
  }
  return bytes;
}

function bodyAt(body: Uint8Array, { form }: BlockHead, offset: number): Fate {
  return form === "map" ? fateOf(body[offset] ?? 0) : runAt(decodeRuns(body), offset);
}

/**
 * The fate of the event at `position` as a lane's state has it; `undefined` when it is in a block.
 */
export function fateInTail({ from, runs }: FateTail, position: Position): Fate | undefined {
  return position < from ? undefined : runAt(runs, position - from);
}

/**
 * The fate of the event at `position` as a block has it; `undefined` when it is elsewhere, or this
 * is not a block.
 */
export function fateInBlock(record: LogRecord, position: Position): Fate | undefined {
  const head = headOf(record);
  const offset = position - (head?.first ?? 0);
  return head === undefined || offset < 0 || offset >= head.count ? undefined : bodyAt(record.body, head, offset);
}

/** A block of fates as it is stored in a file. `undefined` for a record that is not one. */
export function blockOf(
  record: LogRecord,
):
  | { readonly first: Position; readonly end: Position; readonly upToEnd: FateCounts; readonly own: FateCounts }
  | undefined {
  const head = headOf(record);
  if (head === undefined) return undefined;
  const own = new Map<number, number>();
  if (head.form === "map") for (const code of record.body) add(own, code, 1);
  else countRuns(own, decodeRuns(record.body));
  return { first: head.first, end: head.first + head.count, upToEnd: head, own: viewOf(own) };
}

/** Events per fate of all that a lane's state speaks of. */
export function countsUpTo({ before, runs }: FateTail): FateCounts {
  const counts = countsOf(before);
  countRuns(counts, runs);
  return viewOf(counts);
}

function countRuns(counts: Map<number, number>, runs: readonly number[]): void {
  for (let at = 0; at < runs.length; at += 2) add(counts, runs[at + 1] as number, runs[at] as number);
}

/** Events that have a fate. */
export function totalOf({ delivered, rejected, expired, dropped }: FateCounts): number {
  return delivered + rejected + expired + Object.values(dropped).reduce((sum, count) => sum + count, 0);
}

/** `undefined` for a record that is not a block, whatever its checksum says. */
function headOf({ metadata }: LogRecord): BlockHead | undefined {
  try {
    const head = JSON.parse(metadata) as Partial<BlockHead> | null;
    const numbers = [head?.first, head?.count, head?.delivered, head?.rejected, head?.expired];
    const isBlock = numbers.every((one) => Number.isSafeInteger(one)) && typeof head?.dropped === "object";
    return isBlock && (head.form === "runs" || head.form === "map") ? (head as BlockHead) : undefined;
  } catch {
    return undefined;
  }
}

async function placesOf(log: Log): Promise<Place[]> {
  const places: Place[] = [];
  for await (const record of recordsFrom(log, log.first)) {
    const head = headOf(record);
    if (head !== undefined) places.push({ first: head.first, end: head.first + head.count, at: record.first });
  }
  return places;
}

async function readAt(log: Log, at: Position): Promise<LogRecord | undefined> {
  const reader = log.reader({ position: at });
  try {
    const [record] = await reader.read(1);
    return record?.first === at ? record : undefined;
  } finally {
    await reader.close();
  }
}
