/** The middle of some measurements, and how far they lie apart. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** (max - min) / median. */
  readonly spread: number;
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const median = percentile(sorted, 50);
  const min = sorted[0] as number;
  const max = sorted.at(-1) as number;
  return { median, min, max, spread: (max - min) / median };
}

/** `sorted` ascending. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  const index = Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100));
  return sorted[index] as number;
}

/** Four digits that matter. */
export function round(value: number): number {
  return Number(value.toPrecision(4));
}
