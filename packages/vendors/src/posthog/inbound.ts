/**
 * PostHog's inbound adapter: the batch and single events. The key is in the body: it names the
 * source, unless a prefix or host already has.
 *
 * The body is read once. The key is for the way in alone: it is not stored, wherever clients put it
 * (beside the batch, in an event, in its properties).
 */
import { JsonScanner, textEquals } from "@waybill/core";
import { elements, endFault, FieldReader, type Range, storedEvents, walkMembers } from "../inbound/frame.ts";
import {
  ID_MAX_BYTES,
  type Inbound,
  type InboundAnswer,
  type InboundOptions,
  type InboundRequest,
  jsonAnswer,
  plainPath,
  REFUSAL_STATUS,
  type Taken,
} from "../inbound/inbound.ts";
import { MIB } from "../inbound/limits.ts";

const PATHS: ReadonlyMap<string, "batch" | "single"> = new Map([
  ["/batch", "batch"],
  ["/capture", "single"],
  ["/e", "single"],
  ["/i/v0/e", "single"],
]);
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
/** No key is longer, however it is escaped. */
const KEY_MAX_BYTES = 4_096;
/** Different texts looked up as keys in one request; any further one is taken for a key. */
const TEXTS_MAX = 16;
const BACKSLASH = 0x5c;
const LETTER_A = 0x61;
const LETTER_E = 0x65;
const LETTER_P = 0x70;
const LETTER_T = 0x74;
const LETTER_U = 0x75;

const KEY_PLACE = "as api_key in the body";
/** Seconds that a browser keeps the answer to a preflight. */
const PREFLIGHT_MAX_AGE_S = "300";

export const posthogInbound: Inbound = {
  // Its SDK sends batches of 1 MB.
  limits: { bodyMaxBytes: 1.5 * MIB, maxEvents: 5_000 },
  keyInBody: () => true,
  keyPlace: KEY_PLACE,
  match(path) {
    const pattern = plainPath(path);
    const kind = PATHS.get(pattern);
    if (kind === undefined) return undefined;
    return {
      pattern,
      methods: ["POST"],
      preflight: (request) => ({ status: 204, headers: corsHeaders(request), body: "" }),
      headers: corsHeaders,
      take: (body, _request, options) => take(body, kind, options),
    };
  },
  key: () => undefined,
  refuse: (refusal): InboundAnswer =>
    jsonAnswer(REFUSAL_STATUS[refusal.kind], {
      type: refusal.kind === "unauthorized" ? "authentication_error" : "validation_error",
      code: refusal.kind,
      detail: refusal.message,
    }),
};

function take(body: Uint8Array, kind: "batch" | "single", options: InboundOptions): Taken {
  const framed = frameOf(body, kind, options);
  if ("refusal" in framed) return framed;
  const { events, keyRange, hasEvents } = framed;
  const fields = new FieldReader(body);
  const range = keyRange ?? tokenOf(fields, events[0]);
  if (range === undefined && options.keyless !== true)
    return { refusal: { kind: "unauthorized", isKeyless: true, message: `There is no key: send it ${KEY_PLACE}.` } };
  const key = fields.text(range, KEY_MAX_BYTES);
  if (range !== undefined && (key === undefined || !options.isKey(key)))
    return { refusal: { kind: "unauthorized", message: `No source has this key. It was looked for ${KEY_PLACE}.` } };
  // After the key: other vendors have the path too, with events elsewhere in the body.
  return hasEvents ? stored(body, events, { ...options, key }) : invalid("batch is not an array");
}

interface PosthogFrame {
  readonly events: readonly Range[];
  /** Whether the body has a place for events. */
  readonly hasEvents: boolean;
  /** The key beside the events. */
  readonly keyRange: Range | undefined;
}

/** The events of a body, and the key beside them. */
function frameOf(
  body: Uint8Array,
  kind: "batch" | "single",
  { maxEvents = Number.POSITIVE_INFINITY }: InboundOptions,
): PosthogFrame | Extract<Taken, { refusal: unknown }> {
  const scanner = new JsonScanner(body, { allowNonFinite: false });
  const start = scanner.space(0);
  const events: Range[] = [];
  let hasBatch = false;
  let apiKey: Range | undefined;
  let token: Range | undefined;
  let end: number;
  // A page sends several events as an array, where others send one.
  const isArray = kind === "single" && body[start] === OPEN_BRACKET;
  if (isArray) end = elements(scanner, body, start, { events, maxEvents });
  else if (body[start] !== OPEN_BRACE) {
    const fault = endFault(scanner, body, scanner.value(start));
    return invalid(fault?.message ?? "The body is JSON, but not an object.");
  } else
    end = walkMembers(scanner, body, start, (keyStart, keyEnd, at) => {
      if (kind === "batch" && body[at] === OPEN_BRACKET && textEquals(body, keyStart, keyEnd, "batch")) {
        // A repeated member: the last one counts, as in every parser.
        events.length = 0;
        hasBatch = true;
        return elements(scanner, body, at, { events, maxEvents });
      }
      const valueEnd = scanner.value(at);
      if (textEquals(body, keyStart, keyEnd, "api_key")) apiKey = { start: at, end: valueEnd };
      else if (textEquals(body, keyStart, keyEnd, "token")) token = { start: at, end: valueEnd };
      return valueEnd;
    });
  if (end < -1) return { refusal: { kind: "too_large", message: `more than ${maxEvents} events; none was stored` } };
  const fault = endFault(scanner, body, end);
  if (fault !== undefined) return invalid(fault.message);
  if (kind === "single" && !isArray) events.push({ start, end });
  return { events, hasEvents: kind === "single" || hasBatch, keyRange: apiKey ?? token };
}

/** Where a page puts the key: `properties.token` of its events. */
function tokenOf(fields: FieldReader, event: Range | undefined): Range | undefined {
  if (event === undefined || !fields.isObject(event)) return undefined;
  const [properties] = fields.read(event, ["properties"]);
  if (properties === undefined || !fields.isObject(properties)) return undefined;
  const [token] = fields.read(properties, ["token"]);
  return token !== undefined && fields.isText(token) ? token : undefined;
}

function stored(
  body: Uint8Array,
  events: readonly Range[],
  { key, isKey }: Pick<InboundOptions, "isKey"> & { readonly key: string | undefined },
): Taken {
  const reader = new EventReader(body, { key, isKey });
  const ids: string[] = [];
  for (const range of events) {
    const id = reader.read(range);
    if (id === undefined) return invalid("An event of it is not an object with an event name.");
    ids.push(id);
  }
  const { cuts } = reader;
  return {
    parts: [
      {
        events: storedEvents({ bytes: body, events, nonFinite: [], cuts }, events),
        metadata: "posthog",
        ids,
        ...(key === undefined ? {} : { key }),
      },
    ],
    answer: () => jsonAnswer(200, { status: 1 }),
  };
}

/**
 * Reads events, and finds the keys in them: members of theirs that are only for keys, and texts in
 * their properties that are a key of the source.
 */
class EventReader {
  readonly cuts: number[] = [];
  readonly #body: Uint8Array;
  readonly #scanner: JsonScanner;
  readonly #fields: FieldReader;
  readonly #keys: KnownTexts;
  // Of the event at hand:
  #event: Range | undefined;
  #uuid: Range | undefined;

  constructor(body: Uint8Array, keys: KeysOfRequest) {
    this.#body = body;
    this.#scanner = new JsonScanner(body, { allowNonFinite: false });
    this.#fields = new FieldReader(body);
    this.#keys = new KnownTexts(body, this.#fields, keys);
  }

  /** The event's id, "" for none; `undefined` when it is not an event. */
  read(range: Range): string | undefined {
    if (!this.#fields.isObject(range)) return undefined;
    this.#event = undefined;
    this.#uuid = undefined;
    walkMembers(this.#scanner, this.#body, range.start, this.#member, { cuts: this.cuts, isCut: this.#isKeyMember });
    return this.#fields.isText(this.#event) ? (this.#fields.text(this.#uuid, ID_MAX_BYTES) ?? "") : undefined;
  }

  readonly #member = (keyStart: number, keyEnd: number, at: number): number => {
    const body = this.#body;
    const first = body[keyStart];
    if ((first === LETTER_P || first === BACKSLASH) && body[at] === OPEN_BRACE)
      if (textEquals(body, keyStart, keyEnd, "properties")) return this.#properties(at);
    const end = this.#scanner.value(at);
    if (first !== LETTER_E && first !== LETTER_U && first !== BACKSLASH) return end;
    if (textEquals(body, keyStart, keyEnd, "event")) this.#event = { start: at, end };
    else if (textEquals(body, keyStart, keyEnd, "uuid")) this.#uuid = { start: at, end };
    return end;
  };

  #properties(at: number): number {
    return walkMembers(this.#scanner, this.#body, at, (_start, _end, valueAt) => this.#scanner.value(valueAt), {
      cuts: this.cuts,
      isCut: (keyStart, keyEnd, value) => this.#isKeyMember(keyStart, keyEnd) && this.#keys.has(value),
    });
  }

  readonly #isKeyMember = (start: number, end: number): boolean => {
    const first = this.#body[start];
    if (first !== LETTER_A && first !== LETTER_T && first !== BACKSLASH) return false;
    return textEquals(this.#body, start, end, "api_key") || textEquals(this.#body, start, end, "token");
  };
}

interface KeysOfRequest {
  readonly key: string | undefined;
  readonly isKey: (key: string) => boolean;
}

/**
 * Remembers which texts are keys by their bytes: a body may have a hundred thousand, and a look-up
 * takes as long as a small event.
 */
class KnownTexts {
  readonly #body: Uint8Array;
  readonly #fields: FieldReader;
  readonly #keys: KeysOfRequest;
  readonly #known: { readonly range: Range; readonly isKey: boolean }[] = [];

  constructor(body: Uint8Array, fields: FieldReader, keys: KeysOfRequest) {
    this.#body = body;
    this.#fields = fields;
    this.#keys = keys;
  }

  /** What is looked up in vain too often is taken for a key. */
  has(range: Range): boolean {
    for (const known of this.#known) if (this.#isSame(known.range, range)) return known.isKey;
    if (this.#known.length >= TEXTS_MAX) return true;
    const text = this.#fields.text(range, KEY_MAX_BYTES);
    const isKey = text !== undefined && (text === this.#keys.key || this.#keys.isKey(text));
    this.#known.push({ range, isKey });
    return isKey;
  }

  #isSame(a: Range, b: Range): boolean {
    const length = a.end - a.start;
    if (b.end - b.start !== length || length > KEY_MAX_BYTES) return false;
    for (let at = 0; at < length; at++) if (this.#body[a.start + at] !== this.#body[b.start + at]) return false;
    return true;
  }
}

/** A page at any origin may send: the key is public, and no cookie is looked at. */
function corsHeaders({ headers }: InboundRequest): Readonly<Record<string, string>> {
  return {
    "access-control-allow-origin": headers["origin"] ?? "*",
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "Content-Type, Content-Encoding, X-Requested-With",
    "access-control-max-age": PREFLIGHT_MAX_AGE_S,
    vary: "Origin",
  };
}

function invalid(message: string): Extract<Taken, { refusal: unknown }> {
  return { refusal: { kind: "invalid", message } };
}
