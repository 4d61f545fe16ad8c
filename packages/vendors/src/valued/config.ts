/** What the configuration knows of Valued: it has no options of its own. */
import { type NoOptions, noOptions, type VendorConfig } from "../config.ts";

export const valuedConfig: VendorConfig<NoOptions, NoOptions> = {
  source: noOptions,
  destination: noOptions,
  // Events are posted to this address itself.
  urlIsWhole: true,
  fields: {
    holding: ["user", "customer", "attributes"],
    single: ["category", "key", "occured_at", "occurred_at", "environment"],
  },
};
