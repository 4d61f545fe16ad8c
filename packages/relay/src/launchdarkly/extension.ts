/** The one place where LaunchDarkly's own ways are attached to the relay: summaries of old events on a destination's way out, and sources in memory. */
import type { DestinationExtension, ExtensionOptions } from "../delivery/extension.ts";
import { createFlagSource } from "./flags.ts";
import { createSummaries, isSummarised } from "./summaries.ts";

export const LAUNCHDARKLY = "launchdarkly";

/** What a destination of LaunchDarkly's does beside; `undefined` for all others. **Errors**: `WAYBILL_CONFIG` for flag data that cannot be read. */
export function extensionOf({ config, runtime, settings }: ExtensionOptions): DestinationExtension | undefined {
  if (config.vendor !== LAUNCHDARKLY) return undefined;
  const flags = createFlagSource(config, settings);
  const summaries = createSummaries(config, flags, runtime);
  return {
    rewriteOf: (metadata) => (isSummarised(metadata) ? summaries.rewrite : undefined),
    close() {
      flags.close();
      summaries.close();
    },
  };
}
