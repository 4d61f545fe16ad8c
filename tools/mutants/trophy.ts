import type { Mutant } from "./mutant.ts";

const CLIENT = "packages/client/src/trophy/client.ts";
const FETCH = "packages/client/src/host/fetch-transport.ts";
const TESTS = ["packages/client/test/vendors/trophy-requests.test.ts"];
const FETCH_TESTS = ["packages/client/test/host/fetch-transport.test.ts"];

export const TROPHY: readonly Mutant[] = [
  {
    name: "Trophy: a call without its id rejects and does not throw",
    file: CLIENT,
    find: "async ({ requestOptions, ...input }: WithRequestOptions<RequestOptions> = {}) =>",
    replace: "({ requestOptions, ...input }: WithRequestOptions<RequestOptions> = {}) =>",
    tests: TESTS,
  },
  {
    name: "Trophy: the environment counts",
    file: CLIENT,
    find: "const { environment = TrophyApiEnvironment.Production } = options;",
    replace: "const environment = TrophyApiEnvironment.Production;",
    tests: TESTS,
  },
  {
    name: "Trophy: the client's base URL wins over the environment",
    file: CLIENT,
    find: "const baseUrl = given.baseUrl ?? environment.api;",
    replace: "const baseUrl = environment.api;",
    tests: TESTS,
  },
  {
    name: "Trophy: a call has its own timeout",
    file: CLIENT,
    find: "const { timeoutMs = options.timeoutMs, maxRetries = options.maxRetries } = own;",
    replace: "const { maxRetries = options.maxRetries } = own; const { timeoutMs } = options;",
    tests: TESTS,
  },
  {
    name: "Trophy: a call has its own number of attempts",
    file: CLIENT,
    find: "const { timeoutMs = options.timeoutMs, maxRetries = options.maxRetries } = own;",
    replace: "const { timeoutMs = options.timeoutMs } = own; const { maxRetries } = options;",
    tests: TESTS,
  },
  {
    name: "Trophy: an attempt ends after 60 s by default",
    file: CLIENT,
    find: "timeoutMs: 60_000,",
    replace: "timeoutMs: 30_000,",
    tests: TESTS,
  },
  {
    name: "Trophy: 408 is tried again",
    file: CLIENT,
    find: "status === 408 || ",
    replace: "",
    tests: TESTS,
  },
  {
    name: "Trophy: the client's tenant goes with each request",
    file: CLIENT,
    find: '...(options.tenantId === undefined ? {} : { "tenant-id": options.tenantId }),',
    replace: "",
    tests: TESTS,
  },
  {
    name: "Trophy: the client's headers go with each request",
    file: CLIENT,
    find: "...lower(options.headers),",
    replace: "",
    tests: TESTS,
  },
  {
    name: "Trophy: headers of a call replace the client's key",
    file: CLIENT,
    find: "...lower(own.headers),",
    replace: '...lower({ ...own.headers, "X-Api-Key": options.apiKey }),',
    tests: TESTS,
  },
  {
    name: "Trophy: an idempotency key that is given as a header counts",
    file: CLIENT,
    find: "idempotencyKey ?? lower(requestOptions?.headers)[IDEMPOTENCY_KEY] ?? makeId()",
    replace: "idempotencyKey ?? makeId()",
    tests: TESTS,
  },
  {
    name: "Trophy: members of the event win over additional ones",
    file: CLIENT,
    find: "compact({ ...own.body, ...compact(call.body) })",
    replace: "compact({ ...call.body, ...own.body })",
    tests: TESTS,
  },
  {
    name: "Trophy: what cannot be written as JSON is the client's own error",
    file: CLIENT,
    find: "const httpRequest = asCall(() => requestOf(options, call, own));",
    replace: "const httpRequest = requestOf(options, call, own);",
    tests: TESTS,
  },
  {
    name: "fetch: an answer is cut at its limit",
    file: FETCH,
    find: "part.value.subarray(0, room)",
    replace: "part.value.subarray(0)",
    tests: FETCH_TESTS,
  },
  {
    name: "fetch: an answer that is cut says so",
    file: FETCH,
    find: "return { body, cut: true };",
    replace: "return { body };",
    tests: FETCH_TESTS,
  },
  {
    name: "fetch: the rest of an answer that is cut is cancelled",
    file: FETCH,
    find: "reader.cancel().catch(() => undefined);",
    replace: "",
    tests: FETCH_TESTS,
  },
  {
    name: "fetch: a GET has no body",
    file: FETCH,
    find: 'method === "GET" ? {} : {',
    replace: 'method === "" as string ? {} : {',
    tests: ["packages/client/test/host/web-build.test.ts"],
  },
];
