/**
 * Mixpanel's inbound paths: `/track`, `/engage` and `/groups` with a token in each item, `/import`
 * with a credential in the head or a token in each event. Source: protocol sections 1 to 5.
 *
 * One request may hold items of several tokens, so of several sources: all of them are stored, or
 * none. An item that is not one is left out, as the vendor does; `/import` in its strict mode names
 * it.
 */
import {
  type Inbound,
  type InboundAnswer,
  type InboundOptions,
  type InboundPart,
  type InboundRequest,
  jsonAnswer,
  plainPath,
  REFUSAL_STATUS,
  type Refusal,
  type Taken,
} from "../inbound/inbound.ts";
import { MIB } from "../inbound/limits.ts";
import { type Item, type ItemKind, ItemReader, itemsOf, storedItems } from "./items.ts";
import type { MixpanelSourceOptions } from "./options.ts";
import { type RequestData, readRequestData } from "./request-data.ts";

type Options = InboundOptions<MixpanelSourceOptions>;

interface Path {
  readonly kind: ItemKind;
  readonly isImport: boolean;
}

const PATHS: ReadonlyMap<string, Path> = new Map<string, Path>([
  ["/track", { kind: "event", isImport: false }],
  ["/import", { kind: "event", isImport: true }],
  ["/engage", { kind: "engage", isImport: false }],
  ["/groups", { kind: "groups", isImport: false }],
]);
const METHODS = ["GET", "POST"];
const KEY_PLACE = "as token in the properties of each event, as $token in a profile update, or with Basic on /import";
/** Section 4. */
const EVENTS_MAX = 2_000;
/** Seconds that a browser keeps the answer to a preflight. */
const PREFLIGHT_MAX_AGE_S = "300";
const ALLOWED_HEADERS = "Authorization, Content-Type, X-Requested-With";
/** A GIF of one transparent pixel. */
const PIXEL: Uint8Array = Uint8Array.from(atob("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"), (letter) =>
  letter.charCodeAt(0),
);
/** The name of a function, and what the browser's SDK writes for none. */
const CALLBACK = /^(?:[\w$.]{1,100}|\(function\(\)\{\}\))$/;
const IPV4_IN_IPV6 = /^::ffff:(?=\d+\.)/i;
const ADDRESS = /^[\da-f.:]{2,45}$/i;
/** Refused items that an answer names. */
const FAILED_RECORDS_MAX = 2_000;
const STATUS_TEXTS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Request Entity Too Large",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  503: "Service Unavailable",
};

export const mixpanelInbound: Inbound<MixpanelSourceOptions> = {
  // The SDKs send 50 events at most, the vendor takes 2,000; one of its largest events has 1.4 MB
  // in base64.
  limits: { bodyMaxBytes: 1.5 * MIB, maxEvents: EVENTS_MAX },
  // A credential in the head counts, and a wrong one is not made good by a token.
  keyInBody: (request) => headKey(request) === undefined,
  keyPlace: KEY_PLACE,
  match(path) {
    const pattern = plainPath(path);
    const found = PATHS.get(pattern);
    if (found === undefined) return undefined;
    return {
      pattern,
      methods: METHODS,
      preflight: (request, options) => ({ status: 204, headers: preflightHeaders(request, options), body: "" }),
      headers: corsHeaders,
      take: (body, request, options) => take(body, found, request, options),
    };
  },
  key: headKey,
  refuse,
};

/** Only an import has its key in the head. */
function headKey(request: InboundRequest): string | undefined {
  return PATHS.get(plainPath(request.path))?.isImport === true ? credentialOf(request) : undefined;
}

/**
 * Section 5. The open paths have a format of their own, and `status` for clients that look at
 * nothing else.
 */
function refuse({ kind, message }: Refusal, { path }: InboundRequest): InboundAnswer {
  const status = REFUSAL_STATUS[kind];
  if (PATHS.get(plainPath(path))?.isImport === true)
    return jsonAnswer(status, { code: status, error: message, status: STATUS_TEXTS[status] });
  const isKey = kind === "unauthorized" || kind === "forbidden";
  return jsonAnswer(status, { error: message, status: isKey ? "error" : 0 });
}

/**
 * What `/import` has in its head: a token or a secret, a service account as `name:secret`, or the
 * key that old clients put into the query.
 */
function credentialOf({ headers, query }: InboundRequest): string | undefined {
  const encoded = /^\s*Basic\s+(\S+)\s*$/i.exec(headers["authorization"] ?? "")?.[1];
  if (encoded === undefined) return new URLSearchParams(query).get("api_key") ?? undefined;
  try {
    const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
    return new TextDecoder().decode(bytes).replace(/:$/, "");
  } catch {
    // It is there, and it is not one of ours.
    return "";
  }
}

function take(body: Uint8Array, path: Path, request: InboundRequest, options: Options): Taken {
  const data = readRequestData(body, request.query);
  if (data.json === undefined) return refusal("invalid", "There is no data, or it is neither JSON nor base64 of JSON.");
  const { maxEvents = EVENTS_MAX } = options;
  const items = itemsOf(data.json, maxEvents);
  if ("message" in items) return refusal(items.kind, items.message);
  const { makeId, now } = options;
  const reader = new ItemReader(data.json, path.kind, { makeId, now, address: addressOf(request, data) });
  const taken: Item[] = [];
  const failed: number[] = [];
  for (const [index, range] of items.ranges.entries()) {
    const item = reader.read(range);
    if (item === undefined) failed.push(index);
    else taken.push(item);
  }
  const answer = answerTo({ path, data, taken: taken.length, failed });
  if (taken.length === 0) return { parts: [], answer };
  const sorted = sortedByKey(taken, path, request, options);
  if ("refusal" in sorted) return sorted;
  const edits = { nonFinite: items.nonFinite, cuts: reader.cuts };
  const metadata = path.kind === "event" ? "mixpanel" : `mixpanel ${path.kind}`;
  const parts = sorted.groups.map(
    (group, index): InboundPart => ({
      events: storedItems(data.json as Uint8Array, group.items, edits),
      metadata,
      ids: group.items.map(({ id }) => id),
      ...(group.key === undefined ? {} : { key: group.key }),
      ...(index > 0 || failed.length === 0 ? {} : { refusedByCode: new Map([["invalid", failed.length]]) }),
    }),
  );
  return { parts, answer };
}

/** Items of one source. Without a key they are of the source that the head of the request names. */
interface Group {
  readonly key: string | undefined;
  readonly items: Item[];
}

/**
 * Section 2: one unknown token and nothing is stored. A credential in the head counts for all
 * events.
 */
function sortedByKey(
  items: readonly Item[],
  { isImport }: Path,
  request: InboundRequest,
  { isKey, keyless, strict }: Options,
): { readonly groups: readonly Group[] } | Extract<Taken, { readonly refusal: unknown }> {
  const unknown = (message: string, isKeyless = false): ReturnType<typeof sortedByKey> =>
    // The vendor takes what has a wrong token, and throws it away.
    strict && !isImport
      ? { groups: [] }
      : { refusal: { kind: "unauthorized", message, ...(isKeyless ? { isKeyless } : {}) } };
  const credential = isImport ? credentialOf(request) : undefined;
  if (credential !== undefined)
    return isKey(credential)
      ? { groups: [{ key: undefined, items: [...items] }] }
      : unknown(`No source has this key. It was looked for ${KEY_PLACE}.`);
  const groups = new Map<string | undefined, Item[]>();
  for (const item of items) {
    const group = groups.get(item.token);
    if (group !== undefined) {
      group.push(item);
      continue;
    }
    if (item.token === undefined && keyless !== true) return unknown(`There is no key: send it ${KEY_PLACE}.`, true);
    if (item.token !== undefined && !isKey(item.token))
      return unknown(`No source has this key. It was looked for ${KEY_PLACE}.`);
    groups.set(item.token, [item]);
  }
  return { groups: Array.from(groups, ([key, own]) => ({ key, items: own })) };
}

interface Answered {
  readonly path: Path;
  readonly data: RequestData;
  /** How many items are stored, and the places of the others. */
  readonly taken: number;
  readonly failed: readonly number[];
}

/**
 * Section 5: a URL-encoded body gets the short answer, whatever it asks for: the SDKs take another
 * one for a failure.
 */
function answerTo({ path, data, taken, failed }: Answered): () => InboundAnswer {
  const strict = data.parameters.get("strict");
  if (!path.isImport || !data.isRaw || strict === "0") return () => openAnswer(taken, data.parameters);
  if (failed.length === 0) return () => jsonAnswer(200, { code: 200, num_records_imported: taken, status: STATUS_OK });
  return () =>
    jsonAnswer(400, {
      code: 400,
      error: "some data points in the request failed validation",
      status: STATUS_TEXTS[400],
      num_records_imported: taken,
      failed_records: failed.slice(0, FAILED_RECORDS_MAX).map((index) => ({
        index,
        $insert_id: "",
        field: "event",
        message: "not an object with an event name and properties",
      })),
    });
}

const STATUS_OK = "OK";

/**
 * Status 200 and exactly `1` when at least one item is stored, else `0`; in the format that the
 * parameters ask for.
 */
function openAnswer(taken: number, parameters: ReadonlyMap<string, string>): InboundAnswer {
  if (parameters.get("img") === "1")
    return { status: 200, headers: { "content-type": "image/gif" }, body: "", bytes: PIXEL };
  const isVerbose = parameters.get("verbose") === "1";
  const status = taken > 0 ? 1 : 0;
  const error = taken > 0 ? null : "The data has no event with a name and properties.";
  const body = isVerbose ? JSON.stringify({ status, error }) : String(status);
  const callback = parameters.get("callback");
  if (callback !== undefined && CALLBACK.test(callback))
    return { status: 200, headers: { "content-type": "text/javascript" }, body: `${callback}(${body});` };
  return { status: 200, headers: { "content-type": isVerbose ? "application/json" : "text/plain" }, body };
}

/**
 * Section 9: where the client wants to be located by its address. What proxies say of it the host
 * has looked at.
 */
function addressOf({ address }: InboundRequest, { parameters }: RequestData): string | undefined {
  if (parameters.get("ip") !== "1") return undefined;
  const plain = address?.trim().replace(IPV4_IN_IPV6, "");
  return plain !== undefined && ADDRESS.test(plain) ? plain : undefined;
}

/** The browser's SDK sends cookies along, so the origin must be named. */
function corsHeaders({ headers }: InboundRequest, { own }: Options): Record<string, string> {
  const { origin } = headers;
  const { allowedOrigins = [] } = own ?? {};
  const [firstAllowed] = allowedOrigins;
  if (origin === undefined) return { "access-control-allow-origin": firstAllowed ?? "*" };
  const allowed = firstAllowed === undefined || allowedOrigins.includes(origin) ? origin : firstAllowed;
  return { "access-control-allow-origin": allowed, "access-control-allow-credentials": "true", vary: "Origin" };
}

function preflightHeaders(request: InboundRequest, options: Options): Record<string, string> {
  return {
    ...corsHeaders(request, options),
    "access-control-allow-methods": [...METHODS, "OPTIONS"].join(", "),
    "access-control-allow-headers": [ALLOWED_HEADERS, ...(options.own?.allowedHeaders ?? [])].join(", "),
    "access-control-max-age": PREFLIGHT_MAX_AGE_S,
  };
}

function refusal(kind: "invalid" | "too_large", message: string): Extract<Taken, { readonly refusal: unknown }> {
  return { refusal: { kind, message } };
}
