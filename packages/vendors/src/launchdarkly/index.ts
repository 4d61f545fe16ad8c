/**
 * LaunchDarkly: events of feature flags. What the relay does beside (memory mode, summaries, flags)
 * is in relay/src/launchdarkly/.
 */
import type { VendorAdapter } from "../adapter.ts";
import { launchdarklyFromCanonical, launchdarklyToCanonical } from "./canonical.ts";
import { launchdarklyConfig } from "./config.ts";
import { launchdarklyInbound } from "./inbound.ts";
import type { LaunchDarklyDestinationOptions, LaunchDarklySourceOptions } from "./options.ts";
import { launchdarklyRelayed, unsendable } from "./relayed.ts";

export const launchdarkly: VendorAdapter<"launchdarkly", LaunchDarklySourceOptions, LaunchDarklyDestinationOptions> = {
  name: "launchdarkly",
  title: "LaunchDarkly",
  config: launchdarklyConfig,
  inbound: launchdarklyInbound,
  outbound: ({ url, writeKey, mobileKey, environmentId }, { library, strict }) =>
    launchdarklyRelayed({
      url,
      sdkKey: writeKey,
      mobileKey,
      environmentId,
      userAgent: `WaybillRelay/${library.version}`,
      strict,
    }),
  knowsDuplicatesBy: "batch",
  toCanonical: launchdarklyToCanonical,
  fromCanonical: launchdarklyFromCanonical,
  unsendable(metadata, { writeKey, mobileKey, environmentId }) {
    const reason = unsendable({ sdkKey: writeKey, mobileKey, environmentId }, metadata);
    return reason === undefined ? undefined : { dropped: reason };
  },
  // The key of the user or context; a diagnostic has none.
  order: { key: ["user.key", "userKey", "context.key", "contextKeys.*"] },
  // What there is of one is the user.
  defaultOrder: "none",
  hasContext: false,
};
