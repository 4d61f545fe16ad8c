import { type Batch, type BatchLimits, type Chunk, type Outcome, TextBatch } from "@waybill/core";
import type { LogRecord, Position } from "./types.ts";

/** Events `start` to `end - 1` of a record. */
export interface Piece {
  readonly record: LogRecord;
  readonly start: number;
  readonly end: number;
}

/** Consecutive positions. */
export interface Run {
  readonly first: Position;
  readonly count: number;
}

export interface LogBatchOptions {
  readonly parked?: boolean;
  /** Whose event it is: see `Batch.orderHash`. */
  readonly hashAt?: ((record: LogRecord, at: number) => number) | undefined;
  /** Whether its events may become too old: not what somebody has chosen to send. Default false. */
  readonly ages?: boolean;
}

const COMMA_BYTE = 0x2c;
const COMMA = Buffer.of(COMMA_BYTE);
/** Average size of a piece below which a batch is copied. */
const COPY_BELOW_BYTES = 4 * 1024;
const SPACE = 0x20;

/**
 * A batch over the bytes of the log: large pieces are not copied, neither to send them nor to halve
 * the batch.
 */
export class LogBatch implements Batch {
  readonly pieces: readonly Piece[];
  readonly count: number;
  readonly bytes: number;
  readonly #name: string;
  readonly parked: boolean;
  readonly #ages: boolean;
  readonly #hashAt: ((record: LogRecord, at: number) => number) | undefined;
  /**
   * The piece that was found last, and the number of events before it: events are requested in
   * order, and a search from the start each time would be quadratic.
   */
  #foundPiece = 0;
  #eventsBefore = 0;

  /** `name` is the lane's: two lanes never share a key. */
  constructor(name: string, pieces: readonly Piece[], { parked = false, hashAt, ages = false }: LogBatchOptions = {}) {
    this.#name = name;
    this.parked = parked;
    this.#ages = ages;
    this.#hashAt = hashAt;
    this.pieces = pieces;
    let count = 0;
    let bytes = pieces.length - 1;
    for (const piece of pieces) {
      count += piece.end - piece.start;
      bytes += pieceBytes(piece);
    }
    this.count = count;
    this.bytes = bytes;
  }

  /** Position of the first event. */
  get first(): Position {
    return firstOf(this.pieces) as Position;
  }

  /** With its end where events between are left out: others may be chosen from the same place. */
  get key(): string {
    const { record, end } = this.pieces.at(-1) as Piece;
    const span = record.first + end - this.first;
    return `${this.#name}-${this.first}-${this.count}${span === this.count ? "" : `-of-${span}`}`;
  }

  /** Some of its events, under a key of their own. */
  of(pieces: readonly Piece[]): LogBatch {
    return new LogBatch(this.#name, pieces, { parked: this.parked, hashAt: this.#hashAt, ages: this.#ages });
  }

  /** 0 where order does not matter. */
  orderHash(index: number): number {
    const { record, at } = this.locate(index);
    return this.#hashAt?.(record, at) ?? 0;
  }

  receivedAtMs(index: number): number | undefined {
    return this.#ages ? this.locate(index).record.receivedAtMs : undefined;
  }

  get metadata(): string {
    return (this.pieces[0] as Piece).record.metadata;
  }

  get oldestAtMs(): number {
    return (this.pieces[0] as Piece).record.receivedAtMs;
  }

  get body(): readonly Chunk[] {
    // Many small pieces are copied into one: handing each of them to a socket costs more.
    if (this.bytes < this.pieces.length * COPY_BELOW_BYTES) return [this.#joined()];
    const chunks: Uint8Array[] = [];
    for (const piece of this.pieces) {
      if (chunks.length > 0) chunks.push(COMMA);
      chunks.push(pieceBody(piece));
    }
    return chunks;
  }

  #joined(): Buffer {
    const bytes = Buffer.allocUnsafe(this.bytes);
    let at = 0;
    for (const piece of this.pieces) {
      if (at > 0) bytes[at++] = COMMA_BYTE;
      bytes.set(pieceBody(piece), at);
      at += pieceBytes(piece);
    }
    return bytes;
  }

  event(index: number): Uint8Array {
    const { record, at } = this.locate(index);
    return trim(record.body.subarray(startOf(record, at), record.ends[at] as number));
  }

  /** By its position, whatever batch it is in. */
  eventKey(index: number): string {
    const { record, at } = this.locate(index);
    return `${this.#name}-${record.first + at}`;
  }

  slice(start: number, end: number): LogBatch {
    return this.of(slicePieces(this.pieces, start, end));
  }

  positionAt(index: number): Position {
    const { record, at } = this.locate(index);
    return record.first + at;
  }

  /** The record of the event at `index`, and the event's place in it. */
  locate(index: number): { readonly record: LogRecord; readonly at: number } {
    if (index < this.#eventsBefore) {
      this.#foundPiece = 0;
      this.#eventsBefore = 0;
    }
    for (; this.#foundPiece < this.pieces.length; this.#foundPiece++) {
      const { record, start, end } = this.pieces[this.#foundPiece] as Piece;
      if (index < this.#eventsBefore + end - start) return { record, at: start + index - this.#eventsBefore };
      this.#eventsBefore += end - start;
    }
    this.#foundPiece = 0;
    this.#eventsBefore = 0;
    throw new RangeError(`a batch of ${this.count} events has no event ${index}`);
  }
}

/** Position of the first event. */
export function firstOf([piece]: readonly Piece[]): Position | undefined {
  return piece && piece.record.first + piece.start;
}

export function pieceBytes({ record, start, end }: Piece): number {
  return (record.ends[end - 1] as number) - startOf(record, start);
}

function pieceBody({ record, start, end }: Piece): Uint8Array {
  return record.body.subarray(startOf(record, start), record.ends[end - 1] as number);
}

/** Where event `index` begins: after the comma that follows the one before. */
function startOf(record: LogRecord, index: number): number {
  return index === 0 ? 0 : (record.ends[index - 1] as number) + 1;
}

export function slicePieces(pieces: readonly Piece[], start: number, end: number): Piece[] {
  const result: Piece[] = [];
  let before = 0;
  for (const piece of pieces) {
    const from = Math.max(piece.start, piece.start + start - before);
    const to = Math.min(piece.end, piece.start + end - before);
    if (from < to) result.push({ record: piece.record, start: from, end: to });
    before += piece.end - piece.start;
  }
  return result;
}

/** The white space that may surround an element of the sender's array is not part of the event. */
function trim(bytes: Uint8Array): Uint8Array {
  let start = 0;
  let end = bytes.length;
  while (start < end && (bytes[start] as number) <= SPACE) start++;
  while (end > start && (bytes[end - 1] as number) <= SPACE) end--;
  return bytes.subarray(start, end);
}

export interface Fitting {
  /** A gap records what was lost, or what lies between was not chosen. */
  readonly gaps: "end the batch" | "are chosen";
  /** So many were planned as one batch, and go whatever is known of them by now; 0 for none. */
  readonly planned?: number;
}

/**
 * How many of the first events may go in one batch: same metadata, within the limits, all of them
 * copies or none; at least one.
 *
 * Whether an event is a copy may not be known to who takes a planned batch over: see `duplicates`
 * in @waybill/log-kafka. So nothing is taken out of a batch once it is planned: what is sent under
 * its key depends on its positions alone.
 */
export function fitting(
  pieces: readonly Piece[],
  limits: BatchLimits,
  { gaps, planned = 0 }: Fitting = { gaps: "end the batch" },
): number {
  const [head] = pieces;
  if (head === undefined) return 0;
  const { maxEvents, maxBytes } = planned === 0 ? limits : { maxEvents: planned, maxBytes: Number.POSITIVE_INFINITY };
  const isCopy = head.record.duplicates?.includes(head.start) === true;
  let count = 0;
  let bytes = -1;
  let expected = head.record.first + head.start;
  for (const piece of pieces) {
    const { record, start } = piece;
    if (record.metadata !== head.record.metadata) break;
    if (record.first + start !== expected && gaps === "end the batch") break;
    const end = planned === 0 ? endOfKind(piece, isCopy) : piece.end;
    if (end === start) break;
    expected = record.first + end;
    const whole = bytes + 1 + pieceBytes({ record, start, end });
    if (whole <= maxBytes && count + end - start <= maxEvents) {
      bytes = whole;
      count += end - start;
      if (end < piece.end) break;
      continue;
    }
    for (let at = start; at < end; at++) {
      bytes += 1 + pieceBytes({ record, start: at, end: at + 1 });
      if (count > 0 && (bytes > maxBytes || count === maxEvents)) break;
      count += 1;
    }
    break;
  }
  return count;
}

/** Where the first events of a piece end that are copies, or those that are not. */
function endOfKind({ record: { duplicates }, start, end }: Piece, isCopy: boolean): number {
  if (duplicates === undefined) return isCopy ? start : end;
  let next = duplicates.findIndex((index) => index >= start);
  if (!isCopy) return Math.max(start, Math.min(end, duplicates[next] ?? end));
  let at = start;
  for (; at < end && duplicates[next] === at; at++) next++;
  return at;
}

/** Events before the first one that has to be sent again. */
export function settledPrefix(outcomes: readonly Outcome[]): number {
  const index = outcomes.findIndex(({ status }) => status === "retryable" || status === "halted");
  return index === -1 ? outcomes.length : index;
}

/**
 * The events of the log that a request holds, translated or not; `undefined` for a batch that is
 * not of the log.
 */
export function heldBy(batch: Batch): readonly Run[] | undefined {
  if (batch instanceof LogBatch)
    return joined(batch.pieces.map(({ record, start, end }) => ({ first: record.first + start, count: end - start })));
  const source = batch instanceof TextBatch ? batch.source : undefined;
  if (!(source?.batch instanceof LogBatch)) return undefined;
  const { batch: origin, indexes } = source;
  return joined(
    indexes.map((index) => {
      const { record, at } = origin.locate(index);
      return { first: record.first + at, count: 1 };
    }),
  );
}

/** Runs that touch become one. */
function joined(runs: readonly Run[]): readonly Run[] {
  const result: { first: Position; count: number }[] = [];
  for (const { first, count } of runs) {
    const last = result.at(-1);
    if (last !== undefined && last.first + last.count === first) last.count += count;
    else result.push({ first, count });
  }
  return result;
}
