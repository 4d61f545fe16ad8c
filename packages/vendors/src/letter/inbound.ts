/**
 * Letter's inbound adapter: single calls and the batch. Source: protocol sections 1 to 3; the
 * answers are proposed ones.
 */
import { JsonScanner, textEquals } from "@waybill/core";
import { eventText, FieldReader, frame, type Range, storedAlone, storedEvents, walkMembers } from "../inbound/frame.ts";
import {
  bearer,
  ID_MAX_BYTES,
  type Inbound,
  type InboundAnswer,
  jsonAnswer,
  plainPath,
  REFUSAL_STATUS,
  type Refusal,
  type Taken,
} from "../inbound/inbound.ts";
import { KIB } from "../inbound/limits.ts";

const KINDS = ["identify", "group", "track"] as const;
type Kind = (typeof KINDS)[number];
const NAMES = ["type", "userId", "event", "accountId", "messageId"];
const TYPE_SHOWN_MAX_BYTES = 64;
const CODES: Readonly<Record<Refusal["kind"], string>> = {
  unauthorized: "unauthorized",
  forbidden: "forbidden",
  not_found: "not_found",
  method_not_allowed: "method_not_allowed",
  invalid: "bad_request",
  too_large: "payload_too_large",
  unsupported_encoding: "unsupported_encoding",
  empty: "bad_request",
  rate_limited: "rate_limited",
  unavailable: "unavailable",
};
const encoder = new TextEncoder();

export const letterInbound: Inbound = {
  // Its Python client sends up to 250 items.
  limits: { bodyMaxBytes: 512 * KIB, maxEvents: 500 },
  keyPlace: "as a Bearer token in Authorization",
  match(path) {
    const kind = /^\/v1\/(batch|identify|group|track)$/.exec(plainPath(path))?.[1];
    if (kind === undefined) return undefined;
    return {
      pattern: `/v1/${kind}`,
      methods: ["POST"],
      take: (body, _request, { maxEvents }) => (kind === "batch" ? batch(body, maxEvents) : single(body, kind as Kind)),
    };
  },
  key: bearer,
  refuse: (refusal): InboundAnswer =>
    jsonAnswer(REFUSAL_STATUS[refusal.kind], { error: { code: CODES[refusal.kind], message: refusal.message } }),
};

function batch(body: Uint8Array, maxEvents: number | undefined): Taken {
  const framed = frame(body, { kind: "member", name: "batch" }, { allowNonFinite: true, maxEvents });
  if ("code" in framed)
    return { refusal: { kind: framed.code === "too_many" ? "too_large" : "invalid", message: framed.message } };
  const fields = new FieldReader(body);
  const kept: Range[] = [];
  const ids: string[] = [];
  const rejected: { index: number; code: string; message: string }[] = [];
  for (const [index, range] of framed.events.entries()) {
    const item = readItem(fields, range);
    const message = fields.isObject(range) ? faultOf(fields, item) : "not an object";
    if (message !== undefined) rejected.push({ index, code: "bad_request", message });
    else {
      kept.push(range);
      ids.push(fields.text(item.messageId, ID_MAX_BYTES) ?? "");
    }
  }
  return {
    parts: [{ events: storedEvents(framed, kept), metadata: "letter", ids }],
    answer: (duplicates) =>
      jsonAnswer(200, {
        ok: true,
        accepted: kept.length - duplicates,
        duplicates,
        ...(rejected.length === 0 ? {} : { rejected }),
      }),
  };
}

/** Stored as it would be in a batch: with its type in front, and no other. */
function single(body: Uint8Array, type: Kind): Taken {
  const framed = frame(body, { kind: "object" }, { allowNonFinite: true });
  if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
  const [range] = framed.events as readonly [Range];
  const fields = new FieldReader(body);
  const item = readItem(fields, range);
  const message = missingOf(fields, item, type);
  if (message !== undefined) return { refusal: { kind: "invalid", message } };
  const cuts: number[] = [];
  const scanner = new JsonScanner(body, { allowNonFinite: true });
  walkMembers(scanner, body, range.start, (_start, _end, at) => scanner.value(at), {
    cuts,
    isCut: (keyStart, keyEnd) => textEquals(body, keyStart, keyEnd, "type"),
  });
  const inside = eventText({ ...framed, cuts }, range)
    .slice(1, -1)
    .trim();
  return {
    parts: [
      {
        events: storedAlone(encoder.encode(`{"type":"${type}"${inside === "" ? "" : ","}${inside}}`)),
        metadata: "letter",
        ids: [fields.text(item.messageId, ID_MAX_BYTES) ?? ""],
      },
    ],
    answer: (duplicates) => jsonAnswer(200, { ok: true, accepted: 1 - duplicates, duplicates }),
  };
}

interface Item {
  readonly type: Range | undefined;
  readonly userId: Range | undefined;
  readonly event: Range | undefined;
  readonly accountId: Range | undefined;
  readonly messageId: Range | undefined;
}

function readItem(fields: FieldReader, range: Range): Item {
  const [type, userId, event, accountId, messageId] = fields.read(range, NAMES);
  return { type, userId, event, accountId, messageId };
}

function faultOf(fields: FieldReader, item: Item): string | undefined {
  const kind = KINDS.find((one) => fields.equals(item.type, one));
  if (kind !== undefined) return missingOf(fields, item, kind);
  const type = fields.text(item.type, TYPE_SHOWN_MAX_BYTES);
  return type === undefined ? "unknown type" : `unknown type ${JSON.stringify(type)}`;
}

function missingOf(fields: FieldReader, item: Item, kind: Kind): string | undefined {
  if (!fields.isText(item.userId)) return `${kind}: userId is required`;
  if (kind === "track" && !fields.isText(item.event)) return "track: event is required";
  return kind === "group" && !fields.isText(item.accountId) ? "group: accountId is required" : undefined;
}
