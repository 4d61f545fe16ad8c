/**
 * What may be configured of a destination: options of every destination, and those of its vendor.
 */
import { EVENT_TYPES } from "@waybill/vendors";
import { bytes, duration, filePath, key, url, VENDOR_CONFIGS } from "@waybill/vendors/config";
import { z } from "zod";
import { group } from "./group.ts";
import { nameMap } from "./name-map.ts";
import { proxy } from "./outbound.ts";
import { OWN_DESTINATIONS } from "./own-destinations.ts";
import type { ParsedDestination } from "./types.ts";

/** A destination that recovers should not wait longer for its events. */
const BACKOFF_MAX_MS = 60_000;
const BATCH_MAX_EVENTS = 10_000;
const RATE_MIN = 0.001;
const RATE_MAX = 100_000;
const IN_FLIGHT_MAX = 64;

const events = nameMap<string | false>({
  description:
    "For events in another vendor's wire format: what a track event is called here, by its name. false leaves it out.",
  faultOf: (_name, value) =>
    isNewName(value) ? undefined : { message: "it must be a text that is not empty, or false", quotes: true },
  is: isNewName,
  json: { anyOf: [{ type: "string", minLength: 1 }, { const: false }] },
});

function isNewName(value: unknown): value is string | false {
  return value === false || (typeof value === "string" && value !== "");
}

const names = z.array(z.string()).min(1);

const filter = z
  .strictObject({
    types: z.array(z.enum(EVENT_TYPES)).min(1).meta({ description: "Events of these types." }).optional(),
    include: names.meta({ description: "Track events of these names; * stands for any text." }).optional(),
    exclude: names.meta({ description: "No track events of these names; * stands for any text." }).optional(),
  })
  .meta({ id: "filter", description: "Which events it gets. The others are dropped as `filtered`." });

const backoff = group(
  z
    .strictObject({
      base: duration({
        min: 1,
        default: "500ms",
        example: "1s",
        description: "The longest wait before the second attempt. It doubles with each further attempt.",
      }),
      max: duration({
        min: 1,
        max: BACKOFF_MAX_MS,
        default: "60s",
        example: "30s",
        description: "No backoff waits longer than this, at most 60s. Only the vendor's own Retry-After may be longer.",
      }),
    })
    .meta({ id: "backoff" }),
  "Waiting between attempts: exponential, with full jitter. A vendor's Retry-After is a lower bound.",
);

const batch = group(
  z
    .strictObject({
      linger: duration({
        default: "20ms",
        example: "1s",
        description: "The longest time that an event waits for others to share its request.",
      }),
      maxEvents: z
        .int()
        .min(1)
        .max(BATCH_MAX_EVENTS)
        .meta({ description: "Most events in one request. Default: the vendor's limit.", examples: [500] })
        .optional(),
      maxBytes: bytes({
        example: "100KB",
        description: "Most bytes of events in one request. Default: the vendor's limit.",
      }).optional(),
    })
    .meta({ id: "batch" }),
  "How events are put together in requests, within the vendor's own limits.",
);

const retry = group(
  z
    .strictObject({
      giveUpAfter: duration({
        min: 1_000,
        default: "1h",
        example: "10m",
        description:
          "An event that has failed for so long while others were delivered becomes a dead letter, `poison`. Time in which nothing was delivered does not count: in an outage nothing is given up.",
      }),
      maxAge: duration({
        min: 1_000,
        example: "6h",
        description:
          "Events that were received longer ago than this become dead letters, `too_old`, where late is worthless. Each is looked at before every attempt; those of its batch that are younger are sent under a key of their own. Not for replays and dead letters that are sent again. Default: they never do.",
      }).optional(),
    })
    .meta({ id: "retry" }),
  "When an event is given up that the vendor might still take.",
);

const COMMON = {
  sources: z
    .array(z.string())
    .min(1)
    .meta({
      description:
        "Sources whose events it gets, by name: [web, ios]. Those of others are dropped as `source`. Default: every source of the environment.",
    })
    .optional(),
  events,
  filter: filter.optional(),
  sampleRate: z
    .number()
    .gt(0)
    .max(1)
    .meta({
      description:
        "Share of the users whose events it gets, above 0 and up to 1. A user is always in or always out. Events that pass carry `sample_rate` in their context where the vendor's events have one.",
      examples: [0.1],
    })
    .optional(),
  redact: z
    .array(z.string().regex(/^[^.]+(\.[^.]+)*$/, "it must be names joined by dots"))
    .min(1)
    .meta({
      description: "Fields that are taken out of each event, such as properties.email or context.ip.",
      examples: ["properties.email"],
    })
    .optional(),
  timeout: duration({
    min: 1,
    default: "10s",
    example: "5s",
    description: "For one request, up to the end of its answer.",
  }),
  backoff,
  retry,
  batch,
  order: z
    .enum(["user", "arrival", "none"])
    .meta({
      description:
        "Which events are delivered in the order in which they came: those of each `user`; all, by their `arrival`, with one request at a time; or `none`. Default: user; none for LaunchDarkly; arrival for a file.",
    })
    .optional(),
  maxInFlight: z
    .int()
    .min(1)
    .max(IN_FLIGHT_MAX)
    .default(IN_FLIGHT_MAX)
    .meta({
      description: "Most requests at once. How many there are adapts to what the vendor takes.",
      examples: [8],
    }),
  maxRequestsPerSecond: z
    .number()
    .min(RATE_MIN)
    .max(RATE_MAX)
    .meta({
      description:
        "Most requests in any second, spaced evenly. By default the limit is learned from the vendor's answers.",
      examples: [1000],
    })
    .optional(),
};

/** Of destinations that are reached over a network. */
const NETWORK = {
  proxy: proxy(
    "URL of the proxy that its requests go through, with user and password if it wants them, or none to go directly. Default: network.proxy, else HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
  ).optional(),
  ca: filePath({
    example: "/etc/waybill/ca.pem",
    description:
      "A file of certificates in PEM of CAs that are trusted beside Node's own and NODE_EXTRA_CA_CERTS, for the destination and for a proxy at an https URL. Read at the start and at each reload.",
  }).optional(),
};

const writeKey = key(
  "The vendor's key: write key, API key, token or SDK key. Take it from the environment: ${SEGMENT_WRITE_KEY}.",
);

const vendors = Object.entries(VENDOR_CONFIGS).map(([name, { destination, urlIsWhole = false }]) => {
  const description = urlIsWhole
    ? "The address that requests go to. Default: the vendor's."
    : "The address before the paths of the API. Default: the vendor's.";
  return variantOf(name, {
    url: url({ description, isWhole: urlIsWhole, example: "https://events.eu1.segmentapis.com" }).optional(),
    writeKey,
    ...destination.shape,
    ...NETWORK,
  });
});
const own = Object.entries(OWN_DESTINATIONS).map(([name, { shape }]) =>
  variantOf(name, { ...shape, ...(name === "file" ? {} : NETWORK) }),
);

function variantOf(name: string, shape: z.core.$ZodLooseShape): z.ZodObject {
  return z.strictObject({
    vendor: z.literal(name).meta({
      description: "Whose API it speaks. `http` posts events to any address, `file` appends them to a file.",
    }),
    ...shape,
    ...COMMON,
  });
}

/** By its vendor, so that an option of another vendor is a fault. */
export const destinationSchema: z.ZodType<ParsedDestination> = z
  .discriminatedUnion("vendor", [...vendors, ...own] as unknown as [z.core.$ZodTypeDiscriminable])
  .meta({ description: "A place to deliver to." }) as unknown as z.ZodType<ParsedDestination>;
