/** What a check may be called after `--only`. */
export const CHECKS = ["cycles", "orphans", "vendors", "functions", "comments", "prose", "words"] as const;
export type Check = (typeof CHECKS)[number];

/** One place that a person has to change. */
export interface Finding {
  readonly check: Check;
  /** From the root of the repository. */
  readonly file: string;
  readonly line: number;
  /** What is wrong, as a short text. */
  readonly what: string;
  /** What to do about it, as an order to the reader. */
  readonly remedy: string;
}
