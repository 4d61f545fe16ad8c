/** Letter's doors: single calls and the batch. Source: protocol sections 1 to 3; the answers are proposed ones. */
import {
  bearer,
  type Door,
  type DoorAnswer,
  isText,
  jsonAnswer,
  objectIn,
  plainPath,
  REFUSAL_STATUS,
  type Refusal,
  type Taken,
} from "./door.ts";
import { eventText, frame, joined, type Range, storedForm } from "./frame.ts";

const KINDS = ["identify", "group", "track"] as const;
const ITEMS_MAX = 500;
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

export const letterDoor: Door = {
  vendor: "letter",
  match(path) {
    const kind = /^\/v1\/(batch|identify|group|track)$/.exec(plainPath(path))?.[1];
    if (kind === undefined) return undefined;
    return { methods: ["POST"], take: (body) => (kind === "batch" ? batch(body) : single(body, kind)) };
  },
  key: bearer,
  refuse: (refusal): DoorAnswer =>
    jsonAnswer(REFUSAL_STATUS[refusal.kind], { error: { code: CODES[refusal.kind], message: refusal.message } }),
};

function batch(body: Uint8Array): Taken {
  const framed = frame(body, { kind: "member", name: "batch" }, { allowNonFinite: true });
  if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
  if (framed.events.length > ITEMS_MAX)
    return { refusal: { kind: "too_large", message: `${framed.events.length} items; at most ${ITEMS_MAX} are taken` } };
  const kept: Range[] = [];
  const ids: string[] = [];
  const rejected: { index: number; code: string; message: string }[] = [];
  for (const [index, range] of framed.events.entries()) {
    const item = objectIn(eventText(framed, range));
    const message = faultOf(item);
    if (message !== undefined) rejected.push({ index, code: "bad_request", message });
    else {
      kept.push(range);
      ids.push(idOf(item));
    }
  }
  return {
    stored: kept.length === 0 ? undefined : storedForm(framed, kept),
    metadata: "letter",
    ids,
    answer: (duplicates) =>
      jsonAnswer(200, {
        ok: true,
        accepted: kept.length - duplicates,
        duplicates,
        ...(rejected.length === 0 ? {} : { rejected }),
      }),
  };
}

/** Stored as it would stand in a batch: with its type in front. */
function single(body: Uint8Array, type: string): Taken {
  const framed = frame(body, { kind: "object" }, { allowNonFinite: true });
  if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
  const [range] = framed.events as readonly [Range];
  const text = eventText(framed, range);
  const { type: _type, ...item } = objectIn(text) ?? {};
  const message = faultOf({ ...item, type });
  if (message !== undefined) return { refusal: { kind: "invalid", message } };
  const inside = text.slice(1, -1).trim();
  return {
    stored: joined([[encoder.encode(`{"type":"${type}"${inside === "" ? "" : ","}${inside}}`)]]),
    metadata: "letter",
    ids: [idOf(item)],
    answer: (duplicates) => jsonAnswer(200, { ok: true, accepted: 1 - duplicates, duplicates }),
  };
}

function faultOf(item: Readonly<Record<string, unknown>> | undefined): string | undefined {
  if (item === undefined) return "not an object";
  const { type } = item;
  if (!KINDS.some((kind) => kind === type)) return `unknown type ${JSON.stringify(type)}`;
  if (!isText(item["userId"])) return `${String(type)}: userId is required`;
  if (type === "track" && !isText(item["event"])) return "track: event is required";
  return type === "group" && !isText(item["accountId"]) ? "group: accountId is required" : undefined;
}

function idOf(item: Readonly<Record<string, unknown>> | undefined): string {
  const id = item?.["messageId"];
  return isText(id) ? id : "";
}
