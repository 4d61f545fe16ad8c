import { ValuedClientOn } from "./client.ts";
import type { PlainData } from "./data.ts";
import { Scope } from "./scope.ts";
import type { ConnectionSource, ValuedClientOptions, ValuedConfig, ValuedInput } from "./types.ts";

/** What `Valued` hands to its scope as it is. */
type OfScope = "get" | "set" | "with" | "bind" | "assign" | "reset";

/**
 * One client and one scope for a process: what an application calls without passing anything
 * around. Everything but `connect` and `connected` throws when not connected.
 */
export interface GlobalValued<Client extends ValuedClientOn> extends Pick<Scope, OfScope> {
  /**
   * Connects: a token (and endpoint), a transport, or a client. Gives the client back. A second
   * call replaces the first one's client and scope.
   */
  connect(source: ConnectionSource | Client, endpoint?: string | URL, options?: ValuedClientOptions): Client;
  /** Forgets client and scope; the client stays open. */
  disconnect(): void;
  readonly connected: boolean;
  /** **Errors**: throws when not connected. */
  readonly client: Client;
  /** Of the current chain of asynchronous calls. **Errors**: throws when not connected. */
  readonly scope: Scope;
  get user(): PlainData | undefined;
  set user(value: object);
  get userId(): PlainData | undefined;
  set userId(value: string | number);
  get customer(): PlainData | undefined;
  set customer(value: object);
  get customerId(): PlainData | undefined;
  set customerId(value: string | number);
  action(key: string, data?: ValuedInput): void;
  pageView(url: string, data?: ValuedInput): void;
  sync(data?: ValuedInput): void;
  syncUser(user?: ValuedInput): void;
  syncCustomer(customer?: ValuedInput): void;
  config(config: ValuedConfig | (() => ValuedConfig)): void;
}

type CreateClient<Client> = (
  source: ConnectionSource,
  endpoint?: string | URL,
  options?: ValuedClientOptions,
) => Client;

export function createGlobal<Client extends ValuedClientOn>(createClient: CreateClient<Client>): GlobalValued<Client> {
  let connected: { readonly client: Client; readonly scope: Scope } | undefined;
  const current = (what: string): NonNullable<typeof connected> => {
    if (connected === undefined) throw new Error(`Need to call Valued.connect before Valued.${what}`);
    return connected;
  };
  const scope = (what: string): Scope => current(what).scope;
  return {
    connect(source, endpoint, options) {
      const client = source instanceof ValuedClientOn ? source : createClient(source, endpoint, options);
      connected = { client, scope: Scope.shared(client) };
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
      return scope("scope");
    },
    get: (key) => scope("get").get(key),
    set: (key, value) => scope("set").set(key, value),
    with: <R>(first: object, second?: (within: Scope) => R) =>
      second === undefined ? scope("with").with(first as (within: Scope) => R) : scope("with").with(first, second),
    bind: (data) => scope("bind").bind(data),
    assign: (data) => scope("assign").assign(data),
    reset: () => scope("reset").reset(),
    get user(): PlainData | undefined {
      return scope("user").user;
    },
    set user(value: object) {
      scope("user").user = value;
    },
    get userId(): PlainData | undefined {
      return scope("userId").userId;
    },
    set userId(value: string | number) {
      scope("userId").userId = value;
    },
    get customer(): PlainData | undefined {
      return scope("customer").customer;
    },
    set customer(value: object) {
      scope("customer").customer = value;
    },
    get customerId(): PlainData | undefined {
      return scope("customerId").customerId;
    },
    set customerId(value: string | number) {
      scope("customerId").customerId = value;
    },
    action: (key, data) => scope("action").action(key, data),
    pageView: (url, data) => scope("pageView").pageView(url, data),
    sync: (data) => scope("sync").sync(data),
    syncUser: (user) => scope("syncUser").syncUser(user),
    syncCustomer: (customer) => scope("syncCustomer").syncCustomer(customer),
    config: (config) => current("config").client.config(config),
  };
}
