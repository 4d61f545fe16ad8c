import type { Mutant } from "./mutant.ts";

const CLIENT = "packages/client/src/letter/client.ts";
const OUTBOX = "packages/client/src/vendor-kit/outbox.ts";
const EXITS = "packages/client/src/vendor-kit/process-exits.ts";
const TESTS: readonly string[] = ["packages/client/test/vendors/letter.test.ts"];
const EXIT_TESTS: readonly string[] = ["packages/client/test/vendor-kit/process-exits.test.ts"];

export const LETTER: readonly Mutant[] = [
  {
    name: "flushAt below 1 means 1",
    file: CLIENT,
    find: "flushAt: Math.max(1, flushAt),",
    replace: "flushAt: Math.max(1, Math.abs(flushAt)),",
    tests: TESTS,
  },
  {
    name: "Letter's flushAt is 50 by default",
    file: CLIENT,
    find: "flushAt: 50,",
    replace: "flushAt: 49,",
    tests: TESTS,
  },
  {
    name: "Letter's base URL by default",
    file: "packages/vendors/src/letter/outbound.ts",
    find: 'DEFAULT_URL = "https://api.letter.app"',
    replace: 'DEFAULT_URL = "https://letter.app"',
    tests: TESTS,
  },
  {
    name: "Letter's onError is a line on the console by default",
    file: CLIENT,
    find: 'console.error("[letter]", error.message)',
    replace: "void error",
    tests: TESTS,
  },
  {
    name: "Letter's registerAtExit: false is obeyed",
    file: CLIENT,
    find: "if (!registerAtExit) return () => undefined;",
    replace: "if (!registerAtExit && readTimeoutMs < 0) return () => undefined;",
    tests: TESTS,
  },
  {
    name: "Letter's exit callback closes the client",
    file: CLIENT,
    find: "close: () => this.close(),",
    replace: "close: () => Promise.resolve(),",
    tests: TESTS,
  },
  {
    name: "what is left at the end of the process is reported by Letter's client",
    file: CLIENT,
    find: "lost: (reason) => this.#lost(reason),",
    replace: "lost: (reason) => void (reason === undefined && this.#lost(reason)),",
    tests: TESTS,
  },
  {
    name: "Letter's close waits readTimeoutMs x (maxRetries + 2)",
    file: CLIENT,
    find: "return this.#options.readTimeoutMs * (this.#options.maxRetries + 2);",
    replace: "return 2 * this.#options.readTimeoutMs * (this.#options.maxRetries + 2);",
    tests: TESTS,
  },
  {
    name: "Letter's close reports what is left",
    file: CLIENT,
    find: "if (left > 0)",
    replace: "if (left < 0)",
    tests: TESTS,
  },
  {
    name: "a batch that close interrupts has one attempt more",
    file: OUTBOX,
    find: 'const isKept = isRetryable && (onFailure === "keep" || isInterrupted);',
    replace: 'const isKept = isRetryable && onFailure === "keep";',
    tests: TESTS,
  },
  {
    name: "close ends at its deadline whatever the transport does",
    file: OUTBOX,
    find: "await Promise.race([this.drain(each), over]);",
    replace: "await Promise.all([this.drain(each), over.then(() => undefined, () => undefined)].slice(0, 1));",
    tests: TESTS,
  },
  {
    name: "an immediate call of Letter's rejects, it never throws",
    file: CLIENT,
    find: "async identifyImmediate(event: LetterIdentify): Promise<void> {\n    await this",
    replace: "identifyImmediate(event: LetterIdentify): Promise<void> {\n    return this",
    tests: TESTS,
  },
  {
    name: "a BigInt rejects with LetterError",
    file: CLIENT,
    find: "return new LetterError(`${item.type}: cannot be written as JSON: ${messageOf(error)}`, { cause: error, events: 1 });",
    replace: "throw error;",
    tests: TESTS,
  },
  {
    name: "an invalid Date never throws at Letter's caller",
    file: CLIENT,
    find: "Number.isNaN(timestamp.getTime());",
    replace: "timestamp.getTime() === 0;",
    tests: TESTS,
  },
  {
    name: "after process.exit() every client reports",
    file: EXITS,
    find: "this.#reportLost(`the process ended with exit code ${code}`);",
    replace: "if (code === 0) this.#reportLost(`the process ended with exit code ${code}`);",
    tests: EXIT_TESTS,
  },
  {
    name: "a signal closes no client while others listen, unless it opted in",
    file: EXITS,
    find: "isAlone && UNASKED.includes(signal)",
    replace: "(isAlone || signal.length > 0) && UNASKED.includes(signal)",
    tests: EXIT_TESTS,
  },
  {
    name: "the end by a signal is the application's where it listens too",
    file: EXITS,
    find: "if (this.#ending && isAlone) this.#endBy(signal);",
    replace: "this.#endBy(signal);",
    tests: EXIT_TESTS,
  },
  {
    name: "the process ends by the signal after the clients have closed",
    file: EXITS,
    find: "else this.#process.kill(this.#process.pid, signal);",
    replace: "else void signal;",
    tests: EXIT_TESTS,
  },
  {
    name: "a second signal ends the process at once",
    file: EXITS,
    find: "if (this.#ending) return this.#endBy(signal);",
    replace: "if (this.#ending) return;",
    tests: EXIT_TESTS,
  },
  {
    name: "after a signal the process waits until a close's deadline only",
    file: EXITS,
    find: "this.#clock.after(deadlineMs, resolve, true)",
    replace: "this.#clock.after(1_000 * deadlineMs, resolve, true)",
    tests: EXIT_TESTS,
  },
  {
    name: "a signal listener of ours goes after the other one is there",
    file: EXITS,
    find: "    queueMicrotask(() => {",
    replace: "    [0].forEach(() => {",
    tests: EXIT_TESTS,
  },
];
