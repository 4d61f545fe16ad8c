/**
 * The strands of a lane: a strand is the events whose order hash leaves the same residue when it is
 * divided by the strand's modulus. Each strand is first in, first out, and has one batch on its
 * way; strands do not wait for each other. So events of one user keep their order, and many batches
 * are in flight.
 *
 * A lane begins with one strand of everything: its events leave as they lie in the log, and nobody
 * looks into them. A strand splits in two when it has just been settled and its lane is bound by
 * latency: `r` of `m` becomes `r` and `r + m` of `2m`, both from the same position. So no batch
 * that was planned ever changes its members. Once the lane has caught up all strands become one
 * again.
 */
import type { BatchLimits } from "@waybill/core";
import { firstOf, fitting, type LogBatch, type Piece, pieceBytes, slicePieces } from "../batch.ts";
import type { LogRecord, Position } from "../types.ts";
import { STRANDS_MAX, type StrandValue } from "./lane-value.ts";

/** Grows by the events after it. */
interface QueuedPiece extends Piece {
  end: number;
}

export interface Strand {
  readonly residue: number;
  readonly modulus: number;
  /** Its events before this were settled before they were read. */
  from: Position;
  /** Read and not leased, oldest first. */
  queue: QueuedPiece[];
  leased: LogBatch | undefined;
  /** Events of the batch that has to come next as it was; 0 when any may come. */
  planned: number;
  /** Whether a power cut leaves it. */
  isPlanDurable: boolean;
}

export class Strands {
  #all: Strand[];
  /** By the hash's last bits. */
  readonly #byBits: Strand[] = new Array<Strand>(STRANDS_MAX);
  /** Events in the queues. */
  events = 0;
  bytes = 0;

  constructor(values: readonly StrandValue[]) {
    this.#all = values.map(({ residue, modulus, position, planned }) => ({
      residue,
      modulus,
      from: position,
      queue: [],
      leased: undefined,
      planned,
      isPlanDurable: true,
    }));
    this.#index();
  }

  get all(): readonly Strand[] {
    return this.#all;
  }

  get count(): number {
    return this.#all.length;
  }

  /** The strand of everything, when there is just one. */
  get only(): Strand | undefined {
    return this.#all.length === 1 ? this.#all[0] : undefined;
  }

  strandOf(hash: number): Strand {
    return this.#byBits[hash % STRANDS_MAX] as Strand;
  }

  /** Queues events `start` to `end - 1` of a record. */
  push(strand: Strand, record: LogRecord, start: number, end: number): void {
    const last = strand.queue.at(-1);
    if (last?.record === record && last.end === start) last.end = end;
    else strand.queue.push({ record, start, end });
    this.events += end - start;
    this.bytes += pieceBytes({ record, start, end });
  }

  /** The strand leases its first events. */
  lease(strand: Strand, count: number, batchOf: (pieces: readonly Piece[]) => LogBatch): LogBatch {
    const batch = batchOf(slicePieces(strand.queue, 0, count));
    strand.queue = slicePieces(strand.queue, count, Number.POSITIVE_INFINITY);
    strand.leased = batch;
    this.events -= batch.count;
    this.bytes -= bytesOf(batch.pieces);
    return batch;
  }

  /** Ends the lease of which the first `settled` events are done; the others are in front again. */
  endLease(strand: Strand, settled: number): void {
    const batch = strand.leased as LogBatch;
    const rest = slicePieces(batch.pieces, settled, batch.count);
    strand.leased = undefined;
    strand.planned = batch.count - settled;
    strand.isPlanDurable = false;
    strand.queue = [...rest, ...strand.queue];
    this.events += batch.count - settled;
    this.bytes += bytesOf(rest);
  }

  /** Takes out of a queue what `isTaken`. Returns how many events. */
  take(strand: Strand, isTaken: (record: LogRecord, at: number) => boolean): number {
    const { events } = this;
    const { queue } = strand;
    strand.queue = [];
    for (const { record, start, end } of queue) {
      this.events -= end - start;
      this.bytes -= pieceBytes({ record, start, end });
      for (let at = start; at < end; at++) if (!isTaken(record, at)) this.push(strand, record, at, at + 1);
    }
    return events - this.events;
  }

  /** The first event of the strand that is not settled; `otherwise` when none is known. */
  firstOf({ leased, queue, from }: Strand, otherwise: Position): Position {
    return leased?.first ?? firstOf(queue) ?? Math.max(from, otherwise);
  }

  /** What it has leased and what it has queued, in order. */
  *unsettled({ leased, queue }: Strand): Iterable<Piece> {
    if (leased !== undefined) yield* leased.pieces;
    yield* queue;
  }

  /** The first event of any strand that is not settled. */
  first(otherwise: Position): { readonly position: Position; readonly record: LogRecord | undefined } {
    let position = otherwise;
    let record: LogRecord | undefined;
    for (const { leased, queue } of this.#all) {
      const [piece] = leased?.pieces ?? queue;
      if (piece === undefined || piece.record.first + piece.start >= position) continue;
      position = piece.record.first + piece.start;
      record = piece.record;
    }
    return { position, record };
  }

  /** Strands that have something to lease, the one with the oldest event first. */
  waiting(): Strand[] {
    return this.#all
      .filter(({ leased, queue }) => leased === undefined && queue.length > 0)
      .sort((one, other) => (firstOf(one.queue) as Position) - (firstOf(other.queue) as Position));
  }

  /** What a strand has to lease. */
  queued({ queue }: Strand): { readonly events: number; readonly bytes: number } {
    let events = 0;
    let bytes = 0;
    for (const piece of queue) {
      events += piece.end - piece.start;
      bytes += pieceBytes(piece);
    }
    return { events, bytes };
  }

  /** How many of its first events may be one batch. */
  fitting({ queue, planned }: Strand, limits: BatchLimits): number {
    return fitting(queue, limits, { gaps: this.only === undefined ? "are chosen" : "end the batch", planned });
  }

  /** Whether not all that a strand had planned before the start was read again. */
  get isMissing(): boolean {
    return this.#all.some((strand) => this.#missing(strand) > 0);
  }

  /** No more of what was planned will be read. */
  forgetMissing(): void {
    for (const strand of this.#all) strand.planned -= this.#missing(strand);
  }

  #missing(strand: Strand): number {
    return strand.leased === undefined ? Math.max(0, strand.planned - this.queued(strand).events) : 0;
  }

  /** In two, when nothing of it is on its way or planned. False when it cannot be. */
  split(strand: Strand, hashAt: (record: LogRecord, at: number) => number): boolean {
    const { residue, modulus, from, queue, leased, planned } = strand;
    if (leased !== undefined || planned > 0 || modulus >= STRANDS_MAX) return false;
    const halves = [residue, residue + modulus].map((rest): Strand => {
      return {
        residue: rest,
        modulus: 2 * modulus,
        from,
        queue: [],
        leased: undefined,
        planned: 0,
        isPlanDurable: false,
      };
    });
    this.#all = [...this.#all.filter((one) => one !== strand), ...halves];
    this.#index();
    for (const { record, start, end } of queue) {
      this.events -= end - start;
      this.bytes -= pieceBytes({ record, start, end });
      for (let at = start; at < end; at++) this.push(this.strandOf(hashAt(record, at)), record, at, at + 1);
    }
    return true;
  }

  /** One again, when nothing is on its way, planned or queued. False when something is. */
  join(from: Position): boolean {
    if (this.#all.some(({ leased, planned, queue }) => leased !== undefined || planned > 0 || queue.length > 0))
      return false;
    this.#all = [{ residue: 0, modulus: 1, from, queue: [], leased: undefined, planned: 0, isPlanDurable: false }];
    this.#index();
    return true;
  }

  /**
   * Takes what is before `first` out of the queues, but what is leased. Returns their positions.
   */
  removeBefore(first: Position): Position[] {
    const removed: Position[] = [];
    for (const strand of this.#all) {
      // Its planned events have not been read since the start.
      if (strand.leased === undefined && strand.queue.length === 0 && strand.from < first) strand.planned = 0;
      if ((firstOf(strand.queue) ?? first) >= first) continue;
      this.take(strand, ({ first: base }, at) => {
        const isRemoved = base + at < first;
        if (isRemoved) removed.push(base + at);
        return isRemoved;
      });
      if (strand.leased === undefined) strand.planned = 0;
    }
    return removed.sort((one, other) => one - other);
  }

  /** At the start: there is nothing before `first` any more. */
  skipTo(first: Position): void {
    for (const strand of this.#all) {
      if (strand.from >= first) continue;
      strand.from = first;
      strand.planned = 0;
    }
  }

  /** Queued or leased before `position`. */
  eventsBefore(position: Position): number {
    let events = 0;
    for (const { queue, leased } of this.#all)
      for (const { record, start, end } of [...(leased?.pieces ?? []), ...queue])
        events += Math.max(0, Math.min(end, position - record.first) - start);
    return events;
  }

  /**
   * Nothing before `first` is to be sent any more, leased, planned or not. Returns the positions of
   * what was read of it.
   */
  passOver(first: Position): Position[] {
    for (const strand of this.#all) {
      if (strand.leased !== undefined && strand.leased.first < first) this.endLease(strand, 0);
      // Its planned events have not been read since the start.
      if (strand.leased === undefined && strand.queue.length === 0 && strand.from < first) strand.planned = 0;
    }
    return this.removeBefore(first);
  }

  /** Whether a strand has nothing on its way and nothing to lease. */
  get isWanting(): boolean {
    return this.#all.some(({ leased, queue }) => leased === undefined && queue.length === 0);
  }

  /** Whether an event is queued or leased. */
  has(position: Position): boolean {
    const isIn = ({ record, start, end }: Piece): boolean =>
      record.first + start <= position && position < record.first + end;
    return this.#all.some(({ leased, queue }) => queue.some(isIn) || leased?.pieces.some(isIn) === true);
  }

  values(otherwise: Position): StrandValue[] {
    return this.#all.map((strand) => {
      const { residue, modulus, planned } = strand;
      return { residue, modulus, position: this.firstOf(strand, otherwise), planned };
    });
  }

  #index(): void {
    for (const strand of this.#all)
      for (let bits = strand.residue; bits < STRANDS_MAX; bits += strand.modulus) this.#byBits[bits] = strand;
  }
}

function bytesOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + pieceBytes(piece), 0);
}
