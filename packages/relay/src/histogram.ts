/**
 * How often what is measured was how large: in fixed buckets, so that to count one is a short
 * search and no allocation. The ingest path has one for each request; prom-client's own looks its
 * labels up by a text that it makes anew.
 */
export class Histogram {
  /** The upper limits of the buckets, ascending; a value that is a limit belongs to its bucket. */
  readonly limits: readonly number[];
  /** How many are in each bucket; the last one has what is above all limits. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(limits: readonly number[]) {
    this.limits = limits;
    this.counts = new Float64Array(limits.length + 1);
  }

  observe(value: number): void {
    const { limits, counts } = this;
    let bucket = 0;
    // Most values are in the first few, so that halving would not be faster.
    while (bucket < limits.length && value > (limits[bucket] as number)) bucket += 1;
    counts[bucket] = (counts[bucket] as number) + 1;
    this.sum += value;
  }
}
