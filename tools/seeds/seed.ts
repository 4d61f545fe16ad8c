/**
 * What one of the five original systems does, where it is done here, and the tests that show it.
 */
export interface Seed {
  readonly system: string;
  readonly lines: readonly SeedLine[];
}

export interface SeedLine {
  /** The behaviour, as a short sentence. */
  readonly behaviour: string;
  /** `file#text`, from the root; the text is in the file. */
  readonly code: string;
  /** `file#title`, from the root; the title of a test as it is written there, without quotes. */
  readonly tests: readonly string[];
  /** What is different here, and why. */
  readonly differs?: string;
}
