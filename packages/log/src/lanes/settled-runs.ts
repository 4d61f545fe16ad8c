/**
 * Which events between parked ones have their outcome. A user's events go in order, so those after
 * a parked one wait, but for what was known of a later one without it: it was left out, or the
 * vendor's answer had it. The state has only the first event of each user that is not settled.
 */
import type { Position } from "../types.ts";
import { PARKED } from "./fate-blocks.ts";

interface Range {
  readonly from: Position;
  readonly to: Position;
}

export class SettledRuns {
  /** In order, apart from each other. */
  #ranges: Range[] = [];

  /** Events from `first` on: count and code of each run, in turn. What comes later counts. */
  cover(first: Position, runs: readonly number[]): void {
    while ((this.#ranges.at(-1)?.from ?? -1) >= first) this.#ranges.pop();
    const last = this.#ranges.at(-1);
    if (last !== undefined && last.to > first) this.#ranges.splice(-1, 1, { from: last.from, to: first });
    let from = first;
    for (let at = 0; at < runs.length; at += 2) {
      const to = from + (runs[at] as number);
      if (runs[at + 1] !== PARKED) this.#ranges.push({ from, to });
      from = to;
    }
  }

  has(position: Position): boolean {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle] as Range).to <= position) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low];
    return range !== undefined && range.from <= position;
  }
}
