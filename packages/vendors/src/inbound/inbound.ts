/**
 * How a vendor's requests are taken in: which paths there are, where the key stands, what of the body is an event, and what is answered. Pure: the relay does the
 * storing.
 *
 * Stored events carry in their metadata in which vendor's words they are: nothing or an object for Segment's, else the vendor's name, a space and what else its request
 * said ({@link formOf}).
 */
import type { StoredForm } from "./frame.ts";

export const VENDORS = ["segment", "letter", "getfluxly", "trophy", "valued", "launchdarkly", "posthog"] as const;
export type Vendor = (typeof VENDORS)[number];

export interface InboundRequest {
  readonly method: string;
  /** Without a source's prefix and without the query. */
  readonly path: string;
  /** Behind the question mark. */
  readonly query: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface InboundAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /** For a body that is no text. */
  readonly bytes?: Uint8Array;
}

/** Why a request is not taken, in words that each vendor says in its own form. */
export type Refusal =
  /** `isKeyless`: there was no key at all. */
  | { readonly kind: "unauthorized"; readonly message: string; readonly isKeyless?: boolean }
  | { readonly kind: "forbidden"; readonly message: string }
  | { readonly kind: "not_found" | "method_not_allowed"; readonly message: string }
  | { readonly kind: "invalid" | "too_large" | "unsupported_encoding" | "empty"; readonly message: string }
  | { readonly kind: "rate_limited" | "unavailable"; readonly message: string; readonly retryAfterS: number };

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

/** What a body means. */
export type Taken =
  | {
      /** To be stored; nothing when all events were refused and the vendor answers so. */
      readonly stored: StoredForm | undefined;
      readonly metadata: string;
      /** The id of each stored event by which a repeat is known; "" for none. */
      readonly ids: readonly string[];
      /** The vendor's success. `duplicates` are events of it that had come before. */
      readonly answer: (duplicates: number) => InboundAnswer;
      /** The caller needs the destination's own answer: the vendor whose it is. */
      readonly exchange?: Vendor;
      /** The key, where it stands in the body. */
      readonly key?: string;
    }
  | { readonly refusal: Refusal }
  /** A question, no event: asked of the destination of the same vendor at once, with its credential, and answered with what it says. */
  | { readonly ask: { readonly path: string } }
  /** Answered without being stored. */
  | { readonly answer: InboundAnswer };

/** A path that a vendor knows. */
export interface InboundRoute {
  /** GET for a pixel. */
  readonly methods: readonly string[];
  /** Of a key in the path. */
  readonly key?: string;
  /** Which kind of the source's keys is meant. */
  readonly keyKind?: "mobile" | "js";
  /** Answers at once to a preflight. */
  readonly preflight?: (request: InboundRequest, options: InboundOptions) => InboundAnswer;
  /** Added to every answer of this route. */
  readonly headers?: (request: InboundRequest, options: InboundOptions) => Readonly<Record<string, string>>;
  /** Called with the body, which is UTF-8. */
  readonly take: (body: Uint8Array, request: InboundRequest, options: InboundOptions) => Taken;
}

/** What a source's configuration says to its door. */
export interface InboundOptions {
  readonly strict: boolean;
  readonly allowedOrigins: readonly string[];
  readonly allowedHeaders: readonly string[];
  /** LaunchDarkly: whether events are taken at all. */
  readonly sendEvents: boolean;
  /** Whether requests without a key are taken. Default: they are not. */
  readonly keyless?: boolean;
  /** Events of one request. No limit by default. */
  readonly maxEvents?: number;
  /** Whether it is a key of the source, for keys that stand in the body. */
  readonly isKey: (key: string) => boolean;
  /** An id for what has none. */
  readonly makeId: () => string;
}

export interface Inbound {
  readonly vendor: Vendor;
  /** The key stands in the body: it is known only when that was read. */
  readonly keyInBody?: boolean;
  /** Where clients put the key, for who has sent none. */
  readonly keyPlace: string;
  match(path: string): InboundRoute | undefined;
  /** The key in headers or query; `undefined` when there is none of this vendor's kind. */
  key(request: InboundRequest): string | undefined;
  refuse(refusal: Refusal, request: InboundRequest): InboundAnswer;
}

/** In which vendor's words stored events are. */
export function formOf(metadata: string): Vendor {
  if (metadata === "" || metadata.startsWith("{")) return "segment";
  const space = metadata.indexOf(" ");
  return (space === -1 ? metadata : metadata.slice(0, space)) as Vendor;
}

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

/** A longer id is none that anybody meant: its event is not recognised when it comes again. */
export const ID_MAX_BYTES: number = 64 * 1024;

/** A path in an answer: short, and whole enough to be recognised. */
export function shown(text: string): string {
  return text.length <= SHOWN_MAX_CHARACTERS ? text : `${text.slice(0, SHOWN_MAX_CHARACTERS)}…`;
}

const SHOWN_MAX_CHARACTERS = 200;

export function bearer({ headers }: InboundRequest): string | undefined {
  return /^\s*Bearer\s+(\S+)\s*$/i.exec(headers["authorization"] ?? "")?.[1];
}
