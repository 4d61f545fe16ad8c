/**
 * How fates are stored: as runs of events with the same outcome, as a map of one byte per event, or
 * as single events where the ones between are not settled yet.
 */
import { DROP_REASONS, type DropReason, type Outcome } from "@waybill/core";
import type { LogRecord, Position } from "../types.ts";

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
  /**
   * From which block on there may be outcomes of events after the tail, settled before others in
   * front of them. Absent: there are none.
   */
  readonly aheadFrom?: Position;
  /** The first block that the state does not speak of. Absent: it speaks of all there are. */
  readonly blocksTo?: Position;
  /** Some of those could not be written down: where nothing is known, nothing is certain. */
  readonly isUnsure?: boolean;
}

export const NO_FATES: FateCounts = { delivered: 0, rejected: 0, expired: 0, dropped: {} };

/** What is stored beside a block's body; the counts are those up to its end. */
export interface BlockHead extends FateCounts {
  readonly first: Position;
  readonly count: number;
  /**
   * `patch`: single events that were set aside and have their outcome now; `ahead`: single events
   * that were settled before others in front of them, and not delivered; `gone`: events that
   * retention took before others in front of them were settled, without a body.
   */
  readonly form: "runs" | "map" | "gone" | SparseEncoding;
}

export type SparseEncoding = "patch" | "ahead";

export const NOT_ADDRESSED = 0;
export const DELIVERED_CODE = 1;
const REJECTED = 2;
export const EXPIRED = 3;
/** Of the first reason; the others follow. Never reused: they are stored in files. */
const FIRST_DROPPED = 16;
/** Never stored. */
const UNKNOWN = -1;
/** Set aside when those around it were settled: what became of it is in a patch, or open. */
export const PARKED = 4;
/** Its outcome could not be written down before a crash. */
export const LOST = 5;
/** In a block of single events: what an older one has of it did not happen. */
export const OPEN = 6;

/** Of a final outcome. */
export function fateCode(outcome: Outcome): number {
  if (outcome.status === "delivered") return DELIVERED_CODE;
  return outcome.status === "dropped" ? droppedCode(outcome.reason) : REJECTED;
}

export function droppedCode(reason: DropReason): number {
  return FIRST_DROPPED + DROP_REASONS.indexOf(reason);
}

export function fateOf(code: number): Fate {
  if (code === DELIVERED_CODE) return { status: "delivered" };
  if (code === REJECTED) return { status: "rejected" };
  if (code === EXPIRED) return { status: "expired" };
  if (code === NOT_ADDRESSED) return { status: "not_addressed" };
  const reason = DROP_REASONS[code - FIRST_DROPPED];
  return reason === undefined ? { status: "unknown" } : { status: "dropped", reason };
}

export function add(counts: Map<number, number>, code: number, count: number): void {
  counts.set(code, (counts.get(code) ?? 0) + count);
}

export function countsOf({ delivered, rejected, expired, dropped }: FateCounts): Map<number, number> {
  return new Map([
    [DELIVERED_CODE, delivered],
    [REJECTED, rejected],
    [EXPIRED, expired],
    ...Object.entries(dropped).map(([reason, count]) => [droppedCode(reason as DropReason), count] as const),
  ]);
}

export function viewOf(counts: ReadonlyMap<number, number>): FateCounts {
  const dropped: Partial<Record<DropReason, number>> = {};
  for (const [code, count] of counts) {
    const fate = fateOf(code);
    if (fate.status === "dropped" && count > 0) dropped[fate.reason] = count;
  }
  return {
    delivered: counts.get(DELIVERED_CODE) ?? 0,
    rejected: counts.get(REJECTED) ?? 0,
    expired: counts.get(EXPIRED) ?? 0,
    dropped,
  };
}

/** The code of the event `offset` after the first one of the runs. */
export function runAt(runs: readonly number[], offset: number): number {
  let left = offset;
  for (let at = 0; at < runs.length; at += 2) {
    left -= runs[at] as number;
    if (left < 0) return runs[at + 1] as number;
  }
  return UNKNOWN;
}

const SEVEN_BITS = 0x7f;
const MORE = 0x80;

export function encodeRuns(runs: readonly number[]): Uint8Array {
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

export function encodeMap(runs: readonly number[], count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  let from = 0;
  for (let at = 0; at < runs.length; at += 2) {
    bytes.fill(runs[at + 1] as number, from, from + (runs[at] as number));
    from += runs[at] as number;
  }
  return bytes;
}

/** Count and code of each run of a block that is not of single events, in turn. */
export function runsOf(form: BlockHead["form"], body: Uint8Array): readonly number[] {
  return form === "map" ? [...body].flatMap((code) => [1, code]) : decodeRuns(body);
}

/** Which events of a block were parked. */
export function parkedOf({ first, form }: BlockHead, body: Uint8Array): readonly Position[] {
  const parked: Position[] = [];
  const runs = runsOf(form, body);
  let position = first;
  for (let at = 0; at < runs.length; at += 2) {
    const count = runs[at] as number;
    if (runs[at + 1] === PARKED) for (let index = 0; index < count; index++) parked.push(position + index);
    position += count;
  }
  return parked;
}

/** The code of the event `offset` after the first one of a block; -1 where it has none. */
export function bodyAt(body: Uint8Array, { form }: BlockHead, offset: number): number {
  if (form === "gone") return UNKNOWN;
  if (isSparse(form)) return new Map(decodeSparse(body)).get(offset) ?? UNKNOWN;
  return form === "map" ? (body[offset] ?? 0) : runAt(decodeRuns(body), offset);
}

export function isSparse(form: BlockHead["form"]): form is "gone" | SparseEncoding {
  return form === "patch" || form === "ahead" || form === "gone";
}

/** Distance from the event before (from the block's first one) and code of each event. */
export function encodeSparse(first: Position, entries: readonly (readonly [Position, number])[]): Uint8Array {
  let last = first;
  return encodeRuns(
    entries.flatMap(([position, code]) => {
      const distance = position - last;
      last = position;
      return [distance, code];
    }),
  );
}

/** Offset and code of each event. */
export function decodeSparse(bytes: Uint8Array): (readonly [number, number])[] {
  const pairs = decodeRuns(bytes);
  const entries: (readonly [number, number])[] = [];
  let offset = 0;
  for (let at = 0; at < pairs.length; at += 2) {
    offset += pairs[at] as number;
    entries.push([offset, pairs[at + 1] as number]);
  }
  return entries;
}

/**
 * The fate of the event at `position` as a lane's state has it; `undefined` when it is in a block.
 */
export function fateInTail({ from, runs }: FateTail, position: Position): Fate | undefined {
  return position < from ? undefined : fateOf(runAt(runs, position - from));
}

/** Whether the tail has it as set aside: its outcome came later, and is in a patch. */
export function isParkedInTail({ from, runs }: FateTail, position: Position): boolean {
  return position >= from && runAt(runs, position - from) === PARKED;
}

/**
 * The fate of the event at `position` as a block has it; `undefined` when it is elsewhere, or this
 * is not a block. `isPatch`: as a patch has it.
 */
export function fateInBlock(record: LogRecord, position: Position, isPatch: boolean): Fate | undefined {
  const head = headOf(record);
  if (isPatch && head?.form !== "patch") return undefined;
  const offset = position - (head?.first ?? 0);
  // What is ahead of the others has its place in another block by now.
  if (head === undefined || offset < 0 || offset >= head.count || head.form === "ahead") return undefined;
  const code = bodyAt(record.body, head, offset);
  return code === UNKNOWN ? undefined : fateOf(code);
}

/** A block of fates as it is stored in a file. */
export interface StoredBlock {
  readonly first: Position;
  readonly end: Position;
  readonly form: BlockHead["form"];
  /** Events that it has a fate for. */
  readonly entries: number;
  readonly upToEnd: FateCounts;
  readonly own: FateCounts;
}

/** `undefined` for a record that is not a block. */
export function blockOf(record: LogRecord): StoredBlock | undefined {
  const head = headOf(record);
  if (head === undefined) return undefined;
  const { first, count, form } = head;
  const own = new Map<number, number>();
  if (form === "map") for (const code of record.body) add(own, code, 1);
  else if (form === "runs") countRuns(own, decodeRuns(record.body));
  else for (const [, code] of decodeSparse(record.body)) add(own, code, 1);
  const entries = [...own.values()].reduce((sum, events) => sum + events, 0);
  return { first, end: first + count, form, entries, upToEnd: head, own: viewOf(own) };
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

const ENCODINGS: ReadonlySet<unknown> = new Set<BlockHead["form"]>(["runs", "map", "gone", "patch", "ahead"]);

/** `undefined` for a record that is not a block, whatever its checksum says. */
export function headOf({ metadata }: LogRecord): BlockHead | undefined {
  try {
    const head = JSON.parse(metadata) as Partial<BlockHead> | null;
    const numbers = [head?.first, head?.count, head?.delivered, head?.rejected, head?.expired];
    const isBlock = numbers.every((one) => Number.isSafeInteger(one)) && typeof head?.dropped === "object";
    return isBlock && ENCODINGS.has(head.form) ? (head as BlockHead) : undefined;
  } catch {
    return undefined;
  }
}
