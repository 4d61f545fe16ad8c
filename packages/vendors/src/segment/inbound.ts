/**
 * Segment's inbound adapter. Sections are those of the protocol notes (segment.md).
 *
 * The relay has a faster way for bodies of this vendor (relay/src/intake/segment/). Paths, keys and
 * refusals are decided here for both.
 */
import {
  type Inbound,
  type InboundAnswer,
  type InboundOptions,
  type InboundRequest,
  type InboundRoute,
  REFUSAL_STATUS,
  type Refusal,
  type Taken,
} from "../inbound/inbound.ts";
import { MIB } from "../inbound/limits.ts";
import { assemble } from "./assemble.ts";
import {
  matchSegmentPath,
  parseAuthorization,
  SEGMENT_ROUTES,
  type SegmentAnswer,
  type SegmentRoute,
  segmentAccepted,
  segmentRefusal,
} from "./routes.ts";
import { scanSegment } from "./scan.ts";
import { DEFAULT_LIMITS, type SegmentScan, STRICT_LIMITS } from "./scan-types.ts";

/** A route with what it means here. */
export interface SegmentInboundRoute extends InboundRoute {
  readonly route: SegmentRoute;
}

const ALLOW_ORIGIN = { "access-control-allow-origin": "*" };
const PREFLIGHT: InboundAnswer = {
  status: 204,
  headers: {
    ...ALLOW_ORIGIN,
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "Content-Type, Authorization, X-Retry-Count",
    "access-control-max-age": "86400",
  },
  body: "",
};
const HEADERS = { "content-type": "application/json", ...ALLOW_ORIGIN };
const METHODS = ["POST"];
/** Where the code of old is not that of the kind. */
const CODES: ReadonlyMap<Refusal["kind"], string> = new Map<Refusal["kind"], string>([
  ["not_found", "unknown_route"],
  ["empty", "empty_body"],
]);
/** One for each route: they are the same for every request. */
const ROUTES: ReadonlyMap<SegmentRoute, SegmentInboundRoute> = new Map(
  [...SEGMENT_ROUTES].map(([pattern, route]) => [route, routeOf(pattern, route)]),
);
const decoder = new TextDecoder();

export const segmentInbound: Inbound & { match(path: string): SegmentInboundRoute | undefined } = {
  // Its SDK sends batches of 1.2 MB.
  limits: { bodyMaxBytes: 1.5 * MIB, maxEvents: 10_000 },
  keyPlace: "as Basic authorization or as writeKey in the body",
  /** A Bearer token may be one of the vendor's own; the body then names the key. */
  keyInBody: ({ headers }) => {
    const { authorization = "" } = headers;
    return authorization === "" || parseAuthorization(authorization)?.kind === "bearer";
  },
  match(path) {
    const route = matchSegmentPath(path);
    return route === undefined ? undefined : ROUTES.get(route);
  },
  key: ({ headers }) => parseAuthorization(headers["authorization"] ?? "")?.key,
  refuse(refusal): InboundAnswer {
    const { kind, code = CODES.get(kind) ?? kind, status = REFUSAL_STATUS[kind], message } = refusal;
    if (kind !== "method_not_allowed" && kind !== "not_found")
      return segmentAnswer(segmentRefusal(status, code, message));
    // What is not about events is refused as any server does: RFC 9457.
    const problem = { type: "about:blank", title: code, status, detail: message, success: false, code, message };
    return segmentAnswer(
      { status, body: JSON.stringify(problem) },
      { "content-type": "application/problem+json", ...(kind === "not_found" ? {} : { allow: "POST, OPTIONS" }) },
    );
  },
};

function routeOf(pattern: string, route: SegmentRoute): SegmentInboundRoute {
  return {
    route,
    pattern,
    methods: METHODS,
    preflight: () => PREFLIGHT,
    take: (body, request, options) => take(route, body, request, options),
  };
}

/**
 * An answer with the headers that all have. Every request has one: to spread the answer too would
 * take twice as long.
 */
export function segmentAnswer(
  { status, body }: SegmentAnswer,
  headers?: Readonly<Record<string, string>>,
): InboundAnswer {
  return { status, headers: headers === undefined ? HEADERS : { ...HEADERS, ...headers }, body };
}

function take(
  route: SegmentRoute,
  body: Uint8Array,
  { headers }: InboundRequest,
  { strict, maxEvents, makeId, now }: InboundOptions,
): Taken {
  if (route.kind === "ignore") return { answer: segmentAnswer(segmentAccepted({ refused: [], refusedMore: [] })) };
  if (body.length === 0) return { refusal: { kind: "empty", message: "The body is empty." } };
  const limits = { ...(strict ? STRICT_LIMITS : DEFAULT_LIMITS), ...(maxEvents === undefined ? {} : { maxEvents }) };
  const scan = scanSegment(body, route, { ...limits, isUtf8: () => true });
  if ("refusal" in scan) return { refusal: refusalOf(scan.refusal) };
  const [refused] = scan.refused;
  if (scan.events.length === 0 && refused !== undefined && !strict)
    return { refusal: { kind: "invalid", code: refused.code, message: refused.message } };
  const answer = segmentAnswer(segmentAccepted(scan));
  const { writeKey = "", refusedByCode } = scan;
  const seed = headers["idempotency-key"] ?? headers["x-idempotency-key"];
  const idAt = (index: number): string => makeId(seed === undefined ? undefined : `${index}:${seed}`);
  const about = { refusedByCode, ...(writeKey === "" ? {} : { key: writeKey }) };
  const stored =
    scan.events.length === 0
      ? { body: [], ends: new Uint32Array(0), metadata: "" }
      : assemble(scan, { makeId: idAt, receivedAtMs: now() });
  const ids = idsOf(scan, seed === undefined ? undefined : idAt);
  return { parts: [{ events: stored, metadata: stored.metadata, ids, ...about }], answer: () => answer };
}

/** As they are in the bytes: a duplicate has the same. */
function idsOf({ bytes, events }: SegmentScan, idAt: ((index: number) => string) | undefined): string[] {
  return events.map(({ idStart, idEnd }, index) =>
    idStart < 0 ? (idAt?.(index) ?? "") : decoder.decode(bytes.subarray(idStart, idEnd)),
  );
}

/** The scan's own refusal as one of the common kind; its code and status stay. */
export function refusalOf({
  status,
  code,
  message,
}: {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}): Refusal {
  return { kind: status === REFUSAL_STATUS.too_large ? "too_large" : "invalid", status, code, message };
}
