import { WaybillError } from "@waybill/core";
import { wholeSeconds } from "@waybill/vendors";
import type { Context, VendorHost } from "../options.ts";
import { held } from "../vendor/deliverer.ts";
import { Connection, type ConnectionOptions, type ValuedTransport } from "./connection.ts";
import { Data, isPlainObject, nested, objectOf, type PlainObject } from "./data.ts";
import { type Executor, environmentOf, executorFor } from "./executor.ts";
import { Scope } from "./scope.ts";

export interface ValuedClientOptions extends ConnectionOptions {
  /** Runs the requests. Default by environment: `test` in the caller, `development` one at a time, else ten at a time. */
  readonly executor?: Executor;
  /** Told of each event that was not taken. Default: nothing, as in the original. What it throws is ignored. */
  readonly onError?: (error: Error, event: PlainObject) => void;
}

/** Goals and signals of a project. */
export interface ValuedConfig {
  readonly goals?: readonly Readonly<Record<string, unknown>>[];
  readonly signals?: readonly Readonly<Record<string, unknown>>[];
}

/** `(token)`, `(token, endpoint)`, `(transport)`. */
export type ConnectionSource = string | ValuedTransport | Connection;

/** Data with dotted keys at any depth. */
export type ValuedInput = object;

/** On any host; `ValuedClient` of the entry point brings the host along. */
export class ValuedClientOn {
  /** What events are handed to. */
  readonly connection: ValuedTransport | Connection;
  readonly #host: VendorHost;
  readonly #isTest: boolean;
  readonly #onError: ValuedClientOptions["onError"];
  readonly #running = new Set<Promise<void>>();
  #executor: Executor;
  #failed: Error | undefined;
  #closed = false;

  constructor(host: VendorHost, source: ConnectionSource, endpoint?: string | URL, options: ValuedClientOptions = {}) {
    this.#host = host;
    const environment = environmentOf(host.environment);
    this.#isTest = environment === "test";
    this.#executor = options.executor ?? executorFor(environment);
    this.#onError = options.onError;
    this.connection = connectionOf(host, source, endpoint, options);
  }

  /** Replaces how tasks are run; `undefined` for the environment's own way. */
  set executor(executor: Executor | undefined) {
    this.#executor = executor ?? executorFor(environmentOf(this.#host.environment));
  }

  /** Something a user or customer did. `data` needs `user.id` or `customer.id`. **Errors**: throws `TypeError`: "Missing user.id or customer.id". */
  action(key: string, data: ValuedInput): void {
    this.#post({ ...objectOf(data), key, category: "action" });
  }

  /** A page a user saw. `url` may stand in `data` as `attributes.source.url`. **Errors**: throws `TypeError`: "Missing user.id", "Missing attributes.url", "Missing data hash". */
  pageView(url: string, data: ValuedInput): void;
  pageView(data: ValuedInput): void;
  pageView(first: string | ValuedInput | undefined, second?: ValuedInput): void {
    const data = objectOf(typeof first === "string" ? second : (first ?? fail("Missing data hash")));
    const located = typeof first === "string" ? Data.merge(data, nested(["attributes", "source", "url"], first)) : data;
    this.#post({ ...located, category: "pageview" });
  }

  /** What is known of a user or a customer, not of both. **Errors**: throws `TypeError`: "Missing user.id or customer.id", "Cannot include both user and customer". */
  sync(data: ValuedInput): void {
    this.#post({ ...objectOf(data), category: "sync" });
  }

  /** `syncUser({ id: 5, name: "A" })` is `sync({ user: { id: 5, name: "A" } })`. */
  syncUser(user: ValuedInput): void {
    this.sync({ user });
  }

  syncCustomer(customer: ValuedInput): void {
    this.sync({ customer });
  }

  /** Sends the project's goals and signals; a function is called for them. */
  config(config: ValuedConfig | (() => ValuedConfig)): void {
    const data = objectOf(typeof config === "function" ? config() : config);
    this.#post({ data, category: "config" });
  }

  /** Ends when every event given before was taken or given up. **Errors**: in the environment `test` rejects with the first failure. Not in the original. */
  async flush(): Promise<void> {
    await held(this.#host.runtime.clock, this.#settled());
    const failed = this.#failed;
    this.#failed = undefined;
    if (failed !== undefined && this.#isTest) throw failed;
  }

  /** Takes no more events and waits for the others. Idempotent. Not in the original. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  async #settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #post(data: PlainObject): void {
    const event = data["occured_at"] == null ? { ...data, occured_at: this.#now() } : data;
    validate(event);
    if (this.#closed)
      return this.#failedWith(new WaybillError("WAYBILL_CLOSED", "The Valued client was closed"), event);
    let settle = (): void => undefined;
    const tracked = new Promise<void>((resolve) => {
      settle = resolve;
    });
    this.#running.add(tracked);
    const done = (): void => {
      this.#running.delete(tracked);
      settle();
    };
    this.#executor.post(() => this.#call(event).finally(done));
  }

  async #call(event: PlainObject): Promise<void> {
    try {
      const { connection } = this;
      await (typeof connection === "function" ? connection(event) : connection.call(event));
    } catch (error) {
      this.#failedWith(error instanceof Error ? error : new Error(String(error)), event);
    }
  }

  #failedWith(error: Error, event: PlainObject): void {
    this.#failed ??= error;
    try {
      this.#onError?.(error, event);
    } catch {
      // Said in the options: what it throws is ignored.
    }
  }

  #now(): string {
    return wholeSeconds(new Date(this.#host.runtime.clock.now()).toISOString()) as string;
  }
}

function connectionOf(
  host: VendorHost,
  source: ConnectionSource,
  endpoint: string | URL | undefined,
  options: ValuedClientOptions,
): ValuedTransport | Connection {
  if (typeof source === "string") return new Connection(host, source, endpoint, options);
  if (typeof source === "function" || typeof source?.call === "function") return source;
  throw new TypeError("Valued: a token, a function or an object with call() is expected");
}

/** The original's checks, first failure wins. */
function validate(event: PlainObject): void {
  const { category, user, customer, attributes } = event;
  const hasId = (value: unknown): boolean => isPlainObject(value) && value["id"] != null && value["id"] !== false;
  if (category === undefined) fail("Missing category");
  if (category === "pageview") {
    if (!hasId(user)) fail("Missing user.id");
    const source = isPlainObject(attributes) ? attributes["source"] : undefined;
    if (!isPlainObject(source) || source["url"] == null) fail("Missing attributes.url");
  } else if (category === "action" || category === "sync") {
    if (!hasId(user) && !hasId(customer)) fail("Missing user.id or customer.id");
    if (category === "sync" && user !== undefined && customer !== undefined)
      fail("Cannot include both user and customer");
  } else if (category !== "config") fail(`Unknown category: ${String(category)}`);
}

function fail(message: string): never {
  throw new TypeError(message);
}

/** One client and one scope for a process: what an application calls without passing anything around. */
export interface GlobalValued {
  /** Connects: a token (and endpoint), a transport, or a client. Gives the client back. */
  connect(
    source: ConnectionSource | ValuedClientOn,
    endpoint?: string | URL,
    options?: ValuedClientOptions,
  ): ValuedClientOn;
  disconnect(): void;
  readonly connected: boolean;
  /** **Errors**: throws when not connected. */
  readonly client: ValuedClientOn;
  /** Of the current chain of asynchronous calls. **Errors**: throws when not connected. */
  readonly scope: Scope;
  action(key: string, data?: ValuedInput): void;
  pageView(url: string, data?: ValuedInput): void;
  sync(data?: ValuedInput): void;
  syncUser(user?: ValuedInput): void;
  syncCustomer(customer?: ValuedInput): void;
  config(config: ValuedConfig | (() => ValuedConfig)): void;
}

/** `createScopeContext` makes the place where a scope keeps its data. */
export function createGlobal(
  createHost: () => VendorHost,
  createScopeContext: () => Context<PlainObject>,
): GlobalValued {
  let connected: { readonly client: ValuedClientOn; readonly scope: Scope } | undefined;
  const current = (what: string): NonNullable<typeof connected> => {
    if (connected === undefined) throw new Error(`Need to call Valued.connect before Valued.${what}`);
    return connected;
  };
  return {
    connect(source, endpoint, options) {
      const client =
        source instanceof ValuedClientOn ? source : new ValuedClientOn(createHost(), source, endpoint, options);
      connected = { client, scope: new Scope(client, createScopeContext()) };
      return client;
    },
    disconnect() {
      connected = undefined;
    },
    get connected() {
      return connected !== undefined;
    },
    get client() {
      return current("client").client;
    },
    get scope() {
      return current("scope").scope;
    },
    action: (key, data) => current("action").scope.action(key, data),
    pageView: (url, data) => current("pageView").scope.pageView(url, data),
    sync: (data) => current("sync").scope.sync(data),
    syncUser: (user) => current("syncUser").scope.syncUser(user),
    syncCustomer: (customer) => current("syncCustomer").scope.syncCustomer(customer),
    config: (config) => current("config").client.config(config),
  };
}
