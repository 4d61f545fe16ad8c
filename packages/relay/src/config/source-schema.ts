/** What may be configured of a source: options of every source, and those of its protocol. */
import { inboundKeys, VENDOR_CONFIGS } from "@waybill/vendors/config";
import { z } from "zod";
import type { ParsedSource } from "./types.ts";

const RATE_MIN = 0.001;
const RATE_MAX = 1_000_000;
const BURST_MAX = 1_000_000;

const COMMON = {
  writeKeys: inboundKeys(
    "Keys that its clients may send, not the vendor's: a write key, an API key, a token, an SDK key, whatever the protocol calls it. Several are valid at once, for rotation. A key belongs to one source only.",
    1,
  ),
  prefix: z
    .string()
    .regex(
      /^(?!\/s(\/|$))(\/[A-Za-z0-9._~-]+)+$/,
      "it must be a path such as /eu, without a slash at its end, and not under /s, where each source has its own",
    )
    .meta({
      description:
        "A path before the vendor's own, such as /eu for /eu/v1/batch. /s/<environment>/<source> works always, /s/<source> where no other environment has a source of that name. A key that a request has must be one of this source's.",
      examples: ["/eu"],
    })
    .optional(),
  hosts: z
    .array(z.string().regex(/^[a-z0-9.-]+$/, "it must be a host name in lower case, without a port"))
    .min(1)
    .meta({
      description:
        "Host names, without port, whose requests belong to this source. A key that a request has must be one of this source's.",
      examples: ["events.example.com"],
    })
    .optional(),
  maxRequestsPerSecond: z
    .number()
    .min(RATE_MIN)
    .max(RATE_MAX)
    .meta({
      description:
        "Requests a second for each key. Beyond that the answer is 429 with Retry-After. No limit by default.",
      examples: [500],
    })
    .optional(),
  burst: z
    .int()
    .min(1)
    .max(BURST_MAX)
    .meta({
      description: "Requests of a key that may come at once. Default: those of two seconds.",
      examples: [1000],
    })
    .optional(),
};

const keyless = z.boolean().default(false).meta({
  description: "Take requests without a key, from anybody, where the prefix or the host already names the source.",
});

const variants = Object.entries(VENDOR_CONFIGS).map(([name, { source, sourceKeys = {}, hasKeyAlways = false }]) =>
  z.strictObject({
    protocol: z.literal(name).meta({ description: "Whose API its clients speak." }),
    ...COMMON,
    ...(hasKeyAlways ? {} : { keyless }),
    ...Object.fromEntries(Object.entries(sourceKeys).map(([option, { schema }]) => [option, schema])),
    ...source.shape,
  }),
);

/** By its protocol, so that an option of another vendor is a fault. */
export const sourceSchema: z.ZodType<ParsedSource> = z
  .discriminatedUnion("protocol", variants as unknown as [(typeof variants)[0]])
  .meta({ description: "Where events come from: one application or site." }) as unknown as z.ZodType<ParsedSource>;
