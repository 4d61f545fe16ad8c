/** What a destination may be: a vendor of the registry, or one of the relay's own. */
import { vendorOf } from "@waybill/vendors";
import { adapterOf } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";
import type { DestinationAdapter } from "./adapter.ts";
import { file } from "./file-destination.ts";
import { http } from "./http-destination.ts";

const OWN: ReadonlyMap<string, DestinationAdapter> = new Map([http, file].map((adapter) => [adapter.name, adapter]));

export function destinationAdapterOf(name: DestinationConfig["vendor"]): DestinationAdapter {
  const adapter = OWN.get(name) ?? adapterOf(name);
  if (adapter === undefined) throw new Error(`there is no adapter ${name}`);
  return adapter;
}

/**
 * Whether events of this metadata leave as the bytes that came in: they are in its wire format, or
 * it takes every one.
 */
export function isInFormatOf(adapter: DestinationAdapter, metadata: string): boolean {
  return adapter.fromCanonical === undefined || vendorOf(metadata) === adapter.name;
}
