/**
 * Writes a request's events, as they will be stored, into one piece of memory: each byte is copied
 * once, whatever has to change in between.
 */

const NULL = new TextEncoder().encode("null");
const encoder = new TextEncoder();
/** Below this many bytes a loop is faster than a call that copies. */
const LOOP_BELOW_BYTES = 64;
const CAPACITY_MIN_BYTES = 256;
const ASCII_MAX = 0x7f;
/** UTF-8 has at most this many bytes for a unit of a string. */
const BYTES_PER_UNIT_MAX = 3;

/** What changes on the way: pairs of start and end, in order of place. */
export interface Edits {
  /** Each becomes `null`. */
  readonly nonFinite: ArrayLike<number>;
  /** Each is left out. */
  readonly cuts: ArrayLike<number>;
}

/** A text in the place of a range. */
export interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  /** `capacity` is a guess; it grows. */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(Math.max(capacity, CAPACITY_MIN_BYTES));
  }

  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#ensure(1);
    this.#bytes[this.#length++] = value;
  }

  text(text: string): void {
    this.#ensure(text.length * BYTES_PER_UNIT_MAX);
    const plain = text.length < LOOP_BELOW_BYTES ? this.#plainText(text) : 0;
    if (plain === text.length) return;
    this.#length += encoder.encodeInto(text.slice(plain), this.#bytes.subarray(this.#length)).written;
  }

  /** Writes the ASCII that the text begins with, ids as a rule whole; returns its length. */
  #plainText(text: string): number {
    const to = this.#bytes;
    const from = this.#length;
    let at = 0;
    for (; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit > ASCII_MAX) break;
      to[from + at] = unit;
    }
    this.#length += at;
    return at;
  }

  copy(from: Uint8Array, start: number, end: number): void {
    const count = end - start;
    if (count <= 0) return;
    this.#ensure(count);
    const to = this.#bytes;
    let at = this.#length;
    this.#length += count;
    if (count >= LOOP_BELOW_BYTES) to.set(from.subarray(start, end), at);
    else for (let index = start; index < end; index++) to[at++] = from[index] as number;
  }

  /** Copies a range with its edits made, and one text in the place of a part of it. */
  copyEdited(from: Uint8Array, start: number, end: number, { nonFinite, cuts }: Edits, replaced?: Replacement): void {
    if (replaced === undefined && cuts.length === 0)
      return nonFinite.length === 0 ? this.copy(from, start, end) : this.#copyWithNulls(from, start, end, nonFinite);
    let nextNull = firstFrom(nonFinite, start);
    let nextCut = firstFrom(cuts, start);
    let pending = replaced !== undefined && replaced.start >= start && replaced.end <= end ? replaced : undefined;
    let at = start;
    for (;;) {
      const nullAt = nextNull < nonFinite.length ? (nonFinite[nextNull] as number) : end;
      const cutAt = nextCut < cuts.length ? (cuts[nextCut] as number) : end;
      const textAt = pending?.start ?? end;
      const edit = Math.min(nullAt, cutAt, textAt);
      if (edit >= end) break;
      // What lies within a range that was edited before is gone with it.
      const isGone = edit < at;
      if (!isGone) this.copy(from, at, edit);
      if (edit === cutAt) {
        at = Math.max(at, cuts[nextCut + 1] as number);
        nextCut += 2;
      } else if (pending !== undefined && edit === textAt) {
        if (!isGone) this.text(pending.text);
        at = Math.max(at, pending.end);
        pending = undefined;
      } else {
        if (!isGone) this.copy(NULL, 0, NULL.length);
        at = Math.max(at, nonFinite[nextNull + 1] as number);
        nextNull += 2;
      }
    }
    this.copy(from, at, end);
  }

  /** The usual edits, of which there may be a hundred thousand. */
  #copyWithNulls(from: Uint8Array, start: number, end: number, nonFinite: ArrayLike<number>): void {
    // Each takes three bytes at least, and becomes four.
    this.#ensure(Math.ceil(((end - start) * 4) / 3));
    const to = this.#bytes;
    let length = this.#length;
    let at = start;
    for (let next = firstFrom(nonFinite, start); next < nonFinite.length; next += 2) {
      const edit = nonFinite[next] as number;
      if (edit >= end) break;
      if (edit - at < LOOP_BELOW_BYTES) while (at < edit) to[length++] = from[at++] as number;
      else {
        to.set(from.subarray(at, edit), length);
        length += edit - at;
      }
      for (let index = 0; index < NULL.length; index++) to[length++] = NULL[index] as number;
      at = nonFinite[next + 1] as number;
    }
    this.#length = length;
    this.copy(from, at, end);
  }

  /** What was written. Nothing may be written afterwards. */
  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #ensure(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

/**
 * Index of the first pair that starts at or after `offset`. A hostile body has many pairs and many
 * events: search, do not walk.
 */
export function firstFrom(pairs: ArrayLike<number>, offset: number): number {
  let low = 0;
  let high = pairs.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((pairs[2 * middle] as number) < offset) low = middle + 1;
    else high = middle;
  }
  return 2 * low;
}
