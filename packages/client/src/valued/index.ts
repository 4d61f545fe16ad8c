/** Valued's own client: action, page view, sync, with scopes. Source: the vendor's Ruby gem 0.0.2, read November 2026. */
import { createContext, createVendorHost } from "#host";
import {
  type ConnectionSource,
  createGlobal,
  type GlobalValued,
  ValuedClientOn,
  type ValuedClientOptions,
} from "./client.ts";
import type { PlainObject } from "./data.ts";
import { Scope } from "./scope.ts";

export type { CanonicalEvent, EventMap, ValuedEvent } from "@waybill/vendors";
export type { ConnectionSource, GlobalValued, ValuedClientOptions, ValuedConfig } from "./client.ts";
export type { ConnectionOptions, ValuedTransport } from "./connection.ts";
export { Connection } from "./connection.ts";
export type { PlainData, PlainObject, ValuedData } from "./data.ts";
export { Data } from "./data.ts";
export type { ValuedOptions } from "./destination.ts";
export { valued } from "./destination.ts";
export type { Executor } from "./executor.ts";
export { immediate, pool } from "./executor.ts";
export { Scope } from "./scope.ts";

/**
 * @example
 * const valued = new ValuedClient("token");
 * valued.action("report.sent", { "user.id": 5 });
 * await valued.close();
 */
export class ValuedClient extends ValuedClientOn {
  constructor(source: ConnectionSource, endpoint?: string | URL, options?: ValuedClientOptions) {
    super(createVendorHost(), source, endpoint, options);
  }

  /** A scope of this client with data of its own. */
  createScope(defaults: object = {}): Scope {
    return new Scope(this, createContext<PlainObject>(), defaults);
  }
}

/**
 * @example
 * Valued.connect("token");
 * Valued.scope.with({ "customer.id": 12 }, () => Valued.action("report.sent", { "user.id": 5 }));
 */
export const Valued: GlobalValued = createGlobal(createVendorHost, () => createContext<PlainObject>());
