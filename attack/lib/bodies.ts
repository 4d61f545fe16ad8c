/** Requests as the vendors' clients send them, and the odd ones that strangers send. */
import { brotliCompressSync, constants, deflateSync, gzipSync } from "node:zlib";
import { KEYS } from "./scenes.ts";
import { basic, KEY, newId, track } from "./stage.ts";

export interface VendorCall {
  readonly protocol: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const JSON_TYPE = { "content-type": "application/json" };

/** A healthy request of every protocol, with keys. */
export function healthyCalls(): readonly VendorCall[] {
  return [
    { protocol: "segment", path: "/v1/batch", headers: basic(KEY), body: JSON.stringify({ batch: [track(newId())] }) },
    ...Object.entries(WRAP).map(([protocol, call]) => ({
      protocol,
      path: call.path,
      headers: call.headers,
      body: call.wrap(call.event),
    })),
  ].map((call) => ({ ...call, headers: { ...JSON_TYPE, ...call.headers } }));
}

interface Wrapped {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A healthy event. */
  readonly event: string;
  /** The body of a request with this event, given as JSON. */
  readonly wrap: (event: string) => string;
}

/** How each protocol but Segment's carries an event. */
export const WRAP: Readonly<Record<string, Wrapped>> = {
  letter: {
    path: "/v1/batch",
    headers: { authorization: `Bearer ${KEYS.letter}` },
    event: '{"type":"track","userId":"u","event":"Attacked"}',
    wrap: (event) => `{"batch":[${event}]}`,
  },
  getfluxly: {
    path: "/v1/events/batch",
    headers: { authorization: `Bearer ${KEYS.getfluxly}` },
    event: '{"event":"attacked","user_id":"u"}',
    wrap: (event) => `{"events":[${event}]}`,
  },
  trophy: {
    path: "/v1/metrics/attacked/event",
    headers: { "x-api-key": KEYS.trophy },
    event: '{"user":{"id":"u"},"value":1}',
    wrap: (event) => event,
  },
  valued: {
    path: "/events",
    headers: { authorization: `Bearer ${KEYS.valued}` },
    event: '{"category":"action","key":"attacked","user":{"id":"u"}}',
    wrap: (event) => event,
  },
  launchdarkly: {
    path: "/bulk",
    headers: { authorization: KEYS.launchdarkly, "x-launchdarkly-event-schema": "4" },
    event: '{"kind":"custom","key":"attacked","contextKeys":{"user":"u"},"creationDate":1}',
    wrap: (event) => `[${event}]`,
  },
  posthog: {
    path: "/s/hog/batch",
    headers: {},
    event: '{"event":"attacked","distinct_id":"u","properties":{}}',
    wrap: (event) => `{"api_key":"${KEYS.posthog}","batch":[${event}]}`,
  },
};

const BOMB_BYTES = 10 * 1024 * 1024;

/** About 50 bytes that decode to 10 MB of spaces. */
export function brotliBomb(bytes: number = BOMB_BYTES): Buffer {
  return brotliCompressSync(Buffer.alloc(bytes, " "), { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } });
}

/** About 10 KB that decode to 10 MB of spaces. */
export function gzipBomb(bytes: number = BOMB_BYTES): Buffer {
  return gzipSync(Buffer.alloc(bytes, " "), { level: 9 });
}

export function deflateBomb(bytes: number = BOMB_BYTES): Buffer {
  return deflateSync(Buffer.alloc(bytes, " "), { level: 9 });
}

/** Names that every plain object has. */
export const PROTOTYPE_NAMES: readonly string[] = [
  "__proto__",
  "constructor",
  "toString",
  "toLocaleString",
  "valueOf",
  "hasOwnProperty",
  "isPrototypeOf",
  "propertyIsEnumerable",
  "__defineGetter__",
  "__lookupSetter__",
];
