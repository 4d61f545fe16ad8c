import type { Seed } from "./seed.ts";

const CLIENT = "packages/client/src/getfluxly/client.ts";
const ANSWERS = "packages/client/src/getfluxly/answers.ts";
const PROTOCOL = "packages/vendors/src/getfluxly/outbound.ts";
const OUTBOX = "packages/client/src/vendor-kit/outbox.ts";
const T = "packages/client/test/vendors/getfluxly.test.ts";
const TE = "packages/client/test/vendors/getfluxly-exit.test.ts";
const EXIT = "packages/client/test/vendor-kit/exit.heavy.test.ts";
const EXIT_TITLE =
  "GetFluxly: the normal end and SIGTERM send everything, process.exit() says on the console what is left";

export const GETFLUXLY: Seed = {
  system: "GetFluxly",
  lines: [
    {
      behaviour: "`token` is required; none or an empty one is `validation_error`: token is required.",
      code: `${CLIENT}#new GetFluxlyError("token is required", { code: "validation_error" })`,
      tests: [`${T}#calls without ids, names or a token are refused`],
    },
    {
      behaviour: "`api_host` is `https://api.getfluxly.com` by default; slashes at its end are left out.",
      code: `${PROTOCOL}#DEFAULT_URL = "https://api.getfluxly.com"`,
      tests: [`${T}#without a host it is api.getfluxly.com; slashes at the end of one are left out`],
    },
    {
      behaviour: "A host that is not a URL is refused (Node).",
      code: `${CLIENT}#apiHost !== undefined && !isHttpUrl(apiHost)`,
      tests: [`${T}#calls without ids, names or a token are refused`],
    },
    {
      behaviour: "`flush_at` is 20 by default: so many events a request, and so many start one.",
      code: `${CLIENT}#flushAt: 20,`,
      tests: [`${T}#[getfluxly 1] 25 events are posts of 20 and 5 under different keys`],
    },
    {
      behaviour: "The vendor takes 100 events a request.",
      code: `${CLIENT}#flushAt: whole(1, BATCH_MAX),`,
      tests: [`${T}#[getfluxly 8] the vendor refuses 101 events; the client never sends more than 100`],
      differs: "`flushAt` above 100 is refused when the client is made.",
    },
    {
      behaviour: "`flush_interval` is 5 s by default; 0 is for never (Node).",
      code: `${CLIENT}#flushIntervalMs: 5_000,`,
      tests: [`${T}#sends by itself 5 s after the first event; with an interval of 0 never by time`],
      differs: "in milliseconds, and counted from the first event that waits.",
    },
    {
      behaviour: "`max_retries` is 2 by default: three requests.",
      code: `${CLIENT}#maxAttempts: maxRetries + 1,`,
      tests: [`${T}#three requests a batch by default, maxRetries + 1 when given`],
    },
    {
      behaviour: "`timeout` is 5 s by default; 0 is for none (Node).",
      code: `${CLIENT}#timeoutMs === 0 ? Number.MAX_SAFE_INTEGER : timeoutMs`,
      tests: [`${T}#a request has 5 s by default, timeoutMs when given, and with 0 as long as it takes`],
      differs: "in milliseconds.",
    },
    {
      behaviour: "`max_queue_size` is 1,000 by default; the event beyond it is not stored: `queue_overflow`.",
      code: `${CLIENT}#maxQueueSize: 1_000,`,
      tests: [`${T}#[getfluxly 10] event 1,001 is refused with queue_overflow and is not stored`],
    },
    {
      behaviour: "`register_atexit` is true by default: `shutdown` runs at exit.",
      code: `${CLIENT}#this.#forgetExit = this.#onExit();`,
      tests: [
        `${TE}#with registerAtExit false the end of the process is none of the client's`,
        `${EXIT}#${EXIT_TITLE}`,
      ],
      differs: "after `process.exit()` and an exception Node lets nothing wait: what is left is reported.",
    },
    {
      behaviour: "`register_atexit: false` leaves the end of the process alone.",
      code: `${CLIENT}#if (!registerAtExit) return () => undefined;`,
      tests: [`${TE}#with registerAtExit false the end of the process is none of the client's`],
    },
    {
      behaviour: "Errors at exit are swallowed, so that the process ends as it would have.",
      code: `${CLIENT}#? this.close().catch(`,
      tests: [
        `${TE}#what goes wrong at exit is reported to onError alone; what is left is reported with its count`,
        `${TE}#a signal while close goes on waits for it; a vendor that is down is not asked again at the end`,
        `${EXIT}#${EXIT_TITLE}`,
      ],
      differs: "`onError` receives them where there is one.",
    },
    {
      behaviour: "Events that the last flush could not send are lost silently.",
      code: `${CLIENT}#if (this.#options.onError === undefined) console.error(`,
      tests: [
        `${TE}#without onError only what the end of the process lost is a line on the console`,
        `${TE}#a close that loses its last batch leaves nothing for the end of the process`,
      ],
      differs: "their number is reported to `onError`, or is a line on the console.",
    },
    {
      behaviour: "`track` needs one of `anonymous_id`, `external_id`, `user_id`: else `validation_error`.",
      code: `${CLIENT}#: anonymousId, externalId or userId is required`,
      tests: [`${T}#calls without ids, names or a token are refused`],
    },
    {
      behaviour: "The event's fields are in snake case; what is not given, and an empty id, is left out.",
      code: `${CLIENT}#anonymous_id: isText(anonymousId) ? anonymousId : undefined,`,
      tests: [`${T}#every event carries its time of capture and an id; what is not given is left out`],
    },
    {
      behaviour: "`timestamp` is sent when it is given.",
      code: `${CLIENT}#occurred_at: this.#timeOf("track", timestamp)`,
      tests: [
        `${T}#a Date goes as ISO text; an invalid one is reported to onError and the time of the call goes`,
        `${T}#every event carries its time of capture and an id; what is not given is left out`,
      ],
      differs:
        "as `occurred_at`, which is what the server reads (Python 0.1.4), and always: an event may have waited for minutes.",
    },
    {
      behaviour: "An event carries a `message_id`, by which the server knows it again (Python).",
      code: `${CLIENT}#message_id: this.#makeId()`,
      tests: [
        `${T}#every event carries its time of capture and an id; what is not given is left out`,
        `${T}#a batch whose answer was lost is known by the ids of its events`,
      ],
    },
    {
      behaviour: "What JSON does not know is written as text (Python's `str`).",
      code: `${CLIENT}#: the event cannot be written as JSON: `,
      tests: [`${T}#an event that JSON cannot write is refused, and nothing else is`],
      differs: "such an event is refused with `validation_error`.",
    },
    {
      behaviour: "`identify` is the event `$identify` in the same batch, with `traits` when given.",
      code: `${CLIENT}#this.#enqueue("identify", ids, { event: "$identify", traits`,
      tests: [`${T}#[getfluxly 9] $identify goes through the batch and joins the profiles of its ids`],
    },
    {
      behaviour: "`identify` needs one id as `track` does.",
      code: `${CLIENT}#: anonymousId, externalId or userId is required`,
      tests: [`${T}#calls without ids, names or a token are refused`],
    },
    {
      behaviour: "`alias` needs `user_id` and one of `anonymous_id`, `previous_id`.",
      code: `${CLIENT}#"alias: anonymousId or previousId is required"`,
      tests: [`${T}#calls without ids, names or a token are refused`],
    },
    {
      behaviour:
        "`alias` posts at once to `/v1/identify/alias` under a new idempotency key, with the ids that were given.",
      code: `${PROTOCOL}#/v1/identify/alias`,
      tests: [`${T}#alias posts at once under a key of its own and gives the alias of the answer`],
    },
    {
      behaviour: "`request_id` goes to the HTTP layer, not into the body: the header `X-Request-Id`.",
      code: `${ANSWERS}#"x-request-id": requestId`,
      tests: [`${T}#alias posts at once under a key of its own and gives the alias of the answer`],
    },
    {
      behaviour: "`alias` gives back the `alias` of the answer.",
      code: `${ANSWERS}#return alias as GetFluxlyAliased;`,
      tests: [`${T}#alias posts at once under a key of its own and gives the alias of the answer`],
    },
    {
      behaviour:
        "Without an alias in the answer, or with an empty one, it raises `invalid_response`, retryable, with the answer as `details`, after one request.",
      code: `${ANSWERS}#"alias response did not include alias data"`,
      tests: [`${T}#an answer to alias without an alias is invalid_response after one request (%s)`],
      differs: "an alias that is not an object is none.",
    },
    {
      behaviour: "`alias` is tried again like every request, and works after `shutdown`.",
      code: `${CLIENT}#const deliverer = this.#deliverer(aliasProtocol(`,
      tests: [`${T}#alias is tried again as everything else, and goes on after close`],
    },
    {
      behaviour: "`alias` needs a server key: 403 `wrong_key_type` passes through.",
      code: `${ANSWERS}#code: typeof code === "string" ? code : "server_error",`,
      tests: [`${T}#[getfluxly 7] a publishable key cannot alias`],
    },
    {
      behaviour: "A server key in a browser is refused: `server_key_in_browser`.",
      code: `${CLIENT}#if (host.isBrowser && !token`,
      tests: [
        `${TE}#a server key is refused in a browser alone: where a window with a document is`,
        `${TE}#outside Node only a window with a document is a browser (%s)`,
      ],
    },
    {
      behaviour: "`flush` drains batches of `flush_at` until nothing waits, each under a new idempotency key.",
      code: `${CLIENT}#limits: { ...protocol.limits, maxEvents: flushAt },`,
      tests: [
        `${T}#[getfluxly 1] 25 events are posts of 20 and 5 under different keys`,
        `${T}#[getfluxly 8] the vendor refuses 101 events; the client never sends more than 100`,
      ],
    },
    {
      behaviour: "A retryable error puts the batch back in front and is raised; its next flush has another key.",
      code: `${CLIENT}#onFailure: "keep",`,
      tests: [`${T}#[getfluxly 4] three 503 put the batch back in front, and it goes again under a new key`],
    },
    {
      behaviour: "Any other error loses the batch and is raised; what is behind stays queued.",
      code: `${CLIENT}#if (failure !== undefined) throw failure;`,
      tests: [`${T}#[getfluxly 3] 400 loses the batch and rejects the flush; what is behind stays`],
    },
    {
      behaviour: "The result adds up `accepted` (default: the batch), `rejected` (default: 0), `batches`, `errors`.",
      code: `${ANSWERS}#accepted: numberOr(answer["accepted"], events),`,
      tests: [
        `${T}#results of one flush add up`,
        `${T}#[getfluxly 6] the answer names each refused event; the others are stored`,
      ],
    },
    {
      behaviour: "A 2xx that is not JSON is `invalid_response`, and the batch is put back; an empty body is a success.",
      code: `${PROTOCOL}#later(response, nowMs, "invalid_response")`,
      tests: [`${T}#a 2xx that is not JSON is not taken for an answer`],
    },
    {
      behaviour: "All attempts of one batch have the same idempotency key, which the server answers once.",
      code: `${PROTOCOL}#"x-idempotency-key": stableUuid(key),`,
      tests: [
        `${T}#[getfluxly 5] a repeated key gets the first answer, its request id too`,
        `${T}#[getfluxly 2] 503, 503, 202 are one batch under the same key; waits grow by a quarter more or less`,
      ],
    },
    {
      behaviour: "Waits begin at 200 ms and double, a quarter more or less; Python computes them and does not wait.",
      code: `${CLIENT}#spreadBackoff(BACKOFF_BASE_MS, BACKOFF_MAX_MS, BACKOFF_SPREAD)`,
      tests: [
        `${T}#[getfluxly 2] 503, 503, 202 are one batch under the same key; waits grow by a quarter more or less`,
      ],
      differs: "they are waited for, 30 s at most; `Retry-After` as it is, a minute at most.",
    },
    {
      behaviour: "The thread in the background sends every `flush_interval`; its errors are only logged.",
      code: `${CLIENT}#onBackground: (delivery) => this.#report(errorOf(delivery)),`,
      tests: [`${T}#in the background a vendor that is down is asked once per interval, and nothing is lost`],
      differs: "they go to `onError`.",
    },
    {
      behaviour: "Reaching `flush_at` flushes in the caller (Python), and raises there.",
      code: `${OUTBOX}#if (this.events >= flushAt && !this.#stuck)`,
      tests: [`${T}#in the background a vendor that is down is asked once per interval, and nothing is lost`],
      differs: "in the background; while the vendor is down only the interval starts requests.",
    },
    {
      behaviour: "`shutdown`, also `close`: the first call flushes, later ones give an empty result.",
      code: `${CLIENT}#if (this.#closing !== undefined) return EMPTY;`,
      tests: [`${T}#[getfluxly 11] a second shutdown gives an empty result; events after it are refused`],
    },
    {
      behaviour: "`shutdown` goes on until everything is sent or a batch fails; there is no deadline.",
      code: `${CLIENT}#return await this.flush();`,
      tests: [`${TE}#close ends also when the transport ignores that it is aborted; the events stay`],
      differs: "after a signal it is waited for `timeoutMs` × (`maxRetries` + 2) at most.",
    },
    {
      behaviour: "An event after `shutdown` is taken and lost (Python).",
      code: `${CLIENT}#new GetFluxlyError("the client was closed", { code: "client_closed" })`,
      tests: [`${T}#[getfluxly 11] a second shutdown gives an empty result; events after it are refused`],
      differs: "it is refused with `client_closed`.",
    },
    {
      behaviour: "No answer, or none in time, is `transport_error`, retryable.",
      code: `${ANSWERS}#if (status === "retryable") return "transport_error"`,
      tests: [
        `${T}#three requests a batch by default, maxRetries + 1 when given`,
        `${T}#a request has 5 s by default, timeoutMs when given, and with 0 as long as it takes`,
      ],
    },
  ],
};
