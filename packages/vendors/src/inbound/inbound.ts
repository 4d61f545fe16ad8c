/**
 * How a vendor's requests are taken in: which paths there are, where the key is, what of the body
 * is an event, and what is answered. Pure: the relay does the storing.
 *
 * Stored events carry in their metadata in which vendor's wire format they are: nothing or an
 * object for Segment's, else the vendor's name, a space and what else belongs to their request
 * ({@link vendorOf}).
 */
import type { ScanArray, StoredEvents } from "./frame.ts";

export interface InboundRequest {
  readonly method: string;
  /** Without a source's prefix and without the query. */
  readonly path: string;
  /** After the question mark. */
  readonly query: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Of the other end of the connection, which may be a proxy. Absent where there is none. */
  readonly address?: string | undefined;
}

export interface InboundAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /** For a body that is not text; then `body` is empty. */
  readonly bytes?: Uint8Array;
}

/**
 * Why a request is refused. Each vendor has its own answer for each kind ({@link Inbound.refuse}).
 */
export type Refusal =
  /** `isKeyless`: there was no key at all. */
  | (RefusalText & { readonly kind: "unauthorized"; readonly isKeyless?: boolean })
  | (RefusalText & { readonly kind: "forbidden" | "not_found" })
  | (RefusalText & { readonly kind: "method_not_allowed"; readonly allow?: string })
  | (RefusalText & { readonly kind: "invalid" | "too_large" | "unsupported_encoding" | "empty" })
  | (RefusalText & { readonly kind: "rate_limited" | "unavailable"; readonly retryAfterS: number });

interface RefusalText {
  readonly message: string;
  /**
   * A more exact code, stable, for vendors whose answers have one and for the counters. Default:
   * the kind.
   */
  readonly code?: string;
  /** Where the common status of the kind is not right. */
  readonly status?: number;
}

export const REFUSAL_STATUS: Readonly<Record<Refusal["kind"], number>> = {
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  invalid: 400,
  too_large: 413,
  unsupported_encoding: 415,
  empty: 400,
  rate_limited: 429,
  unavailable: 503,
};

/** Events of one request that belong to one key and are stored in one record. */
export interface InboundPart {
  /** May be none: then the part only names the key. */
  readonly events: StoredEvents;
  /** Begins with the vendor's name (but Segment's, see the head of this file). */
  readonly metadata: string;
  /**
   * The id of each event, by which a duplicate is known; "" for none. An empty list: no event has
   * one.
   */
  readonly ids: readonly string[];
  /**
   * Where the request has an id and its events none: the id of each is this, a space and its place
   * among the part's events, from 0. Short, since it is hashed for each of them; `ids` is empty.
   */
  readonly idPrefix?: string | undefined;
  /** The key, where it is in the body. Parts of one request may have different keys. */
  readonly key?: string;
  /** Events of the request that were refused and are not stored: how many, by code. */
  readonly refusedByCode?: ReadonlyMap<string, number>;
}

/** What a body means. */
export type Taken =
  | {
      /**
       * To be stored, all of them or none. No part when every event was refused and the vendor
       * answers with success all the same.
       */
      readonly parts: readonly InboundPart[];
      /** The vendor's success. `duplicates` are events of all parts that had come before. */
      readonly answer: (duplicates: number) => InboundAnswer;
      /** The caller needs the destination's own answer to its one event. */
      readonly exchange?: boolean;
    }
  | { readonly refusal: Refusal }
  /**
   * Not an event: sent on to a destination of the same vendor at once, with its credential, and
   * answered with the vendor's answer.
   */
  | { readonly passthrough: { readonly path: string } }
  /** Answered without being stored. */
  | { readonly answer: InboundAnswer };

/** A path that a vendor knows. */
export interface InboundRoute<Own extends object = object> {
  /**
   * The path as requests are counted by it: one of a few, whatever the path is. What differs from
   * request to request, a key or a name, is `*`.
   */
  readonly pattern: string;
  /** GET for a pixel. */
  readonly methods: readonly string[];
  /** Of a key in the path. */
  readonly key?: string;
  /**
   * Which kind of the source's keys is meant, where a vendor has several. Default "": the ordinary
   * one.
   */
  readonly keyKind?: string;
  /** Answers a preflight at once. */
  preflight?(request: InboundRequest, options: InboundOptions<Own>): InboundAnswer;
  /** Added to every answer of this route. */
  headers?(request: InboundRequest, options: InboundOptions<Own>): Readonly<Record<string, string>>;
  /** Called with the body, which is UTF-8. Must not throw, whatever the body is. */
  take(body: Uint8Array, request: InboundRequest, options: InboundOptions<Own>): Taken;
}

/** What an inbound adapter knows of the source and the relay. */
export interface InboundOptions<Own extends object = object> {
  /** Answer exactly as the vendor does where it differs from us. */
  readonly strict: boolean;
  /** Whether requests without a key are taken. Default: they are not. */
  readonly keyless?: boolean;
  /** Events of one request. No limit by default. */
  readonly maxEvents?: number;
  /**
   * Whether it is a key of the source, for keys in the body; of any source of this vendor, where no
   * source is known yet.
   */
  readonly isKey: (key: string) => boolean;
  /** An id for what has none: the same for the same `seed`, a new one without. */
  readonly makeId: (seed?: string) => string;
  /** Epoch ms. */
  readonly now: () => number;
  /** A body is scanned by ours alone by default. */
  readonly scanArray?: ScanArray | undefined;
  /**
   * The vendor's own options of the source. Absent where no source is known: then the defaults
   * hold.
   */
  readonly own?: Own;
}

/** What one request may bring, unless the configuration says otherwise. */
export interface IntakeLimits {
  /** After decoding. */
  readonly bodyMaxBytes: number;
  readonly maxEvents: number;
}

/** One vendor's way in. `Own`: its own options of a source. */
export interface Inbound<Own extends object = object> {
  /**
   * As much as real clients send, and no more than is looked through within 25 ms whatever is in
   * it: one request must not hold up the others.
   */
  readonly limits: IntakeLimits;
  /**
   * Where clients put the key, for the answer to one who has sent none: "as a Bearer token in
   * Authorization".
   */
  readonly keyPlace: string;
  /**
   * Whether the body of this request may name the key, when {@link key} finds none that is known.
   * Default: never.
   */
  keyInBody?(request: InboundRequest): boolean;
  /** Whether callers may need the destination's own answer: `Taken.exchange`. Default: never. */
  readonly hasExchanges?: boolean;
  match(path: string): InboundRoute<Own> | undefined;
  /** The key in headers or query; `undefined` when there is none of this vendor's kind. */
  key(request: InboundRequest): string | undefined;
  refuse(refusal: Refusal, request: InboundRequest): InboundAnswer;
}

/**
 * In which vendor's wire format stored events are: its name, which need not be one that is known
 * (any more).
 */
export function vendorOf(metadata: string): string {
  if (metadata === "" || metadata.startsWith("{")) return SEGMENT;
  const space = metadata.indexOf(" ");
  return space === -1 ? metadata : metadata.slice(0, space);
}

/** Its events are stored without a name: they are the most, and were there first. */
const SEGMENT = "segment";

export function jsonAnswer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): InboundAnswer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(value) };
}

/** Repeated slashes count as one, a trailing one is allowed. */
export function plainPath(path: string): string {
  return path.replaceAll(/\/{2,}/g, "/").replace(/(.)\/$/, "$1");
}

/** A longer id is not one that anybody meant: its event is not recognised when it comes again. */
export const ID_MAX_BYTES: number = 64 * 1024;

/** A path in an answer: short, and whole enough to be recognised. */
export function shown(text: string): string {
  return text.length <= SHOWN_MAX_CHARACTERS ? text : `${text.slice(0, SHOWN_MAX_CHARACTERS)}…`;
}

const SHOWN_MAX_CHARACTERS = 200;

export function bearer({ headers }: InboundRequest): string | undefined {
  return /^\s*Bearer\s+(\S+)\s*$/i.exec(headers["authorization"] ?? "")?.[1];
}
