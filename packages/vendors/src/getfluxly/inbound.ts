/** GetFluxly's inbound adapter: one event, a batch, an alias. Source: protocol sections 1 to 6. */
import { stableUuid } from "../canonical/stable-uuid.ts";
import { FieldReader, frame, type Range, storedEvents } from "../inbound/frame.ts";
import {
  bearer,
  ID_MAX_BYTES,
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
import { KIB } from "../inbound/limits.ts";
import { aliasMetadata } from "./outbound.ts";

const EVENT_MAX_BYTES = 32 * 1024;
const BATCH_MAX_BYTES = 262_144;
const PROPERTIES_MAX = 32;
const NAME_MAX = 64;
/** Each of its characters may be written as an escape. */
const NAME_MAX_BYTES: number = 6 * NAME_MAX + 2;
const NAMES = ["event", "properties", "message_id", "anonymous_id", "external_id", "user_id"];
const SNAKE_CASE = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
const CODES: Readonly<Record<Refusal["kind"], string>> = {
  unauthorized: "unauthenticated",
  forbidden: "wrong_key_type",
  not_found: "not_found",
  method_not_allowed: "not_found",
  invalid: "validation_error",
  too_large: "payload_too_large",
  unsupported_encoding: "validation_error",
  empty: "validation_error",
  rate_limited: "rate_limited",
  unavailable: "server_error",
};
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "Authorization, Content-Type, X-Idempotency-Key, X-Request-ID",
};

export const getfluxlyInbound: Inbound = {
  // As documented.
  limits: { bodyMaxBytes: 256 * KIB, maxEvents: 100 },
  keyPlace: "as a Bearer token in Authorization",
  hasExchanges: true,
  match(path) {
    const route = /^\/v1\/(events|events\/batch|identify\/alias)$/.exec(plainPath(path))?.[1];
    if (route === undefined) return undefined;
    return {
      pattern: `/v1/${route}`,
      methods: ["POST"],
      preflight: () => ({ status: 204, headers: CORS, body: "" }),
      headers: () => CORS,
      take: (body, request, options) => {
        if (route === "identify/alias") return alias(body, request, options);
        const maxBytes = route === "events" ? EVENT_MAX_BYTES : BATCH_MAX_BYTES;
        if (body.length > maxBytes)
          return { refusal: { kind: "too_large", message: `${body.length} bytes; at most ${maxBytes} are taken` } };
        return events(body, request, options, route === "events");
      },
    };
  },
  key: (request) => bearer(request) ?? new URLSearchParams(request.query).get("api_key") ?? undefined,
  refuse: (refusal, { headers }): InboundAnswer =>
    jsonAnswer(REFUSAL_STATUS[refusal.kind], {
      error: CODES[refusal.kind],
      detail: refusal.message,
      ...(refusal.kind === "forbidden" ? { received: "publishable" } : {}),
      request_id: headers["x-request-id"] ?? `req_${stableUuid(refusal.message).slice(0, 8)}`,
    }),
};

function events(
  body: Uint8Array,
  { headers }: InboundRequest,
  { makeId, maxEvents }: InboundOptions,
  isSingle: boolean,
): Taken {
  const framed = frame(body, isSingle ? { kind: "object" } : { kind: "member", name: "events" }, {
    allowNonFinite: true,
    maxEvents,
  });
  if ("code" in framed)
    return { refusal: { kind: framed.code === "too_many" ? "too_large" : "invalid", message: framed.message } };
  if (framed.events.length === 0) return { refusal: { kind: "invalid", message: "events: at least one is expected" } };
  const fields = new FieldReader(body);
  const key = headers["x-idempotency-key"];
  // The answer to a duplicate is the first one, its id too: made from the key.
  const requestId = `req_${stableUuid(key ?? makeId()).replaceAll("-", "")}`;
  const kept: Range[] = [];
  const ids: string[] = [];
  const errors: { index: number; error: string; detail: string }[] = [];
  for (const [index, range] of framed.events.entries()) {
    const event = readEvent(fields, range);
    const detail = fields.isObject(range) ? faultOf(fields, event, range) : "not an object";
    if (detail !== undefined && isSingle) return { refusal: { kind: "invalid", message: detail } };
    if (detail !== undefined) errors.push({ index, error: "validation_error", detail });
    else {
      kept.push(range);
      const id = fields.text(event.messageId, ID_MAX_BYTES) ?? "";
      ids.push(id !== "" || key === undefined ? id : `${key} ${index}`);
    }
  }
  const counts = { accepted: kept.length, rejected: errors.length };
  return {
    parts: [{ events: storedEvents(framed, kept), metadata: "getfluxly", ids }],
    answer: () => jsonAnswer(202, { ...counts, ...(isSingle ? {} : { errors }), request_id: requestId }),
  };
}

function alias(body: Uint8Array, { headers }: InboundRequest, { makeId }: InboundOptions): Taken {
  if (bearer({ headers, method: "", path: "", query: "" })?.startsWith("gflux_pub_") === true)
    return { refusal: { kind: "forbidden", message: "a server key is needed" } };
  const framed = frame(body, { kind: "object" }, { allowNonFinite: true });
  if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
  const [range] = framed.events as readonly [Range];
  const fields = new FieldReader(body);
  const [userId, anonymousId, previousId] = fields.read(range, ["user_id", "anonymous_id", "previous_id"]);
  if (!fields.isText(userId)) return { refusal: { kind: "invalid", message: "user_id is required" } };
  if (!fields.isText(anonymousId) && !fields.isText(previousId))
    return { refusal: { kind: "invalid", message: "anonymous_id or previous_id is required" } };
  return {
    parts: [
      {
        events: storedEvents(framed, framed.events),
        metadata: aliasMetadata(headers["x-idempotency-key"] ?? makeId()),
        ids: [],
      },
    ],
    exchange: true,
    answer: () => jsonAnswer(202, { stored: true }),
  };
}

interface EventFields {
  readonly name: Range | undefined;
  readonly properties: Range | undefined;
  readonly messageId: Range | undefined;
  readonly who: readonly (Range | undefined)[];
}

function readEvent(fields: FieldReader, range: Range): EventFields {
  const [name, properties, messageId, ...who] = fields.read(range, NAMES);
  return { name, properties, messageId, who };
}

function faultOf(fields: FieldReader, event: EventFields, { start, end }: Range): string | undefined {
  if (!fields.isText(event.name)) return "event is required";
  const name = fields.text(event.name, NAME_MAX_BYTES) ?? "";
  if (name !== "$identify" && (!SNAKE_CASE.test(name) || name.length > NAME_MAX))
    return "event name must be snake_case";
  if (!event.who.some((id) => fields.isText(id))) return "an id is required";
  if (fields.size(event.properties) > PROPERTIES_MAX) return `properties have more than ${PROPERTIES_MAX} keys`;
  return end - start > EVENT_MAX_BYTES ? "event has more than 32 KB" : undefined;
}
