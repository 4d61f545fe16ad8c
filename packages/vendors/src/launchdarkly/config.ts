/** What the configuration knows of LaunchDarkly. */
import { z } from "zod";
import {
  count,
  duration,
  filePath,
  flag,
  headerNames,
  inboundKeys,
  key,
  type OptionsSchema,
  origins,
  url,
  type VendorConfig,
} from "../config.ts";
import type { LaunchDarklyDestinationOptions, LaunchDarklySourceOptions } from "./options.ts";

const CAPACITY_DEFAULT = 1_000;
const CAPACITY_MAX = 10_000_000;
/** Shorter intervals keep the relay busy with empty flushes. */
const INTERVAL_MIN_MS = 10;

const memory = z
  .strictObject({
    capacity: count({
      min: 1,
      max: CAPACITY_MAX,
      description: "Events that may wait, for each value of the metadata.",
    }).default(CAPACITY_DEFAULT),
    flushInterval: duration({
      min: INTERVAL_MIN_MS,
      default: "5s",
      example: "1s",
      description: "How often what waits is sent.",
    }),
  })
  .meta({
    description:
      "Keep events in memory, as LaunchDarkly's own relay does, instead of on disk. A 202 is then not durable, and what does not fit is dropped.",
  });

const source: OptionsSchema<LaunchDarklySourceOptions> = z.strictObject({
  allowedOrigins: origins("Origins of pages that may send. Default: any."),
  allowedHeaders: headerNames("Headers that pages may send beside the usual ones."),
  sendEvents: flag("Set it to false to answer events with 503, as a relay does that forwards no events.", true),
  memory: memory.optional(),
});

const destination: OptionsSchema<LaunchDarklyDestinationOptions> = z.strictObject({
  mobileKey: key("The key for events of mobile SDKs.").optional(),
  environmentId: key("The id for events of JavaScript SDKs.").optional(),
  inlineUsers: flag("Whether summarised events (schema 1 and 2) carry their user instead of its key.", false),
  eventQueueCleanupInterval: duration({
    min: INTERVAL_MIN_MS,
    example: "1h",
    description:
      "How often the relay forgets what it knows of users for values of schema and tags (events of schema 1 and 2) that no event has used since it last did so. Default: 1h, or two flushes in memory mode where a flush is longer than 1h.",
  }).optional(),
  flagsFile: filePath({
    description:
      'A file of flag data for summaries, { "flags": { key: flag } }. It is read at the start and at each reload.',
  }).optional(),
  flagsFromVendor: flag("Get flag data for summaries from LaunchDarkly, by its SDK.", false),
  flagsUrl: url({
    description: "Where flag data is polled. Default: LaunchDarkly's own service, streamed.",
  }).optional(),
});

export const launchdarklyConfig: VendorConfig<LaunchDarklySourceOptions, LaunchDarklyDestinationOptions> = {
  source,
  destination,
  sourceKeys: {
    mobileKeys: { kind: "mobile", schema: inboundKeys("Keys of mobile SDKs.").optional() },
    environmentId: { kind: "js", schema: key("The id that JavaScript SDKs have in their path.").optional() },
  },
  // It is in a header or in the path.
  hasKeyAlways: true,
  fields: {
    holding: [
      "user",
      "context",
      "contextKeys",
      "data",
      "value",
      "default",
      "reason",
      "features",
      "os",
      "device",
      "configuration",
      "sdk",
      "platform",
      "id",
    ],
    single: [
      "kind",
      "key",
      "userKey",
      "contextKind",
      "creationDate",
      "metricValue",
      "variation",
      "version",
      "prereqOf",
      "trackEvents",
      "debugEventsUntilDate",
      "startDate",
      "endDate",
      "samplingRatio",
      "indexSamplingRatio",
      "excludeFromSummaries",
      "previousKey",
      "previousKind",
      "url",
    ],
  },
};
