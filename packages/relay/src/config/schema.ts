/** The whole configuration file, as zod schemas: its check, its types and its documentation. */
import { bytes, checked, count, duration, filePath, flag, keyFault } from "@waybill/vendors/config";
import { z } from "zod";
import type { TlsFiles } from "../tls/certificate.ts";
import { isNetwork } from "../trusted-proxies.ts";
import { addressOf } from "./address.ts";
import { destinationSchema } from "./destination-schema.ts";
import { group } from "./group.ts";
import { engineSchema, kafkaSchema } from "./kafka.ts";
import { proxy } from "./outbound.ts";
import { sourceSchema } from "./source-schema.ts";
import type { Address, ParsedConfig, ParsedEnvironment } from "./types.ts";

/** A body is held in memory whole. */
const BODY_MAX_BYTES = 33_554_432;
const EVENTS_MAX = 1_000_000;
const CONNECTIONS_MIN = 16;
const CONNECTIONS_MAX = 1_000_000;
const IDS_MAX = 33_554_432;
const TOKEN_MIN_CHARACTERS = 8;
const OWNER_READS_AND_WRITES = 0o600;
const OWNER_HAS_ALL = 0o700;
const OCTAL = 8;

function address(description: string, fallback: string, examples?: readonly string[]): z.ZodType<Address> {
  return checked(z.string(), (value) =>
    addressOf(value) === undefined
      ? { message: "it must be an address", hint: "for example 127.0.0.1:8080 or [::]:8080", quotes: true }
      : undefined,
  )
    .transform((value) => addressOf(value) as Address)
    .meta({ description, ...(examples === undefined ? {} : { examples: [...examples] }) })
    .prefault(fallback);
}

/** Bits as of `chmod`, in an octal text. */
function mode(options: {
  readonly description: string;
  readonly fallback: string;
  readonly example: string;
  readonly bits: number;
  readonly missing: string;
}): z.ZodType<number> {
  const { description, fallback, example, bits, missing } = options;
  const text = z.string().regex(/^0?[0-7]{3}$/, "it must be an octal number in quotes");
  return checked(text, (value) =>
    (Number.parseInt(value, OCTAL) & bits) === bits
      ? undefined
      : { message: missing, hint: `for example ${fallback} or ${example}`, quotes: true },
  )
    .transform((value) => Number.parseInt(value, OCTAL))
    .meta({ description, examples: [example] })
    .prefault(fallback);
}

function adminToken(description: string): z.ZodOptional<z.ZodString> {
  return checked(z.string().min(TOKEN_MIN_CHARACTERS), (value) => {
    const message = keyFault(value);
    return message === undefined ? undefined : { message };
  })
    .meta({ description, writeOnly: true })
    .optional();
}

/** Absent: clear text. */
function tls(whose: string): z.ZodOptional<z.ZodType<TlsFiles>> {
  return z
    .strictObject({
      cert: filePath({
        description:
          "File of certificates in PEM: the server's own first, then those between it and its CA. New connections get another one within ten seconds after the files have changed.",
        example: "/etc/waybill/tls/tls.crt",
      }),
      key: filePath({
        description: "File of its private key in PEM, without a passphrase.",
        example: "/etc/waybill/tls/tls.key",
      }),
    })
    .meta({ description: `TLS of ${whose}, 1.2 or newer. Without it the port speaks plain HTTP.` })
    .optional();
}

const admin = group(
  z.strictObject({
    listen: address("Where it answers, host:port. Anything but loopback needs a token.", "127.0.0.1:8081"),
    token: adminToken(
      "When it is set, requests need Authorization: Bearer <token>; health and ready do not, and the page asks for it. Printable ASCII without white space.",
    ),
    readOnlyToken: adminToken(
      "A second token, beside admin.token, whose requests may look at everything and change nothing.",
    ),
    hosts: z
      .array(
        z
          .string()
          .regex(
            /^([a-z0-9_.-]+|[0-9a-f]*:[0-9a-f:.]+)$/,
            "it must be a host name or address in lower case, without a port",
          ),
      )
      .min(1)
      .meta({
        description:
          "Names and addresses, without port, under which it may be reached beside loopback and the address it listens on. Requests for other hosts are refused.",
        examples: ["waybill.internal"],
      })
      .optional(),
    tls: tls("the admin API"),
  }),
  "The admin API.",
);

const limits = group(
  z.strictObject({
    bodyMaxBytes: bytes({
      max: BODY_MAX_BYTES,
      example: "5MiB",
      description:
        "Largest body after decompression, at most 32MiB, for every protocol. By default what real clients of each send: 1.5MiB for segment, posthog and launchdarkly, 512KiB for letter, 256KiB for getfluxly, trophy and valued. While it reads a larger body the relay answers nobody else: some 10 ms for each MiB.",
    }).optional(),
    maxEvents: count({
      min: 1,
      max: EVENTS_MAX,
      example: 2_500,
      description:
        "Events of one request, for every protocol. By default 10000 for segment, 5000 for posthog, 20000 for launchdarkly, 500 for letter, 100 for getfluxly.",
    }).optional(),
    maxConnections: count({
      min: CONNECTIONS_MIN,
      max: CONNECTIONS_MAX,
      description:
        "Connections at once. When there are more, idle ones are closed, then those that have not sent a whole request head.",
    }).default(8_192),
    headersTimeout: duration({ min: 1, default: "10s", description: "For a request's headers to arrive." }),
    requestTimeout: duration({ min: 1, default: "60s", description: "For a whole request to arrive." }),
  }),
  "Limits on what clients send.",
);

const retention = group(
  z.strictObject({
    maxAge: duration({
      default: "7d",
      example: "2d",
      description: "Older segments are removed once every lane is past them.",
    }),
    maxBytes: bytes({
      default: "10GiB",
      example: "1GiB",
      description: "Above this the oldest segments are removed once every lane is past them.",
    }),
    hardMaxBytes: bytes({
      default: "20GiB",
      example: "5GiB",
      description:
        "Above this the oldest segments are removed even if a lane still needs them. Its events are then expired, and counted.",
    }),
  }),
  "How long the log keeps events, delivered or not. For each environment.",
);

const permissions = group(
  z.strictObject({
    files: mode({
      fallback: "0600",
      example: "0640",
      bits: OWNER_READS_AND_WRITES,
      missing: "with it the owner could not read and write",
      description: "Of files. The owner must be able to read and write.",
    }),
    directories: mode({
      fallback: "0700",
      example: "0750",
      bits: OWNER_HAS_ALL,
      missing: "with it the owner would not have all rights",
      description: "Of directories. The owner must have all rights.",
    }),
  }),
  "Permissions of what is created in the data directory, and by file destinations: octal in quotes, as of chmod. What is there already stays as it is.",
);

const dedupe = group(
  z.strictObject({
    window: duration({
      default: "24h",
      example: "1h",
      description: "How long an id is remembered. It may be half as long.",
    }),
    maxIds: count({
      min: 2,
      max: IDS_MAX,
      description:
        "How many ids of each environment are remembered, in 48 bytes each; also over a restart. It may be half as many.",
    }).default(1_000_000),
  }),
  "Events whose id was stored before are not stored again.",
);

/** A map from names. Names are checked apart (schema-faults.ts). */
function named<Value>(
  value: z.ZodType<Value>,
  description: string,
  isNeeded: boolean,
): z.ZodType<Readonly<Record<string, Value>>> {
  const meta = { description, propertyNames: { pattern: "^[a-z0-9][a-z0-9_-]{0,62}$" } };
  const map = z.record(z.string(), value);
  if (!isNeeded) return map.meta(meta);
  return checked(map, (entries) =>
    Object.keys(entries).length === 0 ? { message: "is empty; it must have at least one" } : undefined,
  ).meta({ ...meta, minProperties: 1 });
}

/** `isFile`: a file's environment has at least one source and one destination. */
function environmentOf(isFile: boolean): z.ZodType<ParsedEnvironment> {
  return z
    .strictObject({
      sources: named(sourceSchema, "Sources by name.", isFile),
      destinations: named(destinationSchema, "Destinations by name.", isFile),
    })
    .meta({
      description:
        "Sources on one side, destinations on the other. A destination gets the events of every source, or of those that it names.",
    });
}

export const configSchema: z.ZodType<ParsedConfig> = z
  .strictObject({
    listen: address("Where events are accepted, host:port. Port 0 takes a free one.", "0.0.0.0:8080", [
      "127.0.0.1:8080",
      "[::]:8080",
    ]),
    dataDirectory: filePath({
      description: "Where the log is stored, relative to the working directory. One relay at a time may use it.",
    }).default("./waybill-data"),
    engine: engineSchema,
    kafka: kafkaSchema,
    tls: tls("the port where events are accepted"),
    trustedProxies: z
      .array(
        checked(z.string(), (value) =>
          isNetwork(value)
            ? undefined
            : {
                message: "it must be an address or a network",
                hint: "for example 10.0.0.0/8, 192.168.1.7 or fd00::/8",
                quotes: true,
              },
        ),
      )
      .min(1)
      .meta({
        description:
          "Addresses and networks of the proxies in front of the relay. From them alone X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host are believed: for limits and keys by address, for hosts of sources and of the admin API, and for the cookie of a session. Default: from nobody.",
        examples: ["10.0.0.0/8"],
      })
      .optional(),
    log: group(
      z.strictObject({
        level: z
          .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
          .default("info")
          .meta({ description: "Least severity that is written." }),
      }),
      "The relay's own log lines: JSON on standard output.",
    ),
    admin,
    limits,
    compat: group(
      z.strictObject({
        strict: flag("Answer exactly as the vendor documents: its size limits, its status codes.", false),
      }),
      "Where the vendors' answers differ from ours.",
    ),
    retention,
    shutdown: group(
      z.strictObject({
        deadline: duration({
          default: "20s",
          example: "10s",
          description: "For requests and attempts in flight to finish.",
        }),
      }),
      "What SIGTERM does.",
    ),
    permissions,
    dedupe,
    network: group(
      z.strictObject({
        allowPrivateAddresses: flag("Whether destinations may be at loopback, private or link-local addresses.", false),
        proxy: proxy(
          "URL of the proxy for destinations that name none, or none. Default: HTTPS_PROXY and HTTP_PROXY. Hosts of NO_PROXY and of this machine are reached directly.",
        ).optional(),
      }),
      "Where the relay may connect to, and how.",
    ),
    exchange: group(
      z.strictObject({
        deadline: duration({
          default: "10s",
          example: "5s",
          description: "How long the caller waits. Then the answer is 503, and the event is sent all the same.",
        }),
      }),
      "Requests whose caller needs the vendor's own answer.",
    ),
    environments: named(
      environmentOf(true),
      "Environments by name, each with a log of its own. Names have lower-case letters, digits, - and _.",
      true,
    ),
  })
  .meta({
    title: "Waybill relay configuration",
    description: "Configuration of the Waybill relay.",
  });

/** One environment, for callers that have no file. */
export const environmentSchema: z.ZodType<ParsedEnvironment> = environmentOf(false);
