import type { SeededRandom } from "@waybill/testing";

/** What is fuzzed: where its inputs come from, and what must hold of whatever is made of them. */
export interface Target {
  /**
   * What the inputs are made from; by default the files of `corpus/<name>`. They are run as they
   * are before anything is made from them.
   */
  readonly seeds?: (corpus: readonly Buffer[]) => readonly Buffer[];
  /** Pieces that mean something where they occur. */
  readonly dictionary: readonly string[];
  /**
   * Makes an input; by default damages the bytes of a seed. Nothing but the generator may decide.
   */
  readonly make?: (random: SeededRandom, seeds: readonly Buffer[]) => Buffer;
  /** Sets up what inputs are run against. Not timed. */
  readonly open: () => Opened | Promise<Opened>;
}

export interface Opened {
  /** Throws when a promise is broken; what it does follows from the bytes alone. */
  run(input: Buffer): void | Promise<void>;
  close?(): Promise<void>;
}
