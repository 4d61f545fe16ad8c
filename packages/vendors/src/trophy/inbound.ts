/**
 * Trophy's inbound adapter: the metric event, an exchange; the documented resources, passed through
 * to the vendor. Source: protocol sections 1 to 5 and 9.
 */

import { eventText, FieldReader, frame, type Range, storedAlone } from "../inbound/frame.ts";
import {
  type Inbound,
  type InboundAnswer,
  type InboundRequest,
  jsonAnswer,
  REFUSAL_STATUS,
  type Taken,
} from "../inbound/inbound.ts";
import { KIB } from "../inbound/limits.ts";
import { writeTrophy } from "./outbound.ts";

const encoder = new TextEncoder();
/**
 * What is passed through to the vendor: its application API (section 9). `*` stands for one name.
 */
const RESOURCES: readonly (readonly [path: string, methods: readonly string[]])[] = [
  ["/achievements", ["GET"]],
  ["/achievements/*/complete", ["POST"]],
  ["/users", ["POST"]],
  ["/users/*", ["GET", "PUT", "PATCH"]],
  ["/users/*/preferences", ["GET", "PATCH"]],
  ["/users/*/metrics", ["GET"]],
  ["/users/*/metrics/*", ["GET"]],
  ["/users/*/metrics/*/event-summary", ["GET"]],
  ["/users/*/achievements", ["GET"]],
  ["/users/*/streak", ["GET"]],
  ["/users/*/wrapped", ["GET"]],
  ["/users/*/points/*", ["GET"]],
  ["/users/*/points/*/boosts", ["GET"]],
  ["/users/*/points/*/event-summary", ["GET"]],
  ["/users/*/leaderboards/*", ["GET"]],
  ["/streaks", ["GET"]],
  ["/streaks/rankings", ["GET"]],
  ["/points/*", ["GET"]],
  ["/points/*/summary", ["GET"]],
  ["/points/*/boosts", ["GET"]],
  ["/points/*/levels", ["GET"]],
  ["/points/*/level-summary", ["GET"]],
  ["/leaderboards", ["GET"]],
  ["/leaderboards/*", ["GET"]],
];
const PATTERNS = RESOURCES.map(([pattern, methods]) => ({ pattern, parts: pattern.slice(1).split("/"), methods }));
const EVENT_PATTERN = "/metrics/*/event";
/** Queries hold lists of user ids. */
const QUERY_MAX_CHARACTERS = 8 * 1024;
const NAME_MAX_CHARACTERS = 512;
/** What a query may be made of; the rest has to be encoded. */
const QUERY = /^[A-Za-z0-9\-._~!$&'()*+,;=:@/?%[\]|]*$/;

export const trophyInbound: Inbound = {
  limits: { bodyMaxBytes: 256 * KIB, maxEvents: 1 },
  keyPlace: "in the header X-API-KEY",
  hasExchanges: true,
  match(path) {
    const names = namesIn(path);
    if (names === undefined) return undefined;
    const metric = metricOf(names);
    if (metric !== undefined)
      return {
        pattern: EVENT_PATTERN,
        methods: ["POST"],
        take: (body, request, options) => take(metric, body, request, options.makeId),
      };
    if (names.some((name) => !isPlain(name) || name.includes("/"))) return undefined;
    const found = PATTERNS.find(({ parts }) => isLike(names, parts));
    if (found === undefined) return undefined;
    const plain = `/${names.map((name) => encodeURIComponent(name)).join("/")}`;
    return { pattern: found.pattern, methods: found.methods, take: (_body, request) => passthrough(plain, request) };
  },
  key: ({ headers }) => headers["x-api-key"],
  refuse: (refusal): InboundAnswer => jsonAnswer(REFUSAL_STATUS[refusal.kind], { error: refusal.message }),
};

/**
 * The names that a path consists of, decoded once, without the version in front; `undefined` when
 * one does not decode.
 */
function namesIn(path: string): readonly string[] | undefined {
  const names: string[] = [];
  for (const part of path.split("/")) {
    // Repeated slashes count as one, a trailing one is allowed.
    if (part === "") continue;
    const name = decoded(part);
    if (name === undefined || name.length > NAME_MAX_CHARACTERS) return undefined;
    names.push(name);
  }
  return names[0] === "v1" || names[0] === "api" ? names.slice(1) : names;
}

/** A metric's key may have slashes: Python's client does not encode them. */
function metricOf(names: readonly string[]): string | undefined {
  if (names.length < 3 || names[0] !== "metrics" || names.at(-1) !== "event") return undefined;
  const metric = names.slice(1, -1).join("/");
  return metric.split("/").every((name) => name === "" || isPlain(name)) ? metric : undefined;
}

/**
 * Not a name that could mean another place: a dot or two, a backslash, control characters, or what
 * decodes to them once more.
 */
function isPlain(name: string): boolean {
  return !/^\.{1,2}$|[\\\p{Cc}]|%(?:2e|2f|5c|[01][0-9a-f]|7f)/iu.test(name);
}

function isLike(names: readonly string[], parts: readonly string[]): boolean {
  return names.length === parts.length && parts.every((part, index) => part === "*" || part === names[index]);
}

function passthrough(path: string, { query }: InboundRequest): Taken {
  if (query.length > QUERY_MAX_CHARACTERS || !QUERY.test(query))
    return {
      refusal: { kind: "invalid", message: "The query is too long, or has characters that have to be encoded." },
    };
  return { passthrough: { path } };
}

function take(metric: string, body: Uint8Array, { headers }: InboundRequest, makeId: () => string): Taken {
  const framed = frame(body, { kind: "object" }, { allowNonFinite: false });
  if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
  const [range] = framed.events as readonly [Range];
  const fields = new FieldReader(body);
  const [user, value] = fields.read(range, ["user", "value"]);
  const [id] = user === undefined ? [] : fields.read(user, ["id"]);
  if (!fields.isText(id)) return { answer: jsonAnswer(422, { error: "user.id is required." }) };
  if (!fields.isNumber(value)) return { answer: jsonAnswer(422, { error: "value must be a number." }) };
  // With a key of ours the vendor acts once, however often it is sent.
  const key = headers["idempotency-key"] ?? makeId();
  const tenant = headers["tenant-id"];
  const head = { metric, key, ...(tenant === undefined ? {} : { tenant }) };
  return {
    parts: [
      { events: storedAlone(encoder.encode(writeTrophy(head, eventText(framed, range)))), metadata: "trophy", ids: [] },
    ],
    exchange: true,
    answer: () => jsonAnswer(202, { stored: true }),
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
