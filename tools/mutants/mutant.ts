export interface Mutant {
  /** The behaviour that the defect takes out, as a short sentence. */
  readonly name: string;
  readonly file: string;
  /** Occurs in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** The tests nearest to it: files or folders. */
  readonly tests: readonly string[];
}
