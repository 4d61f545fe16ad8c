/** What the configuration knows of PostHog: it has no options of its own. */
import { type NoOptions, noOptions, type VendorConfig } from "../config.ts";

export const posthogConfig: VendorConfig<NoOptions, NoOptions> = {
  source: noOptions,
  destination: noOptions,
  fields: {
    holding: ["properties", "$set", "$set_once"],
    single: ["event", "uuid", "distinct_id", "timestamp", "type", "library", "library_version", "send_feature_flags"],
  },
};
