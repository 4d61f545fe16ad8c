/**
 * Of a Segment server: paths, keys, answers. Sections are those of the protocol notes (segment.md).
 */
import type { EventType } from "../canonical/events.ts";
import { EVENT_TYPES } from "../canonical/events.ts";

export type SegmentRoute =
  /** `{"batch":[…]}` */
  | { readonly kind: "batch" }
  /** One event; its type unless it names one itself. */
  | { readonly kind: "event"; readonly type: EventType }
  /** Metrics of the vendor's own library: taken and thrown away. */
  | { readonly kind: "ignore" };

/** By path. Each path has a route object of its own. */
export const SEGMENT_ROUTES: ReadonlyMap<string, SegmentRoute> = new Map<string, SegmentRoute>([
  ...EVENT_TYPES.map((type) => [`/v1/${type}`, { kind: "event", type }] as const),
  // The browser's short forms: the first letter of the type.
  ...EVENT_TYPES.map((type) => [`/v1/${type.charAt(0)}`, { kind: "event", type }] as const),
  ["/v1/batch", { kind: "batch" }],
  ["/v1/import", { kind: "batch" }],
  ["/v1/b", { kind: "batch" }],
  ["/v1/m", { kind: "ignore" }],
]);

/**
 * The route of a path without query; repeated slashes count as one and a trailing one is allowed
 * (section 1, path details).
 */
export function matchSegmentPath(path: string): SegmentRoute | undefined {
  return SEGMENT_ROUTES.get(path) ?? SEGMENT_ROUTES.get(path.replaceAll(/\/{2,}/g, "/").replace(/\/$/, ""));
}

export interface Credentials {
  readonly kind: "basic" | "bearer";
  readonly key: string;
}

/**
 * The key in an Authorization header: Basic with the key as user name (the colon may be missing),
 * or Bearer.
 */
export function parseAuthorization(header: string): Credentials | undefined {
  const match = /^\s*(basic|bearer)\s+(\S+)\s*$/i.exec(header);
  if (match === null) return undefined;
  const [, scheme = "", value = ""] = match;
  if (scheme.toLowerCase() === "bearer") return { kind: "bearer", key: value };
  const text = decodeBase64(value);
  if (text === undefined) return undefined;
  const colon = text.indexOf(":");
  const key = colon === -1 ? text : text.slice(0, colon);
  return key === "" ? undefined : { kind: "basic", key };
}

function decodeBase64(text: string): string | undefined {
  try {
    return atob(text);
  } catch {
    return undefined;
  }
}

/** An event of an accepted batch that was not accepted itself. */
export interface RefusedEvent {
  readonly index: number;
  readonly code: RefusalCode;
  readonly message: string;
}

/** Stable codes of what is refused about a body. */
export type RefusalCode =
  | "invalid_json"
  | "invalid_utf8"
  | "not_an_object"
  | "batch_missing"
  | "batch_not_array"
  | "body_too_large"
  | "event_too_large"
  | "event_not_object"
  | "unknown_type"
  | "too_many_events";

export interface SegmentAnswer {
  readonly status: number;
  readonly body: string;
}

const SUCCESS: SegmentAnswer = { status: 200, body: '{"success":true}' };

/**
 * Exactly 200: some clients send again after any other 2xx (section 5). What was refused is named
 * beside: the first ones with their reasons, the others by their places (`rejectedMore`:
 * `100+3,107+1`), so that the answer stays small.
 */
export function segmentAccepted({ refused, refusedMore }: Refusals): SegmentAnswer {
  if (refused.length === 0) return SUCCESS;
  const more = refusedMore.length === 0 ? {} : { rejectedMore: rangesOf(refusedMore) };
  return { status: 200, body: JSON.stringify({ success: true, rejected: refused, ...more }) };
}

interface Refusals {
  readonly refused: readonly RefusedEvent[];
  readonly refusedMore: readonly number[];
}

function rangesOf(runs: readonly number[]): string {
  const ranges: string[] = [];
  for (let at = 0; at < runs.length; at += 2) ranges.push(`${runs[at]}+${runs[at + 1]}`);
  return ranges.join(",");
}

/** Both `code` and `message`: an old client sends a refusal without them again (section 4). */
export function segmentRefusal(status: number, code: string, message: string): SegmentAnswer {
  return { status, body: JSON.stringify({ success: false, code, message }) };
}
