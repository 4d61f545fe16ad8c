/** What the configuration knows of each vendor, and what its schemas are made of. */
import { ADAPTERS } from "./registry.ts";

export * from "./config.ts";
export * from "./config-texts.ts";
export * from "./config-units.ts";
export type * from "./launchdarkly/options.ts";
export type * from "./trophy/config.ts";

type Adapter = (typeof ADAPTERS)[number];
type VendorConfigs = { readonly [Name in Adapter["name"]]: Extract<Adapter, { readonly name: Name }>["config"] };

/** By the vendor's name, in the order of the registry. */
export const VENDOR_CONFIGS: VendorConfigs = Object.fromEntries(
  ADAPTERS.map(({ name, config }) => [name, config]),
) as unknown as VendorConfigs;
