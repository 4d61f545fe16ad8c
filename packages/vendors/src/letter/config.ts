/** What the configuration knows of Letter: it has no options of its own. */
import { type NoOptions, noOptions, type VendorConfig } from "../config.ts";

export const letterConfig: VendorConfig<NoOptions, NoOptions> = {
  source: noOptions,
  destination: noOptions,
  fields: {
    holding: ["traits", "properties"],
    single: ["type", "userId", "messageId", "timestamp", "event", "accountId", "email", "name", "timezone"],
  },
};
