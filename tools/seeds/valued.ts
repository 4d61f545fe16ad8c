import type { Seed } from "./seed.ts";

const SOURCE = "packages/client/src/valued";
const CLIENT = `${SOURCE}/client.ts`;
const CONNECTION = `${SOURCE}/connection.ts`;
const DATA = `${SOURCE}/data.ts`;
const EXECUTOR = `${SOURCE}/executor.ts`;
const OPTIONS = `${SOURCE}/options.ts`;
const SCOPE = `${SOURCE}/scope.ts`;
const GLOBAL = `${SOURCE}/global.ts`;
const INDEX = `${SOURCE}/index.ts`;
const TESTS = "packages/client/test/vendors/valued.test.ts";
const README = "packages/client/test/vendors/valued-readme.test.ts";
const REQUESTS = "packages/client/test/vendors/valued-requests.test.ts";
const CONNECTIONS = "packages/client/test/vendors/valued-connections.test.ts";
const OF_DATA = "packages/client/test/vendors/valued-data.test.ts";
const EXIT = "packages/client/test/vendors/valued-exit.test.ts";
const SERVER = "packages/client/test/vendors/valued-server.test.ts";
const CHAINS = "packages/client/test/vendors/valued-without-chains.test.ts";
const AS_IN_README = `${README}#what the original's README makes, the entry point has: client, scope, connection, a backend of one's own`;

export const VALUED: Seed = {
  system: "Valued",
  lines: [
    {
      behaviour: "`Valued::Client.new(token)` sends to Valued's endpoint",
      code: `${INDEX}#export class ValuedClient extends ValuedClientOn {`,
      tests: [
        `${TESTS}#[valued 7] connects by token, by token and endpoint, by any callable`,
        `${TESTS}#[valued 8] the default endpoint is Valued's`,
      ],
      differs: "the default is `https://ingest.valued.app/events`; the README's `ingres.valued.app` is a misprint",
    },
    {
      behaviour: "a token and an endpoint: the endpoint is used exactly as it is",
      code: `${CONNECTION}#this.endpoint = String(endpoint);`,
      tests: [`${TESTS}#[valued 7] connects by token, by token and endpoint, by any callable`],
    },
    {
      behaviour: "a block, or any object with `call`, replaces the HTTP client; it gets the event as plain data",
      code: `${CLIENT}#if (typeof source === "function" || typeof source?.call === "function") return source;`,
      tests: [`${TESTS}#[valued 7] connects by token, by token and endpoint, by any callable`, AS_IN_README],
      differs: "further arguments are not handed to the block: a function closes over them",
    },
    {
      behaviour: "anything else is refused",
      code: `${CLIENT}#Valued: a token, a function or an object with call() is expected`,
      tests: [`${TESTS}#[valued 7] connects by token, by token and endpoint, by any callable`],
    },
    {
      behaviour: "`Valued::Connection.new(token)` has endpoint and headers for a backend of one's own",
      code: `${INDEX}#export class Connection extends ConnectionOn {`,
      tests: [AS_IN_README, `${TESTS}#[valued 9] headers name token and client; the token is not shown`],
    },
    {
      behaviour: "`inspect` of a connection hides the token",
      code: `${CONNECTION}#return { endpoint: this.endpoint };`,
      tests: [`${TESTS}#[valued 9] headers name token and client; the token is not shown`],
    },
    {
      behaviour: "each event is one request of its own, a JSON object with bearer token and user agent",
      code: `${CONNECTION}#this.#deliverer.sendOne(JSON.stringify(event)`,
      tests: [
        `${REQUESTS}#one event is one request, and close waits for all of them`,
        `${TESTS}#[valued 9] headers name token and client; the token is not shown`,
      ],
    },
    {
      behaviour: "each event is a TCP connection of its own",
      code: `${INDEX}#createVendorHost({ keepAlive: false })`,
      tests: [
        `${CONNECTIONS}#an event is not lost because the server closes a connection that has served one: each has its own`,
      ],
      differs: "on Node; where there is only `fetch`, the platform decides",
    },
    {
      behaviour: "`page_view(url, data)` puts the URL at `attributes.source.url`",
      code: `${CLIENT}#nested(["attributes", "source", "url"], first)`,
      tests: [`${TESTS}#[valued 1] a page view carries its URL among the attributes`],
      differs: "its name is `pageView`, without the alias `pageview`",
    },
    {
      behaviour: "a page view without a URL argument takes it from the data; without data it is refused",
      code: `${CLIENT}#fail("Missing data hash")`,
      tests: [`${TESTS}#[valued 17] what an event lacks is reported at once, first failure first`],
    },
    {
      behaviour: "`action(key, data)`; the key wins over one in the data",
      code: `${CLIENT}#this.#post({ ...objectOf(data), key, category: "action" });`,
      tests: [`${TESTS}#[valued 2] an action keeps a given occured_at; its key wins over one in the data`],
    },
    {
      behaviour: "`occured_at` is the time of the call with whole seconds, unless it is given",
      code: `${CLIENT}#data["occured_at"] == null ? { ...data, occured_at: this.#now() } : data`,
      tests: [
        `${TESTS}#[valued 2] an action keeps a given occured_at; its key wins over one in the data`,
        `${TESTS}#[valued 3] sync says what is known of a user or a customer`,
      ],
      differs: "in UTC; the original writes the machine's offset",
    },
    {
      behaviour: "`sync(data)` of a user or a customer",
      code: `${CLIENT}#this.#post({ ...objectOf(data), category: "sync" });`,
      tests: [`${TESTS}#[valued 3] sync says what is known of a user or a customer`],
    },
    {
      behaviour: "`sync_user(data)` and `sync_customer(data)`",
      code: `${CLIENT}#this.sync({ user });`,
      tests: [`${TESTS}#[valued 4] sync of a user`, `${TESTS}#[valued 5] sync of a customer`],
    },
    {
      behaviour: "what an event lacks is an argument error, reported to the caller, first failure first",
      code: `${CLIENT}#function validate(event: PlainObject): void {`,
      tests: [`${TESTS}#[valued 17] what an event lacks is reported at once, first failure first`],
    },
    {
      behaviour: "`config` with goals and signals, as a value or a block",
      code: `${CLIENT}#typeof config === "function" ? config() : config`,
      tests: [
        `${TESTS}#defects of the original: attributes and a URL merge, config is sent, NaN is null, a customer is synced`,
      ],
      differs: "it is sent; the original refuses its own category",
    },
    {
      behaviour: "keys with dots are nested objects, at every depth; arrays of keys too",
      code: `${DATA}#export function pathOf(key: unknown)`,
      tests: [
        `${TESTS}#[valued 10] plain values stay; hashes written in four ways are one; sets, maps and arrays are followed`,
        `${TESTS}#defects of the original: dotted keys and objects merge`,
      ],
      differs: "a key with dots beside an object merges; the original throws or loses one",
    },
    {
      behaviour: "strings, numbers, booleans and nil stay; symbols are their names",
      code: `${DATA}#return value.description ?? "";`,
      tests: [
        `${TESTS}#[valued 10] plain values stay; hashes written in four ways are one; sets, maps and arrays are followed`,
      ],
      differs: "NaN is null; the original loses such an event without a sound",
    },
    {
      behaviour: "times are ISO 8601 with whole seconds",
      code: `${DATA}#wholeSeconds(new Date(value).toISOString())`,
      tests: [`${TESTS}#[valued 11] times have whole seconds`],
    },
    {
      behaviour: "an object with `to_valued_data` says how it looks; the result is converted again",
      code: `${DATA}#if (typeof toValuedData === "function")`,
      tests: [`${TESTS}#[valued 13] toValuedData says how an object looks, and the result is converted again`],
    },
    {
      behaviour:
        "`Valued::Data.register(User) { … }`: of classes and those derived from them, the nearest first; nested ones too",
      code: `${DATA}#register<T>(constructor: Constructor<T>, convert: (value: T) => unknown): void {`,
      tests: [`${TESTS}#[valued 15] registered classes, the nearest first, converted again`],
    },
    {
      behaviour: "other objects are left to the serialiser",
      code: `${DATA}#throw new TypeError("Data that contains itself cannot be sent to Valued");`,
      tests: [
        `${TESTS}#[valued 12] objects of no known class are their members; functions and cycles are refused`,
        `${OF_DATA}#an object's own toJSON counts, after toValuedData and what is registered, and is converted`,
      ],
      differs: "functions and data that contains itself are refused",
    },
    {
      behaviour: "merging is deep; arrays and plain values are replaced",
      code: `${DATA}#merge(a: PlainObject, b: PlainObject): PlainObject {`,
      tests: [`${TESTS}#[valued 16] merging is deep; arrays are replaced`],
    },
    {
      behaviour: '`Valued::Scope.new(client)` builds data up: `scope["user.id"] = 123`',
      code: `${SCOPE}#constructor(client: ValuedClientOn, defaults: object = {}) {`,
      tests: [
        AS_IN_README,
        `${TESTS}#[valued 18] user, userId, customer and customerId read and write the same data in every notation`,
      ],
      differs: '`scope.set("user.id", 123)` and `scope.get("user.id")`',
    },
    {
      behaviour: "a scope begins with its defaults; `reset` goes back to them",
      code: `${SCOPE}#this.#holder.data = this.#defaults;`,
      tests: [`${TESTS}#a created scope begins with its defaults, and reset goes back to them`],
    },
    {
      behaviour:
        "`user`, `user_id`, `customer` and `customer_id` are read and written; an object keeps what else is known",
      code: `${SCOPE}#set userId(value: string | number) {`,
      tests: [
        `${TESTS}#[valued 18] user, userId, customer and customerId read and write the same data in every notation`,
      ],
    },
    {
      behaviour: "`scope.with(data) { … }` restores what was there, also after an exception",
      code: `${SCOPE}#with<R>(data: object, task: (scope: this) => R): R;`,
      tests: [
        `${TESTS}#[valued 20] with() restores what was there, also after a throw and over await; chains do not see each other`,
        `${CHAINS}#synchronous scopes nest and are restored, also after a throw`,
      ],
    },
    {
      behaviour: "`scope(data)` without a block merges for good",
      code: `${SCOPE}#assign(data: object): this {`,
      tests: [`${TESTS}#a created scope begins with its defaults, and reset goes back to them`],
      differs: "its name is `assign`",
    },
    {
      behaviour: "outside of a block the global scope keeps data for the thread, and so for its next request",
      code: `${SCOPE}#return this.#isShared && this.#context.get() === undefined;`,
      tests: [
        `${SERVER}#outside of with() the scope of all callers takes no data: the next request of the connection would have it`,
        `${CHAINS}#what all callers share is set within with() only; a scope of one's own at any time`,
      ],
      differs: "it takes none there; the README's advice to wrap it in a scope is a rule",
    },
    {
      behaviour: "data of a scope belongs to one thread: no other sees it",
      code: "packages/client/src/host/node-host.ts#const storage = new AsyncLocalStorage<T>();",
      tests: [
        `${TESTS}#[valued 20] with() restores what was there, also after a throw and over await; chains do not see each other`,
        `${SERVER}#two overlapping asynchronous scopes keep their users apart, and a later request has nobody's`,
        `${SERVER}#requests on one connection see nothing of each other within with()`,
      ],
      differs: "to one chain of asynchronous calls",
    },
    {
      behaviour: "where the platform does not know such chains, no event gets the data of another user",
      code: "packages/client/src/host/web-context.ts#if (isAsyncFunction(task)) throw asynchronous();",
      tests: [
        `${CHAINS}#two overlapping asynchronous scopes are refused before they begin, and no event carries the id of another user`,
        `${CHAINS}#a function that returns a promise is refused; what is left of it runs without the data and leaves none`,
        `${CHAINS}#what all callers share is set within with() only; a scope of one's own at any time`,
      ],
      differs: "Ruby has threads everywhere; in browsers and workers `with` takes synchronous functions only",
    },
    {
      behaviour: "a scope is passed around explicitly",
      code: `${SCOPE}#bind(data: object = {}): Scope {`,
      tests: [
        `${CHAINS}#a scope that was bound goes along with asynchronous code: each event has its own user`,
        `${TESTS}#bind gives a scope of its own that begins with what is there; neither changes the other`,
        `${SERVER}#what a function sets after an await is there for its caller: in with(), in a scope that is bound, in one of one's own`,
      ],
      differs: "`bind` is ours: it takes what the current scope holds along",
    },
    {
      behaviour: "`scope.page_view`, `scope.action`, `scope.sync_user`, `scope.sync_customer` merge the scope's data",
      code: `${SCOPE}#this.#client.action(key, this.#merged(data));`,
      tests: [
        `${TESTS}#[valued 19] page view, action and sync from a scope`,
        `${TESTS}#[valued 22] an action within a scope has its data, deeply merged`,
      ],
      differs: "deeply; the original replaces whole objects at the top, and so loses ids",
    },
    {
      behaviour: "`scope.sync` sends the user and the customer, of whom more than the id is known",
      code: `${SCOPE}#known["id"] != null && Object.keys(known).length > 1`,
      tests: [`${TESTS}#[valued 19] page view, action and sync from a scope`],
      differs: "it works for a customer; the original fails by a misprint",
    },
    {
      behaviour: "`scope.sync(data)` merges, and is refused for a user beside a customer",
      code: `${SCOPE}#if (data !== undefined) return this.#client.sync(this.#merged(data));`,
      tests: [`${TESTS}#sync of a scope with data sends both merged, and refuses a user beside a customer`],
    },
    {
      behaviour: "a scope serves as data",
      code: `${SCOPE}#toValuedData(): PlainObject {`,
      tests: [
        `${TESTS}#[valued 14] a scope is its data`,
        `${TESTS}#[valued 21] a scope serves as the data of an event`,
      ],
    },
    {
      behaviour: "`Valued.connect(token)` makes the global client and scope",
      code: `${GLOBAL}#connected = { client, scope: Scope.shared(client) };`,
      tests: [`${TESTS}#[valued 23] connected, there are a client and a scope`, AS_IN_README],
    },
    {
      behaviour: "`Valued.connect(client)` takes a client that is there",
      code: `${GLOBAL}#source instanceof ValuedClientOn ? source`,
      tests: [`${TESTS}#[valued 23] connected, there are a client and a scope`, AS_IN_README],
    },
    {
      behaviour: "`Valued.connected?`, `Valued.disconnect`; not connected, the client and the scope are errors",
      code: `${GLOBAL}#Need to call Valued.connect before Valued.`,
      tests: [
        `${TESTS}#[valued 24] not connected, using it is an error that says what to do`,
        `${TESTS}#[valued 25] connected says whether it is`,
      ],
    },
    {
      behaviour: '`Valued["user.id"] = 123`, `Valued.with`, `Valued.user = …` go to the scope',
      code: `${GLOBAL}#set: (key, value) => scope("set").set(key, value),`,
      tests: [
        `${README}#Valued has what its scope has: get and set by key, users and customers, with, assign, bind, reset`,
      ],
      differs: '`Valued.set("user.id", 123)`; `Valued.get("user.id")`',
    },
    {
      behaviour: "`Valued.scope do … end` leaks nothing",
      code: `${SCOPE}#with<R>(task: (scope: this) => R): R;`,
      tests: [
        `${README}#Valued has what its scope has: get and set by key, users and customers, with, assign, bind, reset`,
        `${TESTS}#[valued 27] what a block sets does not leak out of it`,
      ],
      differs: "`Valued.with(() => …)`",
    },
    {
      behaviour: "`Valued.page_view`, `Valued.action`, `Valued.sync` and the others go through the scope",
      code: `${GLOBAL}#action: (key, data) => scope("action").action(key, data),`,
      tests: [`${TESTS}#[valued 26] actions, page views, syncs and config go to the global client`],
    },
    {
      behaviour: "events are sent out of band; in a test environment in the caller",
      code: `${EXECUTOR}#if (environment === "test") return immediate;`,
      tests: [`${TESTS}#[valued 6] the environment says how requests run: in the caller, one at a time, ten at a time`],
      differs:
        "a request is never synchronous here: in the environment `test` it begins in the call, and `flush` throws its failure",
    },
    {
      behaviour: "development: one request at a time; otherwise ten, the others wait without limit",
      code: `${EXECUTOR}#return pool(environment === "development" ? 1 : POOL_SIZE);`,
      tests: [`${TESTS}#[valued 6] the environment says how requests run: in the caller, one at a time, ten at a time`],
    },
    {
      behaviour: "the environment is the first of VALUED_ENV, RAILS_ENV, APP_ENV, RACK_ENV, ENV that is not empty",
      code: `${EXECUTOR}#["VALUED_ENV", "RAILS_ENV", "APP_ENV", "RACK_ENV", "ENV", "NODE_ENV"]`,
      tests: [
        `${REQUESTS}#the environment is the first name that is set and not empty: VALUED_ENV, RAILS_ENV, APP_ENV, RACK_ENV, ENV, NODE_ENV`,
      ],
      differs: "NODE_ENV is the last",
    },
    {
      behaviour: "`Connection.executor = …` takes any object with `post`; nil is the environment's own way again",
      code: `${CLIENT}#set executor(executor: Executor | undefined) {`,
      tests: [
        `${REQUESTS}#an executor is any object with post; it can be replaced, and undefined is the environment's own way again`,
      ],
      differs: "of each client (`client.executor`, `Valued.client.executor`), not of the class",
    },
    {
      behaviour: "`Concurrent::ImmediateExecutor` and `FixedThreadPool.new(5)`",
      code: `${EXECUTOR}#export function pool(size: number): Executor {`,
      tests: [
        `${TESTS}#[valued 6] the environment says how requests run: in the caller, one at a time, ten at a time`,
        `${REQUESTS}#an executor is any object with post; it can be replaced, and undefined is the environment's own way again`,
      ],
      differs: "`immediate` and `pool(5)`",
    },
    {
      behaviour: "an executor that refuses a task raises at the caller",
      code: `${CLIENT}#// An executor that takes no task`,
      tests: [
        `${REQUESTS}#an executor that takes no task throws at the caller, and close does not wait for that event`,
      ],
    },
    {
      behaviour: "60 s for a request, the default of Net::HTTP",
      code: `${OPTIONS}#timeoutMs: 60_000,`,
      tests: [`${REQUESTS}#an attempt ends after 60 s, or after timeoutMs`],
      differs: "for all of it, not 60 s each to open and to read; `timeoutMs` changes it",
    },
    {
      behaviour: "one attempt, and failures are not reported",
      code: `${OPTIONS}#maxAttempts: 1,`,
      tests: [`${REQUESTS}#a failure is reported to onError with the event; it is tried again only when asked for`],
      differs: "`onError` and `maxAttempts` may be asked for",
    },
    {
      behaviour: "what waits at the end of the process is lost",
      code: `${CLIENT}#lost: (reason) => this.#giveUp("exit", reason),`,
      tests: [
        `${EXIT}#with nothing left to do the client closes: everything is sent, and the process is none of its business`,
        `${EXIT}#what nothing can be sent of any more is reported, each event once; answers that come later change nothing`,
        `${EXIT}#close has an end: events left by then are given up and reported, and no request follows`,
        `${REQUESTS}#one event is one request, and close waits for all of them`,
      ],
      differs:
        "`flush` and `close` wait for it, and hold the process open; the client closes by itself when nothing is left to do or on a signal, and reports what cannot be sent any more",
    },
  ],
};
