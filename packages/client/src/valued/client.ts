import { WaybillError } from "@waybill/core";
import { wholeSeconds } from "@waybill/vendors";
import type { Context, VendorHost } from "../options.ts";
import { held } from "../vendor-kit/deliverer.ts";
import { ConnectionOn } from "./connection.ts";
import { Data, isPlainObject, nested, objectOf, type PlainObject } from "./data.ts";
import { type Executor, environmentOf, executorFor } from "./executor.ts";
import { ofConnection, resolveClientOptions } from "./options.ts";
import type {
  ConnectionSource,
  ValuedClientOptions,
  ValuedConfig,
  ValuedHost,
  ValuedInput,
  ValuedTransport,
} from "./types.ts";

/** On any host; `ValuedClient` of the entry point brings the host along. */
export class ValuedClientOn {
  /** What events are handed to. */
  readonly connection: ValuedTransport;
  readonly #host: ValuedHost;
  readonly #isTest: boolean;
  readonly #onError: ValuedClientOptions["onError"];
  readonly #running = new Set<Promise<void>>();
  #executor: Executor;
  #failed: Error | undefined;
  #closed = false;

  constructor(host: ValuedHost, source: ConnectionSource, endpoint?: string | URL, options: ValuedClientOptions = {}) {
    this.#host = host;
    const { executor, onError } = resolveClientOptions(options);
    const environment = environmentOf(host.environment);
    this.#isTest = environment === "test";
    this.#executor = executor ?? executorFor(environment);
    this.#onError = onError;
    this.connection = connectionOf(host, source, endpoint, options);
  }

  /**
   * Runs the requests of the events to come. Set it to `undefined` for the environment's own way,
   * begun anew.
   */
  get executor(): Executor {
    return this.#executor;
  }
  set executor(executor: Executor | undefined) {
    this.#executor = executor ?? executorFor(environmentOf(this.#host.environment));
  }

  /** Where a scope of this client keeps its data. @internal */
  createContext<T>(): Context<T> {
    return this.#host.createContext();
  }

  /**
   * Something a user or customer did. `data` needs `user.id` or `customer.id`. **Errors**: throws
   * `TypeError`: "Missing user.id or customer.id".
   */
  action(key: string, data: ValuedInput): void {
    this.#post({ ...objectOf(data), key, category: "action" });
  }

  /**
   * A page a user saw. `url` may be part of `data` as `attributes.source.url`. **Errors**: throws
   * `TypeError`: "Missing user.id", "Missing attributes.url", "Missing data hash".
   */
  pageView(url: string, data: ValuedInput): void;
  pageView(data: ValuedInput): void;
  pageView(first: string | ValuedInput | undefined, second?: ValuedInput): void {
    const data = objectOf(typeof first === "string" ? second : (first ?? fail("Missing data hash")));
    const located = typeof first === "string" ? Data.merge(data, nested(["attributes", "source", "url"], first)) : data;
    this.#post({ ...located, category: "pageview" });
  }

  /**
   * What is known of a user or a customer, not of both. **Errors**: throws `TypeError`: "Missing
   * user.id or customer.id", "Cannot include both user and customer".
   */
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

  /**
   * Ends when every event given before was taken or given up. **Errors**: in the environment `test`
   * rejects with the first failure. Not in the original.
   */
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
    try {
      this.#executor.post(() => this.#call(event).finally(done));
    } catch (error) {
      // An executor that takes no task: its error is the caller's, and nobody waits for the event.
      done();
      throw error;
    }
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
      // Documented at the option: what it throws is ignored.
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
): ValuedTransport {
  if (typeof source === "string") return new ConnectionOn(host, source, endpoint, ofConnection(options));
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
