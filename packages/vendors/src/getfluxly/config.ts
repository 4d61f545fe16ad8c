/** What the configuration knows of GetFluxly: it has no options of its own. */
import { type NoOptions, noOptions, type VendorConfig } from "../config.ts";

export const getfluxlyConfig: VendorConfig<NoOptions, NoOptions> = {
  source: noOptions,
  destination: noOptions,
  fields: {
    holding: ["properties", "traits", "context"],
    single: [
      "event",
      "user_id",
      "external_id",
      "anonymous_id",
      "previous_id",
      "message_id",
      "session_id",
      "timestamp",
      "occurred_at",
      "sent_at",
      "type",
      "library",
    ],
  },
};
