/**
 * LaunchDarkly's inbound adapter: analytics and diagnostics of server, mobile and JavaScript SDKs,
 * and the pixel. Source: protocol sections 1, 2, 7 and 8.
 *
 * The relay's status table is in its order: key (401, unknown environment id 404), preflight, empty
 * body 400, taken 202. In strict mode a malformed body is 202 and dropped, as the original does;
 * else it is refused with 400.
 */

import { frame, storedAlone, storedEvents } from "../inbound/frame.ts";
import {
  type Inbound,
  type InboundAnswer,
  type InboundOptions,
  type InboundRequest,
  type InboundRoute,
  jsonAnswer,
  REFUSAL_STATUS,
  type Refusal,
  type Taken,
} from "../inbound/inbound.ts";
import { MIB } from "../inbound/limits.ts";
import type { LaunchDarklySourceOptions } from "./options.ts";

export type SdkKind = "server" | "mobile" | "js";

interface Path {
  readonly pattern: string;
  readonly sdk: SdkKind;
  readonly what: "analytics" | "diagnostic" | "pixel";
  /** The environment id of a path that has one. */
  readonly key?: string;
}

const FIXED: ReadonlyMap<string, Path> = new Map(
  [
    { pattern: "/bulk", sdk: "server", what: "analytics" },
    { pattern: "/diagnostic", sdk: "server", what: "diagnostic" },
    { pattern: "/mobile", sdk: "mobile", what: "analytics" },
    { pattern: "/mobile/events", sdk: "mobile", what: "analytics" },
    { pattern: "/mobile/events/bulk", sdk: "mobile", what: "analytics" },
    { pattern: "/mobile/events/diagnostic", sdk: "mobile", what: "diagnostic" },
  ].map((path) => [path.pattern, path as Path]),
);
const ALLOWED_HEADERS =
  "Cache-Control,Content-Type,Content-Length,Accept-Encoding,X-LaunchDarkly-User-Agent,X-LaunchDarkly-Payload-ID,X-LaunchDarkly-Wrapper,X-LaunchDarkly-Event-Schema,X-LaunchDarkly-Tags";
/** 1 x 1, transparent. */
const PIXEL = Uint8Array.from(atob("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"), (letter) =>
  letter.charCodeAt(0),
);
const SCHEMA_SUMMARISED_BELOW = 3;
/**
 * Never copied from a diagnostic request: what belongs to the connection, what we undid, and the
 * key, which is for the way in alone.
 */
export const NOT_COPIED: readonly string[] = [
  "accept-encoding",
  "authorization",
  "connection",
  "content-encoding",
  "content-length",
  "cookie",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];
/** SDKs send a UUID. A digest takes the place of a longer one: each event's id begins with it. */
const PAYLOAD_ID_MAX_CHARACTERS = 128;
/** No SDK is near it; a number that is not a schema counts as the first. */
const SCHEMA_MAX = 1_000;
const EMPTY: InboundAnswer = { status: 202, body: "" };

export const launchdarklyInbound: Inbound<LaunchDarklySourceOptions> = {
  // Its SDK sends 10,000 events in 1.14 MB.
  limits: { bodyMaxBytes: 1.5 * MIB, maxEvents: 20_000 },
  keyPlace: "in the header Authorization",
  match(path) {
    const found = pathOf(path);
    return found === undefined ? undefined : routeOf(found);
  },
  /** Bare, or after `api_key`; one with a space is none. */
  key({ headers }) {
    const key = (headers["authorization"] ?? "").replace(/^api_key /, "").trim();
    return key === "" || key.includes(" ") ? undefined : key;
  },
  refuse(refusal, { path }): InboundAnswer {
    if (refusal.kind === "unauthorized") {
      if (pathOf(path)?.sdk === "js") return { status: 404, body: "URL did not contain an environment ID" };
      return {
        status: 401,
        body:
          refusal.isKeyless === true
            ? ""
            : "Relay Proxy does not recognize the client credential (missing or invalid Authorization header)",
      };
    }
    return jsonAnswer(REFUSAL_STATUS[refusal.kind], { message: messageOf(refusal) });
  },
};

function pathOf(path: string): Path | undefined {
  const fixed = FIXED.get(path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path);
  if (fixed !== undefined) return fixed;
  const [, kind, id] = /^\/events\/(bulk|diagnostic)\/([^/]+)$/.exec(path) ?? [];
  const what = kind === "bulk" ? "analytics" : "diagnostic";
  if (id !== undefined) return { pattern: `/events/${kind}/*`, sdk: "js", what, key: decoded(id) };
  const pixel = /^\/a\/([^/]+)\.gif$/.exec(path)?.[1];
  return pixel === undefined ? undefined : { pattern: "/a/*.gif", sdk: "js", what: "pixel", key: decoded(pixel) };
}

type Options = InboundOptions<LaunchDarklySourceOptions>;

function routeOf({ pattern, sdk, what, key }: Path): InboundRoute<LaunchDarklySourceOptions> {
  const methods = what === "pixel" ? ["GET"] : ["POST"];
  return {
    pattern,
    methods,
    ...(key === undefined ? {} : { key }),
    ...(sdk === "server" ? {} : { keyKind: sdk }),
    ...(sdk === "js"
      ? {
          preflight: (request: InboundRequest, options: Options): InboundAnswer => ({
            status: 200,
            headers: corsHeaders(request, options, methods),
            body: "",
          }),
          headers: (request: InboundRequest, options: Options) => corsHeaders(request, options, methods),
        }
      : {}),
    take(body, request, options) {
      if (options.own?.sendEvents === false)
        return { answer: jsonAnswer(503, { message: "Event proxy is not enabled for this environment" }) };
      if (what === "pixel") return pixel(request, options);
      if (body.length === 0) return { refusal: { kind: "empty", message: "body may not be empty" } };
      return what === "diagnostic" ? diagnostic(body, request, sdk, options) : analytics(body, request, sdk, options);
    },
  };
}

function analytics(
  body: Uint8Array,
  { headers }: InboundRequest,
  sdk: SdkKind,
  { strict, maxEvents, makeId, scanArray }: InboundOptions,
): Taken {
  const framed = frame(body, { kind: "array" }, { allowNonFinite: false, maxEvents, scanArray });
  if ("code" in framed && framed.code === "too_many")
    return { refusal: { kind: "too_large", message: framed.message } };
  if ("code" in framed) return strict ? { answer: EMPTY } : { refusal: { kind: "invalid", message: framed.message } };
  const schema = schemaOf(headers["x-launchdarkly-event-schema"]);
  const payloadId = headers["x-launchdarkly-payload-id"];
  const isLong = payloadId !== undefined && payloadId.length > PAYLOAD_ID_MAX_CHARACTERS;
  return {
    parts: [
      {
        events: storedEvents(framed, framed.events),
        metadata: launchdarklyMetadata({ sdk, schema, tags: headers["x-launchdarkly-tags"] ?? "" }),
        ids: [],
        idPrefix: isLong ? makeId(payloadId) : payloadId,
      },
    ],
    answer: () => EMPTY,
  };
}

/**
 * A decimal number and nothing else, as the original reads it; missing, anything else and 0 count
 * as the first schema.
 */
export function schemaOf(header: string | undefined): number {
  if (header === undefined || !/^\+?\d+$/.test(header)) return 1;
  const version = Number(header);
  return version > 0 && version <= SCHEMA_MAX ? version : 1;
}

/** One JSON value, kept with the headers that go along. */
function diagnostic(body: Uint8Array, { headers }: InboundRequest, sdk: SdkKind, { strict }: InboundOptions): Taken {
  const framed = frame(body, { kind: "object" }, { allowNonFinite: false });
  if ("code" in framed && framed.code === "invalid_json")
    return strict ? { answer: EMPTY } : { refusal: { kind: "invalid", message: framed.message } };
  const copied = Object.fromEntries(
    Object.entries(headers).filter(([name, value]) => typeof value === "string" && !NOT_COPIED.includes(name)),
  );
  return {
    parts: [
      {
        events: storedAlone(body),
        metadata: `launchdarkly diagnostic ${sdk} ${JSON.stringify(copied)}`,
        ids: [],
      },
    ],
    answer: () => EMPTY,
  };
}

/** What cannot be read of a beacon is left out: the page that sent it is gone. */
function pixel({ query }: InboundRequest, { maxEvents }: InboundOptions): Taken {
  const answer: InboundAnswer = { status: 200, headers: { "content-type": "image/gif" }, body: "", bytes: PIXEL };
  const data = /(?:^|&)d=([^&]*)/.exec(query)?.[1];
  const body = data === undefined ? undefined : base64(decoded(data));
  const framed = body === undefined ? undefined : frame(body, { kind: "array" }, { allowNonFinite: false, maxEvents });
  if (framed === undefined || "code" in framed || framed.events.length === 0) return { answer };
  const metadata = launchdarklyMetadata({ sdk: "js", schema: SCHEMA_SUMMARISED_BELOW, tags: "" });
  return { parts: [{ events: storedEvents(framed, framed.events), metadata, ids: [] }], answer: () => answer };
}

/** Both alphabets, with or without padding; a space stands for the plus that it was. */
function base64(text: string): Uint8Array | undefined {
  try {
    const plain = text.replaceAll("-", "+").replaceAll("_", "/").replaceAll(" ", "+").replace(/=+$/, "");
    return Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function corsHeaders(
  { headers }: InboundRequest,
  { own }: Options,
  methods: readonly string[],
): Record<string, string> {
  const { allowedOrigins = [], allowedHeaders = [] }: Partial<LaunchDarklySourceOptions> = own ?? {};
  const origin = headers["origin"];
  const [firstAllowed] = allowedOrigins;
  const allowed =
    firstAllowed === undefined
      ? (origin ?? "*")
      : origin !== undefined && allowedOrigins.includes(origin)
        ? origin
        : firstAllowed;
  return {
    "access-control-allow-origin": allowed,
    "access-control-allow-credentials": "false",
    "access-control-max-age": "300",
    "access-control-allow-headers": [ALLOWED_HEADERS, ...allowedHeaders].join(","),
    "access-control-expose-headers": "Date",
    "access-control-allow-methods": [...methods, "OPTIONS"].join(","),
  };
}

function messageOf(refusal: Refusal): string {
  if (refusal.kind === "too_large") return "request body too large";
  return refusal.message;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What is in the metadata of stored analytics events: `launchdarkly server 4 tags…`. */
export interface LaunchDarklyMetadata {
  readonly sdk: SdkKind;
  readonly schema: number;
  readonly tags: string;
}

export function launchdarklyMetadata({ sdk, schema, tags }: LaunchDarklyMetadata): string {
  return `launchdarkly ${sdk} ${schema} ${tags}`;
}

/** `undefined` for a diagnostic. */
export function parseLaunchdarklyMetadata(metadata: string): LaunchDarklyMetadata | undefined {
  const [, sdk, schema, tags = ""] = /^launchdarkly (server|mobile|js) (\d+) (.*)$/s.exec(metadata) ?? [];
  return sdk === undefined ? undefined : { sdk: sdk as SdkKind, schema: Number(schema), tags };
}

/** The kind of SDK and the headers of a diagnostic. */
export function parseDiagnosticMetadata(
  metadata: string,
): { readonly sdk: SdkKind; readonly headers: Readonly<Record<string, string>> } | undefined {
  const [, sdk, headers] = /^launchdarkly diagnostic (server|mobile|js) (.*)$/s.exec(metadata) ?? [];
  return sdk === undefined
    ? undefined
    : { sdk: sdk as SdkKind, headers: JSON.parse(headers as string) as Record<string, string> };
}
