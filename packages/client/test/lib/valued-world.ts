import { emulators } from "@waybill/testing";
import { createContext } from "../../src/host/node-host.ts";
import { ValuedClientOn } from "../../src/valued/client.ts";
import type { PlainObject } from "../../src/valued/data.ts";
import { immediate } from "../../src/valued/executor.ts";
import { Scope } from "../../src/valued/scope.ts";
import type { ConnectionSource, ValuedClientOptions } from "../../src/valued/types.ts";
import { URL_OF_VENDOR, type VendorWorld, vendorWorld } from "./vendor-world.ts";

/** When the clock of these worlds begins. */
export const NOW = "2026-01-01T00:00:00Z";
export const ENDPOINT: string = `${URL_OF_VENDOR}/events`;

export interface ValuedWorld extends VendorWorld<emulators.ValuedEmulator> {
  readonly events: PlainObject[];
  /** With events going into `events`. */
  readonly client: ValuedClientOn;
  connect(source: ConnectionSource, endpoint?: string | URL, options?: ValuedClientOptions): ValuedClientOn;
  scope(defaults?: object): Scope;
}

/** `environment`: that of VALUED_ENV. */
export function setUp(environment?: string): ValuedWorld {
  const world = vendorWorld((clock) => new emulators.ValuedEmulator({ clock, tokens: ["token"] }));
  if (environment !== undefined) world.environment["VALUED_ENV"] = environment;
  const events: PlainObject[] = [];
  const connect: ValuedWorld["connect"] = (source, endpoint, options) =>
    new ValuedClientOn({ ...world.host, createContext }, source, endpoint, options);
  const client = connect((event) => events.push(event), undefined, { executor: immediate });
  return { ...world, events, client, connect, scope: (defaults) => new Scope(client, defaults) };
}
