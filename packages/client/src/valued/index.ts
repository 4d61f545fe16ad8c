/**
 * Valued's own client: action, page view, sync, with scopes. Source: the vendor's Ruby gem 0.0.2,
 * read November 2026.
 */
import { createContext, createVendorHost } from "#host";
import type { VendorHost } from "../options.ts";
import { ValuedClientOn } from "./client.ts";
import { ConnectionOn } from "./connection.ts";
import { createGlobal, type GlobalValued as Global } from "./global.ts";
import { ofConnection } from "./options.ts";
import { Scope } from "./scope.ts";
import type { ConnectionOptions, ConnectionSource, ValuedClientOptions, ValuedHost } from "./types.ts";

export type { CanonicalEvent, EventMap, ValuedEvent } from "@waybill/vendors";
export type { ExitSignal } from "../vendor-kit/exit-hook.ts";
export type { PlainData, PlainObject, ValuedData } from "./data.ts";
export { Data } from "./data.ts";
export type { ValuedOptions } from "./destination.ts";
export { valued } from "./destination.ts";
export type { Executor } from "./executor.ts";
export { immediate, pool } from "./executor.ts";
export type {
  ConnectionOptions,
  ConnectionSource,
  ValuedClientOptions,
  ValuedConfig,
  ValuedTransport,
} from "./types.ts";
export { Scope };

/**
 * As the original, a connection of its own for each event: on one that is used again the event is
 * lost when the server closes it meanwhile, and without ids on the wire it cannot be sent again.
 */
const createHost = (): VendorHost => createVendorHost({ keepAlive: false });

/**
 * Posts one event per request. Its text shows the endpoint, never the token. Serves as a transport,
 * or for the headers of another one.
 *
 * @example
 * const { endpoint, headers } = new Connection("token");
 */
export class Connection extends ConnectionOn {
  /**
   * `endpoint`: used exactly as it is. Default `https://ingest.valued.app/events`. **Errors**:
   * `WAYBILL_OPTIONS` when it is not an http or https URL, the token is empty, or an option is
   * unknown or wrong.
   */
  constructor(token: string, endpoint?: string | URL, options?: ConnectionOptions) {
    super(createHost(), token, endpoint, options);
  }
}

/**
 * @example
 * const valued = new ValuedClient("token");
 * valued.action("report.sent", { "user.id": 5 });
 * await valued.close();
 */
export class ValuedClient extends ValuedClientOn {
  /** **Errors**: as {@link Connection}; `TypeError` when `source` is nothing that takes events. */
  constructor(source: ConnectionSource, endpoint?: string | URL, options: ValuedClientOptions = {}) {
    const host: ValuedHost = { ...createHost(), createContext };
    const connection = typeof source === "string" ? new Connection(source, endpoint, ofConnection(options)) : source;
    super(host, connection, endpoint, options);
  }

  /** A scope of this client that begins with `defaults`: `new Scope(client, defaults)`. */
  createScope(defaults: object = {}): Scope {
    return new Scope(this, defaults);
  }
}

/** What `Valued` is. */
export type GlobalValued = Global<ValuedClient>;

/**
 * @example
 * Valued.connect("token");
 * Valued.with({ "customer.id": 12 }, () => Valued.action("report.sent", { "user.id": 5 }));
 */
export const Valued: GlobalValued = createGlobal((...given) => new ValuedClient(...given));
