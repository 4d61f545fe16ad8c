import type { Mutant } from "./mutant.ts";

const LOG_SOURCE = "packages/log/src";
const LOG_TESTS = "packages/log/test";

export const LOG: readonly Mutant[] = [
  {
    name: "a newer block of fates counts",
    file: `${LOG_SOURCE}/fates.ts`,
    find: "this.#places.findLast(",
    replace: "this.#places.find(",
    tests: [`${LOG_TESTS}/fates.test.ts`],
  },
  {
    name: "a lost block of fates is unknown",
    file: `${LOG_SOURCE}/fates.ts`,
    find: 'head === undefined) return { status: "unknown" };',
    replace: 'head === undefined) return { status: "delivered" };',
    tests: [`${LOG_TESTS}/fates.test.ts`],
  },
  {
    name: "a tail of fates that does not fit the state is not claimed by it",
    file: `${LOG_SOURCE}/fates.ts`,
    find: ": { from: this.#end, runs: [] };",
    replace: ": { from: this.#from, runs: [] };",
    tests: [`${LOG_TESTS}/fates.test.ts`],
  },
  {
    name: "blocks of fates whose events are in the log stay",
    file: `${LOG_SOURCE}/fates.ts`,
    find: "end > keptFrom)?.at",
    replace: "end > keptFrom + Number.MAX_SAFE_INTEGER)?.at",
    tests: [`${LOG_TESTS}/fates.test.ts`],
  },
  {
    name: "a segment that gives way leaves no room for what could not be stored",
    file: `${LOG_SOURCE}/segment-log.ts`,
    find: "const before = givesWay ? this.segments.at(-2) : newest;",
    replace: "const before = newest;",
    tests: [`${LOG_TESTS}/wave.test.ts`],
  },
  {
    name: "while storing fails the log tries the disk",
    file: `${LOG_SOURCE}/segment-log.ts`,
    find: "if (this.#lastError !== undefined && !this.#closed) void this.tryDisk();",
    replace: "",
    tests: [`${LOG_TESTS}/wave.test.ts`],
  },
  {
    name: "a body that changed its size is refused alone",
    file: `${LOG_SOURCE}/wave.ts`,
    find: "assert(bytesOf(sized.body) === sized.bodyBytes,",
    replace: "assert(bytesOf(sized.body) >= 0,",
    tests: [`${LOG_TESTS}/wave.test.ts`],
  },
  {
    name: "what retention took is in the account at once",
    file: `${LOG_SOURCE}/log-store.ts`,
    find: "(first) => this.#removed(first)",
    replace: "(first) => (first < 0 ? this.#removed(first) : undefined)",
    tests: [`${LOG_TESTS}/expired.test.ts`],
  },
  {
    name: "what retention took behind a batch on its way is counted once",
    file: `${LOG_SOURCE}/log-store.ts`,
    find: "expired: expired - this.#expiredBehind,",
    replace: "expired,",
    tests: [`${LOG_TESTS}/expired.test.ts`],
  },
  {
    name: "a replay that went on meanwhile loses only what it had not reached",
    file: `${LOG_SOURCE}/replay-store.ts`,
    find: "chosen - (events - before.events)",
    replace: "chosen - 0 * events",
    tests: [`${LOG_TESTS}/expired.test.ts`],
  },
  {
    name: "a lane state of another shape counts as damaged",
    file: `${LOG_SOURCE}/lane-value.ts`,
    find: "leased].every(isCount)) return undefined;",
    replace: "leased].some(isCount)) return undefined;",
    tests: [`${LOG_TESTS}/damaged-files.test.ts`],
  },
  {
    name: "a file under the name of another segment is set aside",
    file: `${LOG_SOURCE}/recover.ts`,
    find: "if (header.base !== baseOf(name)) return",
    replace: "if (header.base !== baseOf(name) && size < 0) return",
    tests: [`${LOG_TESTS}/damaged-files.test.ts`],
  },
  {
    name: "events behind one that holds the bytes are found too",
    file: `${LOG_SOURCE}/find.ts`,
    find: "from = ends[index] as number;",
    replace: "return;",
    tests: [`${LOG_TESTS}/find.test.ts`],
  },
  {
    name: "one lane is opened anew when its state is gone",
    file: "packages/relay/src/destination.ts",
    find: "if (names.length > 0) return true;",
    replace: "if (names.length < 0) return true;",
    tests: ["packages/relay/test/damaged-directory.test.ts"],
  },
];
