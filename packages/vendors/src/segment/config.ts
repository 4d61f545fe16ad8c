/** What the configuration knows of Segment: it has no options of its own. */
import { type NoOptions, noOptions, type VendorConfig } from "../config.ts";

export const segmentConfig: VendorConfig<NoOptions, NoOptions> = {
  source: noOptions,
  destination: noOptions,
  fields: {
    holding: ["properties", "traits", "context", "integrations", "_metadata"],
    single: [
      "type",
      "event",
      "name",
      "category",
      "userId",
      "anonymousId",
      "groupId",
      "previousId",
      "messageId",
      "timestamp",
      "originalTimestamp",
      "sentAt",
      "receivedAt",
      "channel",
      "version",
    ],
  },
};
