/**
 * Remembered places of a partition, so that reading may begin near any position: those of the
 * newest records one by one, older ones at intervals. When there are too many, every second one is
 * forgotten and the interval doubles: memory is bounded, and reading begins at most one interval
 * before what is wanted.
 */
import type { Position } from "@waybill/log";
import type { Offset } from "./broker.ts";
import type { Checkpoint, PartitionRecord } from "./counting.ts";

/** A place, and when the record that follows it was appended, epoch ms. */
export interface Mark extends Checkpoint {
  readonly atMs: number;
}

/** Before a value, by its first record. */
export function markOf({ offset, first, byte, appendedAtMs }: PartitionRecord): Mark {
  return { offset, position: first, byte, atMs: appendedAtMs };
}

const MARKS_MAX = 4_096;
const RECENT_MAX = 2_048;

export class Places {
  readonly #recent: Checkpoint[] = [];
  #marks: Mark[] = [];
  #everyBytes: number;

  constructor(everyBytes: number) {
    this.#everyBytes = everyBytes;
  }

  /** Oldest first. */
  get marks(): readonly Mark[] {
    return this.#marks;
  }

  /** The place before a record, as records are read. */
  note(mark: Mark): void {
    this.#recent.push(mark);
    if (this.#recent.length >= 2 * RECENT_MAX) this.#recent.splice(0, RECENT_MAX);
    const last = this.#marks.at(-1);
    if (last !== undefined && mark.byte - last.byte < this.#everyBytes) return;
    this.#marks.push(mark);
    if (this.#marks.length >= MARKS_MAX) this.#thin();
  }

  /** Places before all that are known, in order. */
  prepend(places: Places): void {
    this.#marks.unshift(...places.#marks);
    while (this.#marks.length >= MARKS_MAX) this.#thin();
  }

  /** All places were counted from elsewhere: moves them. */
  shift(positions: number, bytes: number): void {
    this.#recent.length = 0;
    this.#marks = this.#marks.map(({ offset, position, byte, atMs }) => ({
      offset,
      position: position + positions,
      byte: byte + bytes,
      atMs,
    }));
  }

  /** The last known place at or before a position. */
  before(position: Position): Checkpoint | undefined {
    return this.#last((place) => place.position <= position);
  }

  beforeOffset(offset: Offset): Checkpoint | undefined {
    return this.#last((place) => place.offset <= offset);
  }

  /** The first known place at or after an offset. */
  atOrAfter(offset: Offset): Checkpoint | undefined {
    const isBefore = (place: Checkpoint): boolean => place.offset < offset;
    const mark = this.#marks[countOf(this.#marks, isBefore)];
    const recent = this.#recent[countOf(this.#recent, isBefore)];
    if (mark === undefined || recent === undefined) return mark ?? recent;
    return recent.offset < mark.offset ? recent : mark;
  }

  /** Forgets what is before an offset. Returns how many marks that were. */
  dropBefore(offset: Offset): number {
    const isBefore = (place: Checkpoint): boolean => place.offset < offset;
    this.#recent.splice(0, countOf(this.#recent, isBefore));
    return this.#marks.splice(0, countOf(this.#marks, isBefore)).length;
  }

  #last(holds: (place: Checkpoint) => boolean): Checkpoint | undefined {
    const mark = this.#marks[countOf(this.#marks, holds) - 1];
    const recent = this.#recent[countOf(this.#recent, holds) - 1];
    if (mark === undefined || recent === undefined) return mark ?? recent;
    return recent.offset > mark.offset ? recent : mark;
  }

  #thin(): void {
    this.#marks = this.#marks.filter((_, index) => index % 2 === 0);
    this.#everyBytes *= 2;
  }
}

/** How many of the first ones `holds` holds for: for none after the first it does not. */
function countOf(places: readonly Checkpoint[], holds: (place: Checkpoint) => boolean): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(places[middle] as Checkpoint)) low = middle + 1;
    else high = middle;
  }
  return low;
}
