/**
 * The destinations that are not a vendor's: `http` posts to any address, `file` appends to a file.
 */
import {
  bytes,
  duration,
  filePath,
  headerNameFault,
  headerValueFault,
  type OptionsSchema,
  url,
  type ValueFault,
} from "@waybill/vendors/config";
import { z } from "zod";
import { nameMap } from "./name-map.ts";

export interface HttpDestinationOptions {
  readonly url: string;
  /** Sent with each request. Default: none. */
  readonly headers: Readonly<Record<string, string>>;
  /** Present: bodies are signed. */
  readonly signingSecret?: string | undefined;
  /** A line for each event, or a JSON array. Default: lines. */
  readonly format: "ndjson" | "json";
}

export interface FileDestinationOptions {
  readonly path: string;
  /** Default: 100 MiB. */
  readonly rotateBytes: number;
  /** In milliseconds. Default: 24 h. */
  readonly rotateAfter: number;
}

/** What frames a request is the transport's own. */
const FRAMING = [
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];
const SECRET_MIN_CHARACTERS = 8;
/** Shorter ones would fill a directory with files. */
const ROTATE_AFTER_MIN_MS = 1_000;

function headerFault(name: string, value: unknown, seen: readonly string[]): ValueFault | undefined {
  if (typeof value !== "string") return { message: "is not a text", hint: "put a number in quotes" };
  const message = headerNameFault(name) ?? headerValueFault(value);
  if (message !== undefined) return { message };
  const lower = name.toLowerCase();
  if (FRAMING.includes(lower)) return { message: "is set by the relay itself", hint: "leave it out" };
  if (seen.some((one) => one.toLowerCase() === lower))
    return { message: "is given twice; header names are the same in any case" };
  return undefined;
}

const http: OptionsSchema<HttpDestinationOptions> = z.strictObject({
  url: url({
    mayHaveQuery: true,
    isWhole: true,
    example: "https://example.com/events",
    description: "The address that events are posted to.",
  }),
  headers: nameMap<string>({
    description: "Headers that are sent with each request.",
    faultOf: headerFault,
    is: (value) => typeof value === "string",
    json: { type: "string", writeOnly: true },
  }),
  signingSecret: z
    .string()
    .min(SECRET_MIN_CHARACTERS)
    .meta({
      description:
        "Signs each body: the header waybill-signature is `t=<epoch seconds>,v1=<HMAC-SHA256 of t.body in hex>`.",
      writeOnly: true,
    })
    .optional(),
  format: z.enum(["ndjson", "json"]).default("ndjson").meta({ description: "A line for each event, or a JSON array." }),
});

const file: OptionsSchema<FileDestinationOptions> = z.strictObject({
  path: filePath({
    description:
      "The file that events are appended to, a line each, such as /var/log/events.ndjson. A full file is renamed with the time at which it began.",
  }),
  rotateBytes: bytes({ default: "100MiB", example: "10MiB", description: "A file of this size is full." }),
  rotateAfter: duration({
    min: ROTATE_AFTER_MIN_MS,
    default: "24h",
    example: "1h",
    description: "A file of this age is full.",
  }),
});

export const OWN_DESTINATIONS: {
  readonly http: OptionsSchema<HttpDestinationOptions>;
  readonly file: OptionsSchema<FileDestinationOptions>;
} = { http, file };
