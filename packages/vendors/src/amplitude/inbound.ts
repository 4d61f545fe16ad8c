/**
 * Amplitude's endpoints: `/2/httpapi` and `/batch`, one JSON body of events, and the form-encoded
 * `/identify` and `/groupidentify`. The key is in the body and names the source. Sections 1 to 6 of
 * the protocol.
 *
 * As at the vendor a request with a bad event is refused as a whole, with the places of all bad
 * events by field: its clients take them out and send the others again. Refusals of any kind are
 * 400 with a `code` in the body, or their clients would send them again for two minutes.
 */
import { JsonScanner, textEquals } from "@waybill/core";
import {
  elements,
  endFault,
  FieldReader,
  type Framed,
  frame,
  type Range,
  storedEvents,
  walkMembers,
} from "../inbound/frame.ts";
import {
  type Inbound,
  type InboundAnswer,
  type InboundOptions,
  type InboundRequest,
  jsonAnswer,
  plainPath,
  REFUSAL_STATUS,
  type Refusal,
  type Taken,
} from "../inbound/inbound.ts";
import { MIB } from "../inbound/limits.ts";
import { skewOf } from "../segment/metadata.ts";
import { EventFaults } from "./faults.ts";
import { type AmplitudeKind, encodeAmplitude } from "./metadata.ts";
import { EventReader, eventsAsRead } from "./stored-event.ts";

const PATHS: ReadonlyMap<string, AmplitudeKind> = new Map<string, AmplitudeKind>([
  ["/2/httpapi", "events"],
  ["/batch", "events"],
  ["/identify", "identify"],
  ["/groupidentify", "groupidentify"],
]);
const REALTIME_PATH = "/2/httpapi";
/** Section 4, where the vendor's exact answers are wanted. */
const REALTIME_MAX_BYTES = 1_048_576;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
/** No key is longer, however it is escaped. */
const KEY_MAX_BYTES = 4_096;
/** What the vendor documents is one number. */
const OPTIONS_MAX_BYTES = 1_024;
const TIME_MAX_BYTES = 64;
const MIN_ID_LENGTH = 5;
const IDENTIFY_ITEMS_MAX = 1_024;
/** What a browser lists before it sends. */
const HEADER_NAMES = /^[\w-]+(?:, ?[\w-]+){0,50}$/;
const IPV4_IN_IPV6 = /^::ffff:(?=\d+\.)/i;
/** Of either version, as far as its characters tell. */
const ADDRESS = /^[\da-f:.]{2,45}$/i;
const KEY_PLACE = "as api_key in the body";
const INVALID_EVENTS = "Invalid field values on some events";
const MISSING = "Request missing required field";
const decoder = new TextDecoder();
const encoder = new TextEncoder();

export const amplitudeInbound: Inbound = {
  // What its SDKs send by default is 200 events; what they get a 413 for they send in halves.
  limits: { bodyMaxBytes: 1.5 * MIB, maxEvents: 2_000 },
  keyInBody: () => true,
  keyPlace: KEY_PLACE,
  match(path) {
    const plain = plainPath(path);
    const kind = PATHS.get(plain);
    if (kind === undefined) return undefined;
    const methods = kind === "events" ? ["POST"] : ["POST", "GET"];
    const cors = (request: InboundRequest): Readonly<Record<string, string>> => corsHeaders(request, methods);
    return {
      pattern: plain,
      methods,
      preflight: (request) => ({ status: 204, headers: cors(request), body: "" }),
      headers: cors,
      take(body, request, options) {
        if (kind !== "events") return takeIdentify(body, request, kind, options);
        if (options.strict && plain === REALTIME_PATH && body.length > REALTIME_MAX_BYTES)
          return { refusal: { kind: "too_large", message: `${body.length} bytes; at most ${REALTIME_MAX_BYTES}` } };
        return takeEvents(body, request, options);
      },
    };
  },
  key: () => undefined,
  refuse(refusal): InboundAnswer {
    // Never a 401: the clients know a wrong key by a 400 that begins with this text, and give up.
    const status = refusal.kind === "unauthorized" ? 400 : REFUSAL_STATUS[refusal.kind];
    const more = "faults" in refusal ? (refusal as EventRefusal).faults.members() : { detail: refusal.message };
    return jsonAnswer(status, { code: status, ...refusalBody(refusal), ...more });
  },
};

/** With the places of bad events by field, for those that answer to them. */
type EventRefusal = Refusal & { readonly kind: "invalid"; readonly faults: EventFaults };

function refusalBody(refusal: Refusal): Readonly<Record<string, unknown>> {
  switch (refusal.kind) {
    case "unauthorized":
      return refusal.isKeyless === true
        ? { error: MISSING, missing_field: "api_key" }
        : { error: "Invalid API key: (withheld)" };
    case "empty":
      return { error: "Missing request body" };
    case "too_large":
      return { error: "Payload too large" };
    case "forbidden":
      return { error: "Forbidden" };
    case "not_found":
      return { error: "Invalid request path" };
    case "rate_limited":
      return { error: "Too many requests" };
    default:
      return { error: refusal.message };
  }
}

/**
 * The key is in the body and public in pages, so a page of any origin may send; its SDK adds
 * headers that it is given.
 */
function corsHeaders({ headers }: InboundRequest, methods: readonly string[]): Readonly<Record<string, string>> {
  const asked = headers["access-control-request-headers"] ?? "";
  return {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": [...methods, "OPTIONS"].join(","),
    "access-control-allow-headers": HEADER_NAMES.test(asked) ? asked : "Content-Type,Content-Encoding",
    "access-control-max-age": "300",
  };
}

/** The members of a body, in its bytes. */
interface Body {
  readonly framed: Framed;
  readonly isListed: boolean;
  readonly apiKey: Range | undefined;
  readonly options: Range | undefined;
  readonly uploadTime: Range | undefined;
}

function takeEvents(body: Uint8Array, request: InboundRequest, options: InboundOptions): Taken {
  if (body.length === 0) return { refusal: { kind: "empty", message: "The body is empty." } };
  const read = readBody(body, options.maxEvents ?? Number.POSITIVE_INFINITY);
  if ("refusal" in read) return read;
  const { framed, isListed, apiKey } = read;
  const fields = new FieldReader(body);
  const key = fields.text(apiKey, KEY_MAX_BYTES);
  const isKeyless = apiKey === undefined;
  const refused = keyRefusal(key, isKeyless, options);
  if (refused !== undefined) return { refusal: refused };
  if (!isListed || framed.events.length === 0) return { answer: missingField("events") };
  const shared = sharedOf(body, fields, read);
  if ("refusal" in shared) return shared;
  const faults = new EventFaults();
  const { minIdLength } = shared;
  const { makeId, now } = options;
  const reader = new EventReader(body, fields, { minIdLength, makeId, faults, address: addressOf(request) });
  const events = framed.events.map((range, index) => reader.read(range, index));
  if (faults.found) {
    const refusal: EventRefusal = { kind: "invalid", code: "invalid_event", message: INVALID_EVENTS, faults };
    return { refusal };
  }
  const nowMs = now();
  const skewMs = skewOf(fields.text(read.uploadTime, TIME_MAX_BYTES), nowMs);
  return {
    parts: [
      {
        events: eventsAsRead(framed, events),
        metadata: encodeAmplitude({ kind: "events", options: shared.options, skewMs }),
        ids: events.map(({ id }) => id),
        ...(key === undefined ? {} : { key }),
      },
    ],
    answer: () => taken(framed.events.length, body.length, nowMs),
  };
}

/** The sender's. What proxies say of it the host has looked at. */
function addressOf({ address }: InboundRequest): string | undefined {
  const plain = address?.trim().replace(IPV4_IN_IPV6, "");
  return plain !== undefined && ADDRESS.test(plain) ? plain : undefined;
}

function readBody(bytes: Uint8Array, maxEvents: number): Body | Extract<Taken, { readonly refusal: Refusal }> {
  const scanner = new JsonScanner(bytes, { allowNonFinite: true });
  const start = scanner.space(0);
  const events: Range[] = [];
  let isListed = false;
  let apiKey: Range | undefined;
  let options: Range | undefined;
  let uploadTime: Range | undefined;
  if (bytes[start] !== OPEN_BRACE) {
    const fault = endFault(scanner, bytes, scanner.value(start));
    return invalid(fault?.message ?? "The body is JSON, but not an object.");
  }
  const end = walkMembers(scanner, bytes, start, (keyStart, keyEnd, at) => {
    if (textEquals(bytes, keyStart, keyEnd, "events")) {
      // Of a member that is there twice the last one counts, as in every parser.
      events.length = 0;
      isListed = bytes[at] === OPEN_BRACKET;
      if (isListed) return elements(scanner, bytes, at, { events, maxEvents });
    }
    const range = { start: at, end: scanner.value(at) };
    if (textEquals(bytes, keyStart, keyEnd, "api_key")) apiKey = range;
    else if (textEquals(bytes, keyStart, keyEnd, "options")) options = range;
    else if (textEquals(bytes, keyStart, keyEnd, "client_upload_time")) uploadTime = range;
    return range.end;
  });
  if (end < -1) return { refusal: { kind: "too_large", message: `more than ${maxEvents} events; none was stored` } };
  const fault = endFault(scanner, bytes, end);
  if (fault !== undefined) return invalid(fault.message);
  return { framed: { bytes, events, nonFinite: scanner.nonFinite, cuts: [] }, isListed, apiKey, options, uploadTime };
}

/** What holds for all events of the request: the shortest id, and its options as they were. */
function sharedOf(
  bytes: Uint8Array,
  fields: FieldReader,
  { options, framed }: Body,
):
  | { readonly minIdLength: number; readonly options: string | undefined }
  | Extract<Taken, { readonly refusal: Refusal }> {
  if (options === undefined || !fields.isObject(options) || fields.size(options) === 0)
    return { minIdLength: MIN_ID_LENGTH, options: undefined };
  const { start, end } = options;
  const nonFinite = framed.nonFinite;
  if (end - start > OPTIONS_MAX_BYTES) return invalid(`options has more than ${OPTIONS_MAX_BYTES} bytes`);
  for (let index = 0; index < nonFinite.length; index += 2) {
    const at = nonFinite[index] as number;
    if (at >= start && at < end) return invalid("options has a value that JSON has not");
  }
  const text = decoder.decode(bytes.subarray(start, end));
  const { min_id_length: minIdLength } = JSON.parse(text) as { readonly min_id_length?: unknown };
  return {
    minIdLength: typeof minIdLength === "number" && minIdLength >= 0 ? minIdLength : MIN_ID_LENGTH,
    options: text,
  };
}

/**
 * Encoded fields in the body, or in the query of a GET: `identification` is an object or a list of
 * them.
 */
function takeIdentify(
  body: Uint8Array,
  { method, query }: InboundRequest,
  kind: AmplitudeKind,
  options: InboundOptions,
): Taken {
  const encoded = new URLSearchParams(method === "GET" ? query : decoder.decode(body));
  const key = encoded.get("api_key") ?? undefined;
  const refused = keyRefusal(key, key === undefined, options);
  if (refused !== undefined) return { refusal: refused };
  const identification = encoded.get("identification");
  if (identification === null) return { answer: missingField("identification") };
  const bytes = encoder.encode(identification);
  const isList = identification.trimStart().startsWith("[");
  const maxEvents = IDENTIFY_ITEMS_MAX;
  const framed = frame(bytes, { kind: isList ? "array" : "object" }, { allowNonFinite: true, maxEvents });
  if ("code" in framed)
    return { refusal: { kind: framed.code === "too_many" ? "too_large" : "invalid", message: framed.message } };
  const fields = new FieldReader(bytes);
  const groups = kind === "identify" ? [["user_id", "device_id"]] : [["group_type"], ["group_value"]];
  for (const range of framed.events)
    for (const names of groups)
      if (!fields.read(range, names).some((value) => fields.isText(value)))
        return { answer: missingField(names[0] as string) };
  const nowMs = options.now();
  return {
    parts: [
      {
        events: storedEvents(framed, framed.events),
        metadata: encodeAmplitude({ kind }),
        ids: [],
        ...(key === undefined ? {} : { key }),
      },
    ],
    answer: () => taken(framed.events.length, body.length, nowMs),
  };
}

function keyRefusal(
  key: string | undefined,
  isKeyless: boolean,
  { keyless, isKey }: InboundOptions,
): Refusal | undefined {
  if (isKeyless)
    return keyless === true
      ? undefined
      : { kind: "unauthorized", isKeyless, message: `There is no key: send it ${KEY_PLACE}.` };
  return key !== undefined && isKey(key)
    ? undefined
    : { kind: "unauthorized", message: `No source has this key. It was looked for ${KEY_PLACE}.` };
}

/** Duplicates count as taken: whether the vendor's own number has them is not documented. */
function taken(events: number, bytes: number, nowMs: number): InboundAnswer {
  return jsonAnswer(200, {
    code: 200,
    events_ingested: events,
    payload_size_bytes: bytes,
    server_upload_time: nowMs,
  });
}

function missingField(field: string): InboundAnswer {
  return jsonAnswer(400, { code: 400, error: MISSING, missing_field: field });
}

function invalid(message: string): Extract<Taken, { readonly refusal: Refusal }> {
  return { refusal: { kind: "invalid", message } };
}
