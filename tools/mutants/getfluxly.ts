import type { Mutant } from "./mutant.ts";

const CLIENT = "packages/client/src/getfluxly/client.ts";
const ANSWERS = "packages/client/src/getfluxly/answers.ts";
const TESTS: readonly string[] = ["packages/client/test/vendors/getfluxly.test.ts"];
const EXIT_TESTS: readonly string[] = ["packages/client/test/vendors/getfluxly-exit.test.ts"];

export const GETFLUXLY: readonly Mutant[] = [
  {
    name: "alias gives the answer's alias",
    file: ANSWERS,
    find: "Object.keys(alias).length > 0) return alias as GetFluxlyAliased;",
    replace: "Object.keys(alias).length > 0) return answer as GetFluxlyAliased;",
    tests: TESTS,
  },
  {
    name: "an empty alias is invalid_response",
    file: ANSWERS,
    find: "alias !== null && Object.keys(alias).length > 0)",
    replace: "alias !== null)",
    tests: TESTS,
  },
  {
    name: "an answer without an alias is asked for once",
    file: ANSWERS,
    find: "response.status >= 200 && response.status < 300",
    replace: "response.status >= 200 && response.status < 200",
    tests: TESTS,
  },
  {
    name: "the details of an alias that failed are the answer",
    file: ANSWERS,
    find: "    status: last?.status,\n    details: answer,",
    replace: "    status: last?.status,\n    details: alias,",
    tests: TESTS,
  },
  {
    name: "alias goes on after close",
    file: CLIENT,
    find: 'if (!isText(userId)) throw new GetFluxlyError("alias: userId is required", { code: "validation_error" });',
    replace: "this.#assertOpen();",
    tests: TESTS,
  },
  {
    name: "a server key is for workers too",
    file: CLIENT,
    find: "if (host.isBrowser && !token",
    replace: "if ((host.isBrowser || token.length > 0) && !token",
    tests: EXIT_TESTS,
  },
  {
    name: "a browser is where a window and a document are",
    file: "packages/client/src/host/web-host.ts",
    find: '"window" in globalThis && "document" in globalThis',
    replace: '"window" in globalThis || "document" in globalThis',
    tests: EXIT_TESTS,
  },
  {
    name: "GetFluxly's host by default",
    file: "packages/vendors/src/getfluxly/outbound.ts",
    find: 'DEFAULT_URL = "https://api.getfluxly.com"',
    replace: 'DEFAULT_URL = "https://getfluxly.com"',
    tests: TESTS,
  },
  {
    name: "GetFluxly's interval is 5 s by default",
    file: CLIENT,
    find: "flushIntervalMs: 5_000,",
    replace: "flushIntervalMs: 4_000,",
    tests: TESTS,
  },
  {
    name: "GetFluxly's timeout is 5 s by default",
    file: CLIENT,
    find: "const DEFAULT_TIMEOUT_MS = 5_000;",
    replace: "const DEFAULT_TIMEOUT_MS = 6_000;",
    tests: TESTS,
  },
  {
    name: "GetFluxly's timeout of 0 is none",
    file: CLIENT,
    find: "timeoutMs: timeoutMs === 0 ? Number.MAX_SAFE_INTEGER : timeoutMs,",
    replace: "timeoutMs: timeoutMs === 0 ? DEFAULT_TIMEOUT_MS : timeoutMs,",
    tests: TESTS,
  },
  {
    name: "GetFluxly's events carry the Date of the caller",
    file: CLIENT,
    find: "timestamp instanceof Date && !isInvalid ? timestamp :",
    replace: "timestamp instanceof Date && isInvalid ? timestamp :",
    tests: TESTS,
  },
  {
    name: "an invalid Date is reported to GetFluxly's onError",
    file: CLIENT,
    find: "    if (isInvalid)\n",
    replace: '    if (isInvalid && call === "")\n',
    tests: TESTS,
  },
  {
    name: "GetFluxly's registerAtExit: false is obeyed",
    file: CLIENT,
    find: "if (!registerAtExit) return () => undefined;",
    replace: "if (!registerAtExit && timeoutMs < 0) return () => undefined;",
    tests: EXIT_TESTS,
  },
  {
    name: "errors of GetFluxly's client at exit are swallowed",
    file: CLIENT,
    find: "? this.close().catch((error: unknown) => this.#report(error as GetFluxlyError))",
    replace: "? this.close()",
    tests: EXIT_TESTS,
  },
  {
    name: "a signal during GetFluxly's close waits for it",
    file: CLIENT,
    find: "this.#closing.catch(() => undefined);",
    replace: "Promise.resolve();",
    tests: EXIT_TESTS,
  },
  {
    name: "what the end of the process lost is on the console where there is no onError",
    file: CLIENT,
    find: "if (this.#options.onError === undefined) console.error(",
    replace: "if (this.#options.onError !== undefined) console.error(",
    tests: EXIT_TESTS,
  },
  {
    name: "a repeated key of GetFluxly's is the same in each attempt",
    file: "packages/vendors/src/getfluxly/outbound.ts",
    find: '"x-idempotency-key": stableUuid(key),',
    replace: '"x-idempotency-key": stableUuid(key + String(Math.random())),',
    tests: TESTS,
  },
  {
    name: "no request of GetFluxly's client has more than flushAt events",
    file: CLIENT,
    find: "maxEvents: flushAt },",
    replace: "maxEvents: 2 * flushAt },",
    tests: TESTS,
  },
];
