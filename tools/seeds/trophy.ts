import type { Seed } from "./seed.ts";

const SOURCE = "packages/client/src/trophy";
const CLIENT = `${SOURCE}/client.ts`;
const ERROR = `${SOURCE}/error.ts`;
const TESTS = "packages/client/test/vendors/trophy.test.ts";
const REQUESTS = "packages/client/test/vendors/trophy-requests.test.ts";
const DESTINATIONS = "packages/client/test/destinations.test.ts";

export const TROPHY: Seed = {
  system: "Trophy",
  lines: [
    {
      behaviour: "the client is made of an API key; without one it is refused",
      code: `${CLIENT}#apiKey: "required"`,
      tests: [`${TESTS}#[trophy 7] a missing or wrong key is refused with 401, one of another user with 403`],
      differs: "the key is a text, not also a method: make a client per key, or give `apiKey` with the call",
    },
    {
      behaviour: "`metrics` hangs on the client; nobody makes a metrics client of a request client",
      code: `${CLIENT}#readonly metrics: {`,
      tests: [
        `${REQUESTS}#an event is one POST of its user, value and attributes as they are given; its metric's key is encoded`,
      ],
      differs:
        "`AsyncMetricsClient.new(request_client:)` is the inside of the original; the transport is an option here",
    },
    {
      behaviour: "an event is `POST {base}/metrics/{key}/event`",
      code: `${SOURCE}/endpoints.ts#endpoint("POST", "/metrics/{key}/event")`,
      tests: [
        `${REQUESTS}#an event is one POST of its user, value and attributes as they are given; its metric's key is encoded`,
      ],
      differs:
        "the key is encoded (the Ruby client puts it in as it is, so `a/b` was another path), and must not be empty",
    },
    {
      behaviour: "the call does not block: the answer comes as a promise, as the original's comes of an Async task",
      code: `${CLIENT}#event(event: TrophyMetricEvent): Promise<EventResponse>;`,
      tests: [`${REQUESTS}#a call that lacks a part of its path rejects and does not throw; nothing is sent`],
    },
    {
      behaviour: "`user` is sent with the event: id, email, name, tz, device tokens, subscribe to emails, attributes",
      code: `${CLIENT}#body: { user, value, attributes },`,
      tests: [
        `${REQUESTS}#an event is one POST of its user, value and attributes as they are given; its metric's key is encoded`,
      ],
      differs: "names are those of the wire (`deviceTokens`): the Ruby client sends the Hash as it is, so there too",
    },
    {
      behaviour: "an event without `user.id` is refused by the vendor with 422",
      code: `${ERROR}#422: UnprocessableEntityError,`,
      tests: [`${TESTS}#[trophy 6] an event without user.id is refused with 422`],
    },
    {
      behaviour: "`value` is added to the user's total; it may be negative or have decimals",
      code: `${CLIENT}#readonly value: number;`,
      tests: [
        `${TESTS}#[trophy 3] values may be negative and have decimals`,
        `${TESTS}#[trophy 4] totals accumulate, achievements complete once`,
      ],
    },
    {
      behaviour: "event attributes are key-value pairs whose keys must be declared",
      code: `${CLIENT}#readonly attributes?: Readonly<Record<string, string>>;`,
      tests: [`${TESTS}#[trophy 5] attributes that are not declared are refused with 422 and their names`],
    },
    {
      behaviour: "members that are not given are left out of the body",
      code: `${CLIENT}#JSON.stringify(compact({ ...own.body, ...compact(call.body) }))`,
      tests: [`${REQUESTS}#additional body members go along, the event's own win; undefined ones are left out`],
      differs: "undefined is left out, null is sent: it deletes a user's `tz`",
    },
    {
      behaviour: "`idempotency_key` goes as the header Idempotency-Key; events of equal user, metric and key act once",
      code: `${CLIENT}#headers: { [IDEMPOTENCY_KEY]: ownKey },`,
      tests: [
        `${TESTS}#[trophy 1] the first event of a key acts, a duplicate shows the state of now and adds nothing`,
        `${TESTS}#[trophy 2] the same key with another metric is another event`,
      ],
    },
    {
      behaviour: "without an idempotency key none is sent",
      code: `${CLIENT}#idempotencyKey ?? lower(requestOptions?.headers)[IDEMPOTENCY_KEY] ?? makeId()`,
      tests: [
        `${REQUESTS}#headers of a call replace the key of the client; the call's own key, tenant and idempotency key win over them`,
        `${TESTS}#an answer that was lost does not count twice, and what may act twice goes again only after 429 and 503`,
      ],
      differs: "a new one per call is sent: an attempt whose answer was lost would count twice without",
    },
    {
      behaviour: "the answer is an EventResponse: total, achievements, streak, points, leaderboards",
      code: `${CLIENT}#typeof answer?.eventId !== "string" || typeof answer.total !== "number"`,
      tests: [
        `${TESTS}#[trophy 1] the first event of a key acts, a duplicate shows the state of now and adds nothing`,
        `${TESTS}#[trophy 4] totals accumulate, achievements complete once`,
      ],
    },
    {
      behaviour:
        "an answer 2xx that is not an EventResponse is an error, and the event was counted: it is not sent again",
      code: `${ERROR}#export class TrophyParseError`,
      tests: [`${TESTS}#a success that is not an EventResponse is reported as such, and not sent again`],
    },
    {
      behaviour: "`base_url` of the constructor",
      code: `${CLIENT}#const baseUrl = given.baseUrl ?? environment.api;`,
      tests: [
        `${REQUESTS}#the base URL is that of the call, then of the client, then of the environment, then Trophy's own`,
      ],
      differs: "it counts; in the original the environment has a default and always wins",
    },
    {
      behaviour:
        "`environment`: where the APIs are, `Environment::DEFAULT` by default; the Node client's `{ api, admin }`",
      code: `${SOURCE}/environment.ts#export const TrophyApiEnvironment`,
      tests: [
        `${REQUESTS}#the base URL is that of the call, then of the client, then of the environment, then Trophy's own`,
      ],
      differs:
        "the default is `https://api.trophy.so/v1`, that of the vendor's clients of today; `app.trophy.so/api` was that of the first ones. `admin` is taken and not used",
    },
    {
      behaviour: "a trailing slash of the base URL does no harm",
      code: `${CLIENT}#baseUrl.replace(/\\/+$/, "")`,
      tests: [
        `${REQUESTS}#the base URL is that of the call, then of the client, then of the environment, then Trophy's own`,
        `${TESTS}#request options win over the client's own`,
      ],
    },
    {
      behaviour: "a base URL that is not one is refused",
      code: `${CLIENT}#is not an http or https URL`,
      tests: [
        `${REQUESTS}#the base URL is that of the call, then of the client, then of the environment, then Trophy's own`,
      ],
      differs: "when the client is made; the original fails at the first call",
    },
    {
      behaviour: "`tenant_id` of the constructor goes with each request",
      code: `${CLIENT}#{ "tenant-id": options.tenantId }`,
      tests: [
        `${REQUESTS}#tenant and headers of the client go with each request; its headers replace neither key nor tenant`,
      ],
    },
    {
      behaviour: "headers of the constructor go with each request (Node and Python clients)",
      code: `${CLIENT}#...lower(options.headers),`,
      tests: [
        `${REQUESTS}#tenant and headers of the client go with each request; its headers replace neither key nor tenant`,
      ],
    },
    {
      behaviour: "each request has X-API-KEY, and a body its Content-Type",
      code: `${CLIENT}#"x-api-key": options.apiKey,`,
      tests: [
        `${REQUESTS}#tenant and headers of the client go with each request; its headers replace neither key nor tenant`,
        `${REQUESTS}#an event is one POST of its user, value and attributes as they are given; its metric's key is encoded`,
        `${REQUESTS}#headers and parameters that are null are left out`,
      ],
      differs: "the X-Fern headers are not sent; the user agent names Waybill",
    },
    {
      behaviour: "`timeout_in_seconds` of the constructor; 60 s by default (Node, Python)",
      code: `${CLIENT}#timeoutMs: 60_000, maxRetries: 2`,
      tests: [`${REQUESTS}#an attempt ends after 60 s by default, after the client's timeoutMs, or after the call's`],
      differs: "in milliseconds",
    },
    {
      behaviour: "request option `timeout_in_seconds`",
      code: `${CLIENT}#const { timeoutMs = options.timeoutMs, maxRetries = options.maxRetries } = own;`,
      tests: [`${REQUESTS}#an attempt ends after 60 s by default, after the client's timeoutMs, or after the call's`],
    },
    {
      behaviour: "`max_retries` of the constructor; 2 by default (Node, Python)",
      code: `${CLIENT}#maxAttempts: maxRetries + 1,`,
      tests: [`${REQUESTS}#two more attempts by default, as many as the client says, or the call`],
      differs: "the Ruby client tries again only when it is given, and then not a POST",
    },
    {
      behaviour: "request option `maxRetries` (Node)",
      code: `${CLIENT}#const { timeoutMs = options.timeoutMs, maxRetries = options.maxRetries } = own;`,
      tests: [`${REQUESTS}#two more attempts by default, as many as the client says, or the call`],
    },
    {
      behaviour: "request option `api_key`",
      code: `${CLIENT}#...(apiKey === undefined ? {} : { "x-api-key": apiKey }),`,
      tests: [
        `${REQUESTS}#headers of a call replace the key of the client; the call's own key, tenant and idempotency key win over them`,
        `${TESTS}#[trophy 7] a missing or wrong key is refused with 401, one of another user with 403`,
      ],
      differs: "it wins; the original overwrites it with the client's own key",
    },
    {
      behaviour: "request option `base_url` wins over everything",
      code: `${CLIENT}#const { baseUrl = options.baseUrl, tenantId, apiKey } = own;`,
      tests: [
        `${REQUESTS}#the base URL is that of the call, then of the client, then of the environment, then Trophy's own`,
        `${TESTS}#request options win over the client's own`,
      ],
    },
    {
      behaviour: "request option `tenant_id`",
      code: `${CLIENT}#...(tenantId === undefined ? {} : { "tenant-id": tenantId }),`,
      tests: [`${TESTS}#request options win over the client's own`],
    },
    {
      behaviour: "`additional_headers` replace the client's own headers, its key among them",
      code: `${CLIENT}#...lower(own.headers),`,
      tests: [
        `${REQUESTS}#headers of a call replace the key of the client; the call's own key, tenant and idempotency key win over them`,
      ],
      differs: "whatever the case of their letters; an `apiKey` or `tenantId` of the same call wins over them",
    },
    {
      behaviour: "`idempotency_key` wins over an additional header; a header counts when it is not given",
      code: `${CLIENT}#lower(requestOptions?.headers)[IDEMPOTENCY_KEY]`,
      tests: [
        `${REQUESTS}#headers of a call replace the key of the client; the call's own key, tenant and idempotency key win over them`,
      ],
    },
    {
      behaviour: "headers that are nil are left out",
      code: `${CLIENT}#value == null ? []`,
      tests: [`${REQUESTS}#headers and parameters that are null are left out`],
    },
    {
      behaviour: "`additional_query_parameters`, without those that are nil",
      code: `${CLIENT}#.filter(([, value]) => value != null)`,
      tests: [
        `${TESTS}#request options win over the client's own`,
        `${REQUESTS}#headers and parameters that are null are left out`,
      ],
      differs: "they are added to the call's own; the original replaces all",
    },
    {
      behaviour: "`additional_body_parameters` go into the body; user, value and attributes win over them",
      code: `${CLIENT}#JSON.stringify(compact({ ...own.body, ...compact(call.body) }))`,
      tests: [
        `${REQUESTS}#additional body members go along, the event's own win; undefined ones are left out`,
        `${TESTS}#request options win over the client's own`,
      ],
    },
    {
      behaviour: "a signal ends the call (Node 1.18)",
      code: `${CLIENT}#throw new TrophyApiError("The call was aborted")`,
      tests: [`${TESTS}#a timeout, a lost connection and a signal end the call with what happened`],
    },
    {
      behaviour: "request options that are unknown or out of range are ignored",
      code: `${CLIENT}#resolveOptions<RequestOptions>("requestOptions"`,
      tests: [
        `${REQUESTS}#what cannot be sent rejects as the client's own error: no JSON, no Unicode, options of the call that are wrong`,
      ],
      differs: "the call rejects and names the nearest known option",
    },
    {
      behaviour: "a call never throws: it rejects with TrophyApiError, also when an argument is missing",
      code: `${CLIENT}#async ({ requestOptions, ...input }`,
      tests: [
        `${REQUESTS}#a call that lacks a part of its path rejects and does not throw; nothing is sent`,
        `${REQUESTS}#what cannot be sent rejects as the client's own error: no JSON, no Unicode, options of the call that are wrong`,
      ],
    },
    {
      behaviour: "errors by status: 400, 401, 403, 404, 422 have kinds of their own, others are TrophyApiError",
      code: `${ERROR}#export const ERROR_OF_STATUS`,
      tests: [`${REQUESTS}#an error has its kind, its status and its body; one that is not JSON is kept as text`],
      differs: "the Ruby client raises Faraday's errors; the kinds are those of the Node and Python clients",
    },
    {
      behaviour: "an error's body is parsed; one that is not JSON is kept as text (Node 1.0.42, Python)",
      code: `${CLIENT}#// Kept as text.`,
      tests: [`${REQUESTS}#an error has its kind, its status and its body; one that is not JSON is kept as text`],
    },
    {
      behaviour: "a timeout is an error of its own kind",
      code: `${ERROR}#export class TrophyApiTimeoutError`,
      tests: [
        `${TESTS}#a timeout, a lost connection and a signal end the call with what happened`,
        `${REQUESTS}#an attempt ends after 60 s by default, after the client's timeoutMs, or after the call's`,
      ],
    },
    {
      behaviour: "408, 429 and 5xx are tried again",
      code: `${CLIENT}#status === 408 || status === 429 || status >= 500`,
      tests: [`${REQUESTS}#408, 429 and 5xx are tried again, other refusals are not`],
      differs: "not 409, as Node 1.18; Python and Node 1.0.42 try that too",
    },
    {
      behaviour: "waits are 1 s, 2 s and so on, a tenth more or less, 60 s at most (Node 1.18, Python)",
      code: `${CLIENT}#const BACKOFF_SPREAD = 0.1;`,
      tests: [`${TESTS}#[trophy 8] 500, 500, 201 is one event; waits are a second and two, a tenth more or less`],
    },
    {
      behaviour: "Retry-After in seconds or as a date, 60 s at most; 0 asks for nothing",
      code: "packages/core/src/retry-after.ts#waits.find((ms) => ms > 0 && ms <= SANE_MAX_MS)",
      tests: [
        `${REQUESTS}#a Retry-After may be a date, is 60 s at most, and 0 asks for nothing`,
        `${TESTS}#[trophy 10] waits as long as Retry-After says; else until X-RateLimit-Reset, which is a time`,
      ],
    },
    {
      behaviour: "X-RateLimit-Reset is a time in epoch seconds",
      code: "packages/core/src/retry-after.ts#seconds * SECOND_MS - nowMs",
      tests: [`${TESTS}#[trophy 10] waits as long as Retry-After says; else until X-RateLimit-Reset, which is a time`],
    },
    {
      behaviour: "a lost connection is tried again only where that cannot act twice",
      code: `${CLIENT}#transport: call.actsOnce ? transport : onlyBeforeSending(transport, stop),`,
      tests: [
        `${TESTS}#an answer that was lost does not count twice, and what may act twice goes again only after 429 and 503`,
      ],
      differs: "the Node client does not try again at all, Python after some errors and without looking at the key",
    },
    {
      behaviour: "no queue, nothing at exit: each call is its own request",
      code: `${CLIENT}#deliverer.sendOne(""`,
      tests: [
        `${REQUESTS}#an event is one POST of its user, value and attributes as they are given; its metric's key is encoded`,
        `${TESTS}#many calls at once leave nothing after that a platform would warn of`,
      ],
    },
    {
      behaviour: "the rest of the application API: achievements, users, streaks, points, leaderboards",
      code: `${SOURCE}/endpoints.ts#export const ENDPOINTS: Endpoints = {`,
      tests: [`${TESTS}#the rest of the application API comes from a table`],
      differs: "arguments in one object; without the admin API",
    },
    {
      behaviour: "answers have what the vendor's Node and Python clients insist on",
      code: "packages/testing/src/emulators/trophy.ts#breakdownAttributes: [],",
      tests: [
        `${TESTS}#[trophy 9] every leaderboard says what real SDKs insist on`,
        `${TESTS}#[trophy 11] the vendor's own SDK, unmodified, reads the emulator's answers, duplicates and errors`,
      ],
    },
    {
      behaviour: "two events of one user are not sent at the same time: the vendor does not support it",
      code: "packages/vendors/src/trophy/outbound.ts#singly: singly({ concurrency: CONCURRENCY, orderKey: userOf }),",
      tests: [
        `${DESTINATIONS}#Trophy gets the events of one user one after another, those of several users at the same time`,
      ],
      differs:
        "by the destination of `createClient` and the relay; with the vendor's own client it is the caller's part",
    },
  ],
};
