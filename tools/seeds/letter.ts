import type { Seed } from "./seed.ts";

const CLIENT = "packages/client/src/letter/client.ts";
const PROTOCOL = "packages/vendors/src/letter/outbound.ts";
const OUTBOX = "packages/client/src/vendor-kit/outbox.ts";
const EXITS = "packages/client/src/vendor-kit/process-exits.ts";
const T = "packages/client/test/vendors/letter.test.ts";
const EXIT = "packages/client/test/vendor-kit/exit.heavy.test.ts";
const PROCESS = "packages/client/test/vendor-kit/process-exits.test.ts";

export const LETTER: Seed = {
  system: "Letter",
  lines: [
    {
      behaviour: "`api_key` is required; an empty one is an error with the words `api_key is required`.",
      code: `${CLIENT}#throw new LetterError("apiKey is required")`,
      tests: [`${T}#wrong arguments throw at once`],
      differs: "the option is `apiKey`, and the message names it so.",
    },
    {
      behaviour: "`base_url` is `https://api.letter.app` by default.",
      code: `${PROTOCOL}#DEFAULT_URL = "https://api.letter.app"`,
      tests: [`${T}#without a base URL it is api.letter.app`],
    },
    {
      behaviour: "All slashes at the end of `base_url` are left out.",
      code: `${PROTOCOL}#withoutTrailingSlashes(settings.url ?? DEFAULT_URL)`,
      tests: [`${T}#all slashes at the end of the base URL are left out`],
    },
    {
      behaviour: "`flush_at` is 50 by default: so many queued events start a request.",
      code: `${CLIENT}#flushAt: 50,`,
      tests: [`${T}#flushAt is 50 by default, and everything below 1 means 1`],
    },
    {
      behaviour: "`flush_at` below 1 counts as 1.",
      code: `${CLIENT}#flushAt: Math.max(1, flushAt),`,
      tests: [`${T}#flushAt is 50 by default, and everything below 1 means 1`],
      differs: "a text or a fraction is refused, where Ruby's `to_i` makes a number of it.",
    },
    {
      behaviour: "`flush_at: 1` is for serverless: every event starts a request, and `flush` ends the call.",
      code: `${OUTBOX}#if (this.events >= flushAt && !this.#stuck)`,
      tests: [`${T}#[letter 5] with flushAt 1 sends at once; with an interval of 0 never by time`],
    },
    {
      behaviour: "`flush_interval` is 0.1 s by default.",
      code: `${CLIENT}#flushIntervalMs: 100,`,
      tests: [`${T}#[letter 4] sends by itself 100 ms after the first event`],
      differs:
        "in milliseconds, and counted from the first event that waits; 0 is for never, as in the vendor's Node client.",
    },
    {
      behaviour: "`max_retries` is 3 by default: four requests.",
      code: `${CLIENT}#maxAttempts: maxRetries + 1,`,
      tests: [`${T}#each attempt has openTimeoutMs and readTimeoutMs together, by default 20 s; maxRetries is 3`],
    },
    {
      behaviour: "`open_timeout` and `read_timeout` are 10 s each by default.",
      code: `${CLIENT}#timeoutMs: openTimeoutMs + readTimeoutMs,`,
      tests: [`${T}#each attempt has openTimeoutMs and readTimeoutMs together, by default 20 s; maxRetries is 3`],
      differs: "their sum is the limit for a whole request: `fetch` and Node do not tell when a connection is open.",
    },
    {
      behaviour: "`on_error` is called for errors in the background; by default a line `[letter] …` on standard error.",
      code: `${CLIENT}#console.error("[letter]", error.message)`,
      tests: [
        `${T}#without onError a lost batch is a line on the console`,
        `${T}#[letter 9] a refusal for good means one request; the batch is lost and onError is called (%i)`,
      ],
    },
    {
      behaviour: "An `on_error` that raises kills the thread that sends.",
      code: `${CLIENT}#// Documented at the option: what it throws is ignored.`,
      tests: [`${T}#an event that JSON cannot write harms no other, and a callback that throws harms nothing`],
      differs: "what it throws is ignored.",
    },
    {
      behaviour:
        "`identify` queues who a contact is: `user_id`, `email`, `traits`, `timezone`, `timestamp`, `message_id`.",
      code: `${CLIENT}#this.#enqueue(identifyItem(event, this.#making));`,
      tests: [`${T}#[letter 1] sends the three kinds in one batch`],
      differs: "the arguments are one object in camel case, for all calls.",
    },
    {
      behaviour: "`group` queues which account a contact belongs to: `user_id`, `account_id`, `name`, `traits`.",
      code: `${CLIENT}#this.#enqueue(groupItem(event, this.#making));`,
      tests: [`${T}#[letter 1] sends the three kinds in one batch`],
    },
    {
      behaviour: "`track` queues what a contact did: `user_id`, `event`, `properties`.",
      code: `${CLIENT}#this.#enqueue(trackItem(event, this.#making));`,
      tests: [`${T}#[letter 1] sends the three kinds in one batch`],
    },
    {
      behaviour: "A call without `user_id`, `account_id` or `event` raises before anything is queued.",
      code: `${CLIENT}#is required\`);`,
      tests: [`${T}#wrong arguments throw at once`],
    },
    {
      behaviour: "Fields that are not given are left out; `traits` and `properties` are `{}` then.",
      code: `${CLIENT}#const { email, traits = {}, timezone } = event;`,
      tests: [`${T}#[letter 2] leaves out what is not given, but traits and properties`],
    },
    {
      behaviour: "Each item carries a `messageId`: the caller's, or a new UUID; an empty one counts as none.",
      code: `${CLIENT}#messageId === undefined || messageId === "" ? makeId() : messageId,`,
      tests: [
        `${T}#[letter 2] leaves out what is not given, but traits and properties`,
        `${T}#[letter 10] the same messageId counts once`,
      ],
      differs: "the UUID is of version 7, which is in order of time, not 4.",
    },
    {
      behaviour: "A time is sent as ISO 8601; a text goes as it is; an empty one is left out.",
      code: `${CLIENT}#timestamp: given === "" ? undefined : given,`,
      tests: [
        `${T}#[letter 3] writes a Date as ISO text; a text stays as it is`,
        `${T}#[letter 2] leaves out what is not given, but traits and properties`,
      ],
    },
    {
      behaviour: "An invalid time cannot be given.",
      code: `${CLIENT}#const isInvalid = timestamp instanceof Date && Number.isNaN(timestamp.getTime());`,
      tests: [`${T}#an invalid Date is left out and reported to onError; the event is sent`],
      differs: "JavaScript has invalid dates: the event goes without its time, and `onError` is called.",
    },
    {
      behaviour:
        'Queued items go to `POST /v1/batch` as `{"batch":[…]}`, each with its `type`, with the key as a bearer token.',
      code: `${PROTOCOL}#body: path === "batch" ? ['{"batch":[', ...body, "]}"] : body,`,
      tests: [`${T}#[letter 1] sends the three kinds in one batch`],
    },
    {
      behaviour: "The queue has no limit.",
      code: `${CLIENT}#if (!this.#outbox.push(text))`,
      tests: [`${T}#a full queue refuses through onError and keeps what it has`],
      differs: "`maxQueueSize`, 100,000 by default; an event beyond it is reported to `onError`.",
    },
    {
      behaviour: "An item that JSON cannot write loses its whole batch through `on_error`.",
      code: `${CLIENT}#: cannot be written as JSON`,
      tests: [`${T}#an event that JSON cannot write harms no other, and a callback that throws harms nothing`],
      differs: "it is lost alone.",
    },
    {
      behaviour: "`flush` sends everything that is queued, batch after batch, and blocks until that is done.",
      code: `${CLIENT}#return held(this.#host.runtime.clock, this.#outbox.drain(this.#delivered));`,
      tests: [`${T}#[letter 6] sends what is queued in requests of at most 100 events, one at a time`],
      differs: "a promise that never rejects, instead of blocking.",
    },
    {
      behaviour: "One request at a time, with 100 items at most.",
      code: `${PROTOCOL}#const ITEMS_MAX = 100;`,
      tests: [`${T}#[letter 6] sends what is queued in requests of at most 100 events, one at a time`],
    },
    {
      behaviour: "A batch that fails for good is lost and reported to `on_error`; the next one is sent.",
      code: `${CLIENT}#onFailure: "lose",`,
      tests: [`${T}#gives up after maxRetries, reports the batch and goes on with the next`],
    },
    {
      behaviour: "429 waits for `Retry-After` without a limit, or one second.",
      code: `${CLIENT}#const RATE_LIMITED_MS = 1_000;`,
      tests: [`${T}#[letter 8] waits as long as Retry-After says, a date too, at most a minute; without it one second`],
      differs: "a date is understood too, and nothing waits longer than a minute.",
    },
    {
      behaviour:
        "5xx and a broken connection are tried again after 250 ms, doubling, and up to 100 ms at random; ids stay.",
      code: `${CLIENT}#random.next() * BACKOFF_RANDOM_MS`,
      tests: [
        `${T}#[letter 7] two 500 and a 200 are one success; waits grow, ids stay`,
        `${T}#a connection that is reset or hangs is tried again (%s)`,
      ],
    },
    {
      behaviour:
        "Other answers that are not 2xx fail at once: `Request failed with <status>: <message>`, with status, body, code, reason.",
      code: `${CLIENT}#Request failed with`,
      tests: [`${T}#[letter 9] a refusal for good means one request; the batch is lost and onError is called (%i)`],
      differs: "redirects are not followed: a GET without the body would count as a success.",
    },
    {
      behaviour: "`close` is idempotent.",
      code: `${CLIENT}#this.#closing ??= this.#close();`,
      tests: [`${T}#[letter 11] close sends what waits, and a second close changes nothing`],
    },
    {
      behaviour: "`close` joins its thread for `read_timeout` × (`max_retries` + 2) at most, 50 s by default.",
      code: `${CLIENT}#return this.#options.readTimeoutMs * (this.#options.maxRetries + 2);`,
      tests: [
        `${T}#close waits 50 s at most, then gives each batch that is left one attempt more`,
        `${T}#the deadline of close is readTimeoutMs x (maxRetries + 2)`,
      ],
    },
    {
      behaviour: "After that it flushes what is left, for as long as that takes.",
      code: `${OUTBOX}#const isInterrupted = isRetryable && soon.aborted && !isLast;`,
      tests: [
        `${T}#close waits 50 s at most, then gives each batch that is left one attempt more`,
        `${T}#close ends at its deadline and reports how many events are left (%s)`,
      ],
      differs: "each batch has one attempt, all within `readTimeoutMs`; `onError` receives the number of events left.",
    },
    {
      behaviour: "An event after `close` goes to `on_error` and is dropped.",
      code: `${CLIENT}#new LetterError("Letter client is closed.", { events: 1 })`,
      tests: [`${T}#[letter 12] an event after close goes to onError alone`],
    },
    {
      behaviour: "The constructor registers `at_exit { close }`.",
      code: `${CLIENT}#this.#forgetExit = this.#onExit();`,
      tests: [
        `${T}#the exit callback closes the client; it says which signals it acts on and how long close may take`,
        `${EXIT}#normal end: everything is sent`,
      ],
      differs: "`registerAtExit: false` turns it off.",
    },
    {
      behaviour: "There is no way to leave `at_exit` out.",
      code: `${CLIENT}#if (!registerAtExit) return () => undefined;`,
      tests: [
        `${T}#with registerAtExit false the end of the process is none of the client's`,
        `${EXIT}#normal end with registerAtExit false: nothing is sent, nothing is printed`,
      ],
      differs: "`registerAtExit: false`.",
    },
    {
      behaviour: "`at_exit` runs, and sends, after `exit`.",
      code: `${CLIENT}#lostMessage(events, reason)`,
      tests: [
        `${EXIT}#process.exit(): nothing can be sent, and onError receives the number of events left`,
        `${T}#what is left when the process ends is reported to onError with its count, during close too`,
      ],
      differs: "Node lets nothing wait after `process.exit()`: what is left is reported to `onError`.",
    },
    {
      behaviour: "`at_exit` runs, and sends, after an exception that nobody rescued.",
      code: `${EXITS}#readonly #onExit = (code: number): void`,
      tests: [`${EXIT}#an uncaught exception: nothing can be sent, and onError receives the number of events left`],
      differs: "as after `process.exit()`.",
    },
    {
      behaviour: "`at_exit` runs, and sends, after SIGTERM and SIGINT; the process then ends by the signal.",
      code: `${EXITS}#this.#process.kill(this.#process.pid, signal);`,
      tests: [
        `${EXIT}#a signal that nobody else listens to: everything is sent, then the process ends by it (%s)`,
        `${EXIT}#a second signal ends the process at once, and what is left is reported`,
        `${PROCESS}#a close that does not end holds the process until its deadline only`,
      ],
      differs:
        "by default only while the application does not listen itself: what a listener means is the application's.",
    },
    {
      behaviour: "A handler of the application's for SIGTERM replaces Ruby's; `at_exit` runs when it ends the process.",
      code: `${EXITS}#isAlone && UNASKED.includes(signal)`,
      tests: [
        `${EXIT}#SIGTERM with a handler of the application's: the end is its own, and what is left is reported`,
        `${EXIT}#SIGTERM with a handler of the application's and exitSignals: everything is sent, and the end is its own`,
      ],
      differs: "with `exitSignals` the client closes beside the handler; without, it reports what is left.",
    },
    {
      behaviour:
        "`identifySync`, `groupSync` and `trackSync` (Node) post one item to its own path, never queue, work after `close`, and reject.",
      code: `${CLIENT}#async identifyImmediate(`,
      tests: [`${T}#immediate calls reject with the vendor's error, never queue, and go on after close`],
      differs: "they are called `identifyImmediate`, `groupImmediate`, `trackImmediate`: nothing here is synchronous.",
    },
    {
      behaviour: "They reject for missing fields and for what JSON cannot write too.",
      code: `${CLIENT}#if (text instanceof LetterError) throw text;`,
      tests: [`${T}#what an immediate call is refused for, it rejects with, and never throws`],
    },
  ],
};
