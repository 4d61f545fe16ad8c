/**
 * The last hour in memory: a sample every ten seconds, 360 of them, a column of numbers for each
 * thing. A lane has four columns of 360 times 4 bytes: 5,760 bytes, so 6 MB for 1,000 lanes. What
 * is older is overwritten.
 */

/** One sample. */
export const STEP_MS = 10_000;
/** An hour of them. */
export const STEPS_MAX = 360;

/** Numbers of the last hour. They share a place with those of all other columns of a relay. */
export class Column {
  readonly #values: Float32Array;

  constructor(empty: number) {
    this.#values = new Float32Array(STEPS_MAX).fill(empty);
  }

  set(step: number, value: number): void {
    this.#values[step % STEPS_MAX] = value;
  }

  /** Those of `steps` steps that end before `end`, oldest first; NaN as `null`. */
  read(end: number, steps: number): (number | null)[] {
    const values: (number | null)[] = [];
    for (let step = end - steps; step < end; step++) {
      const value = this.#values[step % STEPS_MAX] as number;
      values.push(Number.isNaN(value) ? null : value);
    }
    return values;
  }

  /** Of a column that has a number for each step. */
  readTotals(end: number, steps: number): number[] {
    return this.read(end, steps).map((value) => value ?? 0);
  }
}
