import { own } from "@waybill/core";
import type { Context } from "../options.ts";
import type { ValuedClientOn } from "./client.ts";
import { Data, isPlainObject, nested, objectOf, type PlainData, type PlainObject, pathOf } from "./data.ts";

type Key = string | readonly string[];

/**
 * A place that what is set changes: one that a function sets after an `await` is there for its
 * caller too.
 */
interface Holder {
  data: PlainObject;
}

/**
 * Data that goes with every event. Within `with` it belongs to the task and what it awaits: nobody
 * else sees it. Outside it belongs to the scope, so make one for each user or request; the scope
 * of `Valued`, which all callers share, takes data within `with` only.
 *
 * Browsers and workers do not know such chains: there `with` takes synchronous functions only. For
 * asynchronous code see {@link Scope.bind}.
 *
 * Events are `scope` merged with what the call gives, deeply (the original replaces whole objects
 * at the top and so loses ids).
 *
 * @example
 * const scope = new Scope(client);
 * scope.set("user.id", 123);
 * scope.with({ "customer.id": 12 }, () => scope.action("report.generated"));
 */
export class Scope {
  readonly #client: ValuedClientOn;
  /** Within `with`. */
  readonly #context: Context<Holder>;
  /** Outside of it. */
  readonly #outside: Holder;
  #isShared = false;
  readonly #defaults: PlainObject;

  /**
   * `defaults`: what it begins with and what `reset` goes back to. Default: nothing. **Errors**:
   * throws a `TypeError` when they cannot be sent.
   */
  constructor(client: ValuedClientOn, defaults: object = {}) {
    this.#client = client;
    this.#context = client.createContext();
    this.#defaults = objectOf(defaults);
    this.#outside = { data: this.#defaults };
  }

  /** For `Valued`: one that all callers share. @internal */
  static shared(client: ValuedClientOn): Scope {
    const scope = new Scope(client);
    scope.#isShared = true;
    return scope;
  }

  get data(): PlainObject {
    return this.#holder.data;
  }

  /** The value at a key: `get("user.id")`, `get(["user", "id"])`. */
  get(key: Key): PlainData | undefined {
    return pathOf(key).reduce<PlainData | undefined>(
      (at, part) => (isPlainObject(at) ? own(at, part) : undefined),
      this.data,
    );
  }

  /**
   * Merges a value in at a key, until the `with` around ends. An object keeps the other members
   * that are there.
   * **Errors**: throws a `TypeError` for data that cannot be sent, and for the scope of `Valued`
   * outside of `with`.
   */
  set(key: Key, value: unknown): void {
    this.#merge(nested(pathOf(key), Data.normalize(value)));
  }

  get user(): PlainData | undefined {
    return this.get("user");
  }
  set user(value: object) {
    this.set("user", value);
  }
  get userId(): PlainData | undefined {
    return this.get("user.id");
  }
  set userId(value: string | number) {
    this.set("user.id", value);
  }
  get customer(): PlainData | undefined {
    return this.get("customer");
  }
  set customer(value: object) {
    this.set("customer", value);
  }
  get customerId(): PlainData | undefined {
    return this.get("customer.id");
  }
  set customerId(value: string | number) {
    this.set("customer.id", value);
  }

  /**
   * `task` and what it awaits see the data merged in; afterwards, also when it throws, all is as
   * before.
   * **Errors**: throws a `TypeError` where asynchronous chains cannot be followed (browsers,
   * workers) and `task` is an asynchronous function, or returns a promise: its synchronous part has
   * run then, and the rest runs without the data.
   */
  with<R>(data: object, task: (scope: this) => R): R;
  with<R>(task: (scope: this) => R): R;
  with<R>(first: object, second?: (scope: this) => R): R {
    const [data, task] = second === undefined ? [{}, first as typeof second & {}] : [first, second];
    return this.#context.run({ data: Data.merge(this.data, objectOf(data)) }, task, this);
  }

  /**
   * A scope of its own that begins with what this one holds, and `data` merged in; what becomes of
   * either does not change the other. Pass it along, and use it after `await`.
   */
  bind(data: object = {}): Scope {
    return new Scope(this.#client, Data.merge(this.data, objectOf(data)));
  }

  /** Merges data in, as `set` does. **Errors**: as `set`. */
  assign(data: object): this {
    this.#merge(objectOf(data));
    return this;
  }

  /** Back to the defaults. */
  reset(): void {
    // Where it takes none, there is none.
    if (!this.#takesNone()) this.#holder.data = this.#defaults;
  }

  action(key: string, data: object = {}): void {
    this.#client.action(key, this.#merged(data));
  }

  pageView(url: string, data: object = {}): void {
    this.#client.pageView(url, this.#merged(data));
  }

  /**
   * Without data: the user if more than its id is known, then the customer likewise; up to two
   * events.
   */
  sync(data?: object): void {
    if (data !== undefined) return this.#client.sync(this.#merged(data));
    for (const kind of ["user", "customer"] as const) {
      const known = this.data[kind];
      if (isPlainObject(known) && known["id"] != null && Object.keys(known).length > 1)
        this.#client.sync({ [kind]: known });
    }
  }

  syncUser(user: object = {}): void {
    this.#client.syncUser(Data.merge(this.#known("user"), objectOf(user)));
  }

  syncCustomer(customer: object = {}): void {
    this.#client.syncCustomer(Data.merge(this.#known("customer"), objectOf(customer)));
  }

  /** A scope may be part of the data of another. */
  toValuedData(): PlainObject {
    return this.data;
  }

  get #holder(): Holder {
    return this.#context.get() ?? this.#outside;
  }

  #merge(data: PlainObject): void {
    if (this.#takesNone())
      throw new TypeError(
        "data of the scope that all callers share is set within with() only, or it would go with the events of others; bind() gives a scope of your own",
      );
    this.#holder.data = Data.merge(this.data, data);
  }

  /**
   * Outside of `with` even a platform that knows chains goes on with the next request of a
   * connection in the chain of the last one.
   */
  #takesNone(): boolean {
    return this.#isShared && this.#context.get() === undefined;
  }

  #known(kind: "user" | "customer"): PlainObject {
    const known = this.data[kind];
    return isPlainObject(known) ? known : {};
  }

  #merged(data: object): PlainObject {
    return Data.merge(this.data, objectOf(data));
  }
}
