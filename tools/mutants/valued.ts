import type { Mutant } from "./mutant.ts";

const SOURCE = "packages/client/src/valued";
const CONTEXT = "packages/client/src/host/web-context.ts";
const CHAINS = ["packages/client/test/vendors/valued-without-chains.test.ts"];
const REQUESTS = ["packages/client/test/vendors/valued-requests.test.ts"];
const TESTS = ["packages/client/test/vendors/valued.test.ts"];
const README = ["packages/client/test/vendors/valued-readme.test.ts"];

export const VALUED: readonly Mutant[] = [
  {
    name: "Valued: an asynchronous scope is refused before it begins",
    file: CONTEXT,
    find: "if (isAsyncFunction(task)) throw asynchronous();",
    replace: "if (isAsyncFunction(task) && value === undefined) throw asynchronous();",
    tests: CHAINS,
  },
  {
    name: "Valued: a scope whose function returns a promise is refused",
    file: CONTEXT,
    find: "if (!isThenable(result)) return result;",
    replace: "if (!isThenable(result) || current === before) return result;",
    tests: CHAINS,
  },
  {
    name: "Valued: without chains a scope ends with its function",
    file: CONTEXT,
    find: "current = before;",
    replace: "current ??= before;",
    tests: CHAINS,
  },
  {
    name: "Valued: what all callers share is set within with() only",
    file: `${SOURCE}/scope.ts`,
    find: "return this.#isShared && this.#context.get() === undefined;",
    replace: "return this.#isShared && this.#context.get() === null;",
    tests: ["packages/client/test/vendors/valued-server.test.ts"],
  },
  {
    name: "Valued: the scope of all callers is a shared one",
    file: `${SOURCE}/global.ts`,
    find: "scope: Scope.shared(client) };",
    replace: "scope: new Scope(client) };",
    tests: CHAINS,
  },
  {
    name: "Valued: a bound scope begins with what is there",
    file: `${SOURCE}/scope.ts`,
    find: "return new Scope(this.#client, Data.merge(this.data, objectOf(data)));",
    replace: "return new Scope(this.#client, data);",
    tests: TESTS,
  },
  {
    name: "Valued: a created scope has its defaults",
    file: `${SOURCE}/scope.ts`,
    find: "this.#defaults = objectOf(defaults);",
    replace: "this.#defaults = objectOf({ ...defaults, user: undefined });",
    tests: TESTS,
  },
  {
    name: "Valued: the entry point's createScope takes defaults",
    file: `${SOURCE}/index.ts`,
    find: "return new Scope(this, defaults);",
    replace: "return new Scope(this, defaults === undefined ? defaults : {});",
    tests: README,
  },
  {
    name: "Valued: an executor can be replaced",
    file: `${SOURCE}/client.ts`,
    find: "this.#executor = executor ?? executorFor(",
    replace: "this.#executor = (this.#closing ? executor : undefined) ?? executorFor(",
    tests: REQUESTS,
  },
  {
    name: "Valued: an executor set to undefined is the environment's own way",
    file: `${SOURCE}/client.ts`,
    find: "this.#executor = executor ?? executorFor(",
    replace: "this.#executor = executor ?? this.#executor ?? executorFor(",
    tests: REQUESTS,
  },
  {
    name: "Valued: the order of the environment's names",
    file: `${SOURCE}/executor.ts`,
    find: '"VALUED_ENV", "RAILS_ENV", "APP_ENV"',
    replace: '"VALUED_ENV", "APP_ENV", "RAILS_ENV"',
    tests: REQUESTS,
  },
  {
    name: "Valued: an empty name of the environment does not count",
    file: `${SOURCE}/executor.ts`,
    find: 'value !== undefined && value !== ""',
    replace: "value !== undefined",
    tests: REQUESTS,
  },
  {
    name: "Valued: a request ends after timeoutMs",
    file: `${SOURCE}/connection.ts`,
    find: "      timeoutMs,",
    replace: "      timeoutMs: Math.max(timeoutMs, 60_000),",
    tests: REQUESTS,
  },
  {
    name: "Valued: a request ends after 60 s by default",
    file: `${SOURCE}/options.ts`,
    find: "timeoutMs: 60_000,",
    replace: "timeoutMs: 10_000,",
    tests: REQUESTS,
  },
  {
    name: "Valued: a connection of the entry point is one of its class",
    file: `${SOURCE}/index.ts`,
    find: 'typeof source === "string" ? new Connection(source, endpoint, ofConnection(options)) : source',
    replace: "ofConnection(options) ? source : source",
    tests: README,
  },
];
