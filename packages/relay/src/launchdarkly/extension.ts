/**
 * The one place where LaunchDarkly's own ways are attached to the relay: summaries of old events on
 * a destination's way out, and sources in memory.
 */
import type { DestinationExtension, ExtensionOptions } from "../delivery/extension.ts";
import { createFlagSource } from "./flags.ts";
import { launchdarklyOf } from "./options.ts";
import { createSummaries, isSummarised } from "./summaries.ts";

/**
 * What a destination of LaunchDarkly's does beside; `undefined` for all others. **Errors**:
 * `WAYBILL_CONFIG` for flag data that cannot be read.
 */
export function extensionOf({ config, runtime, settings }: ExtensionOptions): DestinationExtension | undefined {
  const own = launchdarklyOf(config);
  if (own === undefined) return undefined;
  const flags = createFlagSource(own, settings);
  const summaries = createSummaries(own, flags, runtime);
  return {
    rewriteOf: (metadata) => (isSummarised(metadata) ? summaries.rewrite : undefined),
    close() {
      flags.close();
      summaries.close();
    },
  };
}
