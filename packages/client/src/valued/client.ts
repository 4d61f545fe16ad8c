import { type Clock, WaybillError } from "@waybill/core";
import { wholeSeconds } from "@waybill/vendors";
import type { Context, VendorHost } from "../options.ts";
import { held } from "../vendor-kit/deliverer.ts";
import { lostMessage } from "../vendor-kit/exit-hook.ts";
import { ConnectionOn } from "./connection.ts";
import { Data, isPlainObject, nested, objectOf, type PlainObject } from "./data.ts";
import { type Executor, environmentOf, executorFor } from "./executor.ts";
import { ofConnection, type ResolvedClientOptions, resolveClientOptions } from "./options.ts";
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
  readonly #options: ResolvedClientOptions;
  /** Events that were neither taken nor given up, by what ends their attempts. */
  readonly #pending = new Map<AbortController, PlainObject>();
  /** Called when none is pending. */
  readonly #waiting: (() => void)[] = [];
  readonly #forgetExit: () => void;
  #executor: Executor;
  #failed: Error | undefined;
  #closing: Promise<void> | undefined;

  constructor(host: ValuedHost, source: ConnectionSource, endpoint?: string | URL, options: ValuedClientOptions = {}) {
    this.#host = host;
    this.#options = resolveClientOptions(options);
    const environment = environmentOf(host.environment);
    this.#isTest = environment === "test";
    this.#executor = options.executor ?? executorFor(environment);
    this.connection = connectionOf(host, source, endpoint, options);
    this.#forgetExit = this.#onExit();
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

  /**
   * Takes no more events and waits for the others: for `timeoutMs` x (`maxAttempts` + 1), 120 s by
   * default. Those left then are given up and reported to `onError`. Idempotent. **Errors**: as
   * `flush`. Not in the original.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const giveUp = (): void => this.#giveUp("deadline", "the deadline of close");
    const deadline = this.#host.runtime.clock.after(this.#closeMs, giveUp, true);
    try {
      await this.flush();
    } finally {
      deadline.cancel();
      this.#forgetExit();
    }
  }

  get #closeMs(): number {
    return this.#options.timeoutMs * (this.#options.maxAttempts + 1);
  }

  #onExit(): () => void {
    const { registerAtExit = true, exitSignals } = this.#options;
    if (!registerAtExit) return () => undefined;
    return this.#host.onExit({
      close: () => this.close().catch(() => undefined),
      deadlineMs: this.#closeMs,
      lost: (reason) => this.#giveUp("exit", reason),
      signals: exitSignals,
    });
  }

  /** Everything that is pending; answers that come later change nothing. */
  #giveUp(reason: "deadline" | "exit", why: string): void {
    const left = [...this.#pending];
    this.#pending.clear();
    for (const [attempts, event] of left) {
      attempts.abort();
      this.#failedWith(new WaybillError("WAYBILL_TRANSPORT", lostMessage(1, why), { reason }), event);
    }
    this.#end();
  }

  #settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#end();
    });
  }

  /** An event is pending no more. */
  #end(attempts?: AbortController): void {
    if (attempts !== undefined) this.#pending.delete(attempts);
    if (this.#pending.size === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #post(data: PlainObject): void {
    const event = data["occured_at"] == null ? { ...data, occured_at: this.#now() } : data;
    validate(event);
    if (this.#closing !== undefined)
      return this.#failedWith(new WaybillError("WAYBILL_CLOSED", "The Valued client was closed"), event);
    const attempts = new AbortController();
    this.#pending.set(attempts, event);
    try {
      this.#executor.post(() => this.#call(event, attempts));
    } catch (error) {
      // An executor that takes no task: its error is the caller's, and nobody waits for the event.
      this.#end(attempts);
      throw error;
    }
  }

  async #call(event: PlainObject, attempts: AbortController): Promise<void> {
    // Given up before its turn came.
    if (!this.#pending.has(attempts)) return;
    try {
      await this.#deliver(event, attempts.signal);
    } catch (error) {
      if (this.#pending.has(attempts))
        this.#failedWith(error instanceof Error ? error : new Error(String(error)), event);
    }
    this.#end(attempts);
  }

  #deliver(event: PlainObject, signal: AbortSignal): Promise<unknown> {
    const { connection } = this;
    if (connection instanceof ConnectionOn) return connection.call(event, signal);
    const answer = typeof connection === "function" ? connection(event) : connection.call(event);
    return within(this.#options.timeoutMs, this.#host.runtime.clock, answer);
  }

  #failedWith(error: Error, event: PlainObject): void {
    this.#failed ??= error;
    try {
      this.#options.onError?.(error, event);
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

/** Ends with what the application's own transport gives back, which may never end. */
function within(timeoutMs: number, clock: Clock, answer: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () => {
      const details = { reason: "timeout", retryable: true };
      reject(new WaybillError("WAYBILL_TRANSPORT", `The transport did not end within ${timeoutMs} ms`, details));
    });
    const end = (settle: () => void): void => {
      timer.cancel();
      settle();
    };
    Promise.resolve(answer).then(
      () => end(() => resolve(undefined)),
      (error: unknown) => end(() => reject(error)),
    );
  });
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
