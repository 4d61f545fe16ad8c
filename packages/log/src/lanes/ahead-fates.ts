/**
 * Outcomes of events after others that have none. What is not here was delivered.
 *
 * They are in blocks of single events, and the state says from which block on, and up to which. A
 * newer block speaks of events that the state has as open: then what is known is written again,
 * after that block, and the next state begins there.
 */
import type { Position } from "../types.ts";
import { decodeSparse, EXPIRED, OPEN } from "./fate-blocks.ts";

/** Consecutive events that retention took before they were read. */
interface Range {
  readonly from: Position;
  readonly to: Position;
}

/** A block that the state speaks of. */
export interface AheadBlock {
  readonly first: Position;
  readonly count: number;
  readonly form: "ahead" | "gone";
  readonly body: Uint8Array;
}

export class AheadFates {
  readonly #codes = new Map<Position, number>();
  #gone: Range[] = [];
  /** What no block has yet. */
  readonly unwritten: Map<Position, number> = new Map();
  unwrittenGone: Range[] = [];
  /** The first block. */
  blocksFrom: Position | undefined;

  /** A block of the last run. */
  read({ first, count, form, body }: AheadBlock, end: Position): void {
    if (form === "gone") {
      this.#gone.push({ from: first, to: first + count });
      return;
    }
    for (const [offset, code] of decodeSparse(body)) {
      const position = first + offset;
      if (position < end) continue;
      if (code === OPEN) this.#codes.delete(position);
      else this.#codes.set(position, code);
    }
  }

  /** No block has anything of it. */
  forgetBlocks(): void {
    for (const [position, code] of this.#codes) this.unwritten.set(position, code);
    this.unwrittenGone = [...this.#gone];
    this.blocksFrom = undefined;
  }

  get isEmpty(): boolean {
    return this.#codes.size === 0 && this.#gone.length === 0;
  }

  get isWritten(): boolean {
    return this.unwritten.size === 0 && this.unwrittenGone.length === 0;
  }

  has(position: Position): boolean {
    return this.get(position) !== undefined;
  }

  get(position: Position): number | undefined {
    const code = this.#codes.get(position);
    if (code !== undefined || this.#gone.length === 0) return code;
    return this.#gone.some(({ from, to }) => from <= position && position < to) ? EXPIRED : undefined;
  }

  note(position: Position, code: number): void {
    this.#codes.set(position, code);
    this.unwritten.set(position, code);
  }

  noteGone(from: Position, to: Position): void {
    this.#gone.push({ from, to });
    this.unwrittenGone.push({ from, to });
  }

  /** All before `end` have their place. */
  passed(position: Position, end: Position): void {
    if (this.#codes.delete(position)) this.unwritten.delete(position);
    if (this.#gone.length > 0) this.#gone = this.#gone.filter(({ to }) => to > end);
  }

  clear(): void {
    this.#codes.clear();
    this.#gone = [];
    this.unwritten.clear();
    this.unwrittenGone = [];
    this.blocksFrom = undefined;
  }

  /** How many from `from` to `to - 1` have an outcome here. */
  countIn(from: Position, to: Position): number {
    let count = 0;
    for (const position of this.#codes.keys()) if (from <= position && position < to) count += 1;
    for (const gone of this.#gone) count += Math.max(0, Math.min(gone.to, to) - Math.max(gone.from, from));
    return count;
  }
}
