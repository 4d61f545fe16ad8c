/** Defects of one line, each of which a test must notice. Used by mutants.ts. */

export interface Mutant {
  /** The behaviour that the defect takes out, as a short sentence. */
  readonly name: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** The tests nearest to it: files or folders. */
  readonly tests: readonly string[];
}

const LOG = "packages/log/src";
const LOG_TESTS = "packages/log/test";

export const MUTANTS: readonly Mutant[] = [
  {
    name: "a newer block of fates counts",
    file: `${LOG}/fates.ts`,
    find: "this.#places.findLast(",
    replace: "this.#places.find(",
    tests: [`${LOG_TESTS}/fates.test.ts`],
  },
  {
    name: "a lost block of fates is unknown",
    file: `${LOG}/fates.ts`,
    find: 'head === undefined) return { status: "unknown" };',
    replace: 'head === undefined) return { status: "delivered" };',
    tests: [`${LOG_TESTS}/fates.test.ts`],
  },
  {
    name: "a tail of fates that does not fit the state is not claimed by it",
    file: `${LOG}/fates.ts`,
    find: ": { from: this.#end, runs: [] };",
    replace: ": { from: this.#from, runs: [] };",
    tests: [`${LOG_TESTS}/fates.test.ts`],
  },
  {
    name: "blocks of fates whose events are in the log stay",
    file: `${LOG}/fates.ts`,
    find: "end > keptFrom)?.at",
    replace: "end > keptFrom + Number.MAX_SAFE_INTEGER)?.at",
    tests: [`${LOG_TESTS}/fates.test.ts`],
  },
];
