/** What the configuration knows of each vendor, and what its schemas are made of. */
import type { NoOptions, VendorConfig } from "./config.ts";
import { getfluxlyConfig } from "./getfluxly/config.ts";
import {
  type LaunchDarklyDestinationOptions,
  type LaunchDarklySourceOptions,
  launchdarklyConfig,
} from "./launchdarkly/config.ts";
import { letterConfig } from "./letter/config.ts";
import { posthogConfig } from "./posthog/config.ts";
import { segmentConfig } from "./segment/config.ts";
import { type TrophyDestinationOptions, trophyConfig } from "./trophy/config.ts";
import { valuedConfig } from "./valued/config.ts";

export * from "./config.ts";
export * from "./config-texts.ts";
export * from "./config-units.ts";
export type * from "./launchdarkly/config.ts";
export type * from "./trophy/config.ts";

/** By the vendor's name, in the order in which people read of them. */
export const VENDOR_CONFIGS: {
  readonly segment: VendorConfig<NoOptions, NoOptions>;
  readonly letter: VendorConfig<NoOptions, NoOptions>;
  readonly getfluxly: VendorConfig<NoOptions, NoOptions>;
  readonly trophy: VendorConfig<NoOptions, TrophyDestinationOptions>;
  readonly valued: VendorConfig<NoOptions, NoOptions>;
  readonly launchdarkly: VendorConfig<LaunchDarklySourceOptions, LaunchDarklyDestinationOptions>;
  readonly posthog: VendorConfig<NoOptions, NoOptions>;
} = {
  segment: segmentConfig,
  letter: letterConfig,
  getfluxly: getfluxlyConfig,
  trophy: trophyConfig,
  valued: valuedConfig,
  launchdarkly: launchdarklyConfig,
  posthog: posthogConfig,
};
