/** What is fuzzed: for each parser where its inputs come from, and what must hold of whatever it makes of them. A broken promise throws. */
import assert from "node:assert";
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { retryAfterMs } from "@waybill/core";
import { BodyReader, type BodyRefusal, batchScanner, ConfigError, loadConfig } from "@waybill/relay/engine";
import {
  DEFAULT_LIMITS,
  DOORS,
  type DoorRequest,
  formOf,
  frame,
  launchdarklyFormOf,
  launchdarklyMetadata,
  parseAuthorization,
  scanSegment,
} from "@waybill/vendors";

export interface Target {
  readonly corpus: readonly Uint8Array[];
  readonly dictionary: readonly string[];
  /** Throws when a promise is broken. */
  readonly run: (input: Buffer) => void | Promise<void>;
}

const text = (value: string): Buffer => Buffer.from(value);
const JSON_WORDS = [
  "[",
  "]",
  "{",
  "}",
  ",",
  ":",
  '"',
  "\\",
  "\\u",
  "\\ud800",
  "null",
  "true",
  "NaN",
  "Infinity",
  "-",
  "1e999",
  "0.",
  '"batch":',
  '"events":',
  '"messageId":',
  '"type":',
  "[[",
  '{"a":',
  " ",
  "\n",
  "\u2028",
];

const BODIES = [
  '{"batch":[{"type":"track","messageId":"m-1","userId":"u","event":"E","properties":{"n":1.5e3,"s":"\\u00e9\\n"}},{"type":"identify","messageId":"m-2","userId":"u"}],"sentAt":"2026-01-01T00:00:00Z","context":{"a":[1,2]},"writeKey":"k"}',
  '{"type":"page","userId":"u","writeKey":"k","messageId":null,"properties":{"x":NaN}}',
  '{"events":[{"event":"a_b","user_id":"u","message_id":"0d2e4c1a-6f8b-4a3c-9e57-1b2c3d4e5f60"},{"event":"$identify","anonymous_id":"a"}]}',
  '{"user":{"id":"u"},"value":2.5,"attributes":{"source":"web"}}',
  '[{"kind":"feature","creationDate":1000,"key":"f","user":{"key":"u"},"value":[1,{"a":null}]},"text",-0.5]',
  '{"category":"action","key":"a","user":{"id":5},"occured_at":"2026-01-01T00:00:00Z"}',
].map(text);

const REQUESTS: readonly Pick<DoorRequest, "method" | "path">[] = [
  { method: "POST", path: "/v1/batch" },
  { method: "POST", path: "/v1/track" },
  { method: "POST", path: "/v1/events" },
  { method: "POST", path: "/v1/events/batch" },
  { method: "POST", path: "/v1/identify/alias" },
  { method: "POST", path: "/v1/metrics/m/event" },
  { method: "POST", path: "/events" },
  { method: "POST", path: "/bulk" },
  { method: "POST", path: "/diagnostic" },
];
const OPTIONS = {
  strict: false,
  allowedOrigins: [],
  allowedHeaders: [],
  sendEvents: true,
  isKey: () => true,
  makeId: () => "id",
};

/** Framing: what is taken is JSON, in both scanners alike; no door throws. */
const framing: Target = {
  corpus: BODIES,
  dictionary: JSON_WORDS,
  run(input) {
    for (const route of [{ kind: "batch" }, { kind: "event", type: "track" }] as const) {
      const plain = scanSegment(input, route, { ...DEFAULT_LIMITS, isUtf8 });
      const fast = scanSegment(input, route, { ...DEFAULT_LIMITS, isUtf8, scanBatch: batchScanner() });
      assert.equal("refusal" in plain, "refusal" in fast, "both scanners agree");
      if ("refusal" in plain || "refusal" in fast) continue;
      assert.deepEqual(fast.events, plain.events);
      if (plain.nonFinite.length > 0) continue;
      JSON.parse(input.toString());
      for (const { start, end } of plain.events) JSON.parse(input.subarray(start, end).toString());
    }
    if (!isUtf8(input)) return;
    for (const kind of [{ kind: "array" }, { kind: "object" }, { kind: "member", name: "events" }] as const) {
      const framed = frame(input, kind, { allowNonFinite: false });
      const parsed = parse(input);
      if ("code" in framed) {
        assert.ok(
          parsed === undefined || framed.code === "wrong_shape" || isDeep(input),
          "valid JSON of the right shape is taken",
        );
        continue;
      }
      assert.notEqual(parsed, undefined, "what is taken is JSON");
      for (const { start, end } of framed.events) JSON.parse(input.subarray(start, end).toString());
    }
    for (const door of Object.values(DOORS))
      for (const request of REQUESTS) {
        const taken = door.match(request.path)?.take(input, { ...request, query: "", headers: {} }, OPTIONS);
        if (taken === undefined || !("stored" in taken) || taken.stored === undefined) continue;
        const body = Buffer.concat(taken.stored.body);
        assert.equal(body.length, taken.stored.ends.at(-1), "the table ends where the body does");
        JSON.parse(`[${body.toString()}]`.replaceAll(/\bnull\b/g, "null"));
      }
  },
};

/** A gzip, deflate or brotli body never yields more than the limit, and answers once. */
const BODY_MAX_BYTES = 64 * 1024;
const reader = new BodyReader({ maxBytes: BODY_MAX_BYTES, maxTotalBytes: 4 * BODY_MAX_BYTES });
const ENCODINGS = ["gzip", "deflate", "br", "x-gzip", "identity"];
const gzip: Target = {
  corpus: [
    ...BODIES.flatMap((body) => [gzipSync(body), deflateSync(body), brotliCompressSync(body)]),
    gzipSync(Buffer.alloc(10 * 1024 * 1024)),
    brotliCompressSync(Buffer.alloc(10 * 1024 * 1024)),
  ],
  dictionary: ["\x1f\x8b\x08\x00", "\x78\x9c", "\x00\x00\x00\x00", "\xff\xff"],
  run(input) {
    const encoding = ENCODINGS[(input[0] ?? 0) % ENCODINGS.length] as string;
    return new Promise((resolve, reject) => {
      const request = Object.assign(new PassThrough(), { headers: { "content-encoding": encoding }, complete: true });
      let answers = 0;
      reader.read(request as unknown as IncomingMessage, (body: Buffer | BodyRefusal) => {
        answers += 1;
        if (answers > 1) return reject(new Error("answered twice"));
        if (typeof body !== "string" && body.length > BODY_MAX_BYTES)
          return reject(new Error(`${body.length} bytes came through`));
        setImmediate(() => (reader.heldBytes === 0 ? resolve() : reject(new Error("bytes are still held"))));
      });
      request.end(input);
    });
  },
};

const CONFIG = `listen: 127.0.0.1:0
dataDirectory: /tmp/x
limits: { bodyMaxBytes: 10MiB }
environments:
  production:
    sources:
      web: { protocol: segment, writeKeys: [abc, { key: d, expires: "2026-01-01T00:00:00Z" }], prefix: /eu }
      flags: { protocol: launchdarkly, writeKeys: ["\${KEY:-x}"], mobileKeys: [m], environmentId: e }
    destinations:
      warehouse: { vendor: segment, writeKey: "\${KEY}", url: "https://example.test", timeout: 5s }
      hook: { vendor: http, url: "https://hook.test", headers: { a: b }, filter: { include: ["A *"] }, redact: [properties.email] }
`;
/** A configuration is taken, or refused with faults. */
const config: Target = {
  corpus: [text(CONFIG)],
  dictionary: [
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "|\n",
    ">\n",
    "? ",
    "${",
    "$${",
    "\n  ",
    "\t",
    "'",
    '"',
    "---\n",
    "10MiB",
    "5s",
    "null",
    "~",
    "1e9",
    "0x10",
    "#",
    "environments:",
    "writeKeys:",
  ],
  run(input) {
    try {
      loadConfig({ file: "fuzz", text: input.toString(), env: { KEY: "k" } });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      assert.ok(error.faults.length > 0, "a refusal has faults");
    }
  },
};

const PIXEL_PATH = "/a/env.gif";
/** The pixel answers its image, whatever stands in the query; what it takes is JSON. */
const pixel: Target = {
  corpus: BODIES.slice(4, 5).flatMap((body) => [
    text(`d=${body.toString("base64")}`),
    text(`d=${body.toString("base64url")}`),
    text(`x=1&d=${encodeURIComponent(body.toString("base64"))}`),
  ]),
  dictionary: ["d=", "&", "%", "%2B", "%zz", "=", "==", "+", " ", "_", "-", "W10", "WzFd"],
  run(input) {
    const request = { method: "GET", path: PIXEL_PATH, query: input.toString("latin1"), headers: {} };
    const taken = DOORS.launchdarkly.match(PIXEL_PATH)?.take(new Uint8Array(0), request, OPTIONS);
    assert.ok(taken !== undefined && "answer" in taken);
    const answer = typeof taken.answer === "function" ? taken.answer(0) : taken.answer;
    assert.equal(answer.status, 200);
    if ("stored" in taken && taken.stored !== undefined) JSON.parse(`[${Buffer.concat(taken.stored.body).toString()}]`);
  },
};

/** Headers are read or ignored; nothing throws; tags come back as they went in. */
const headers: Target = {
  corpus: [
    "Basic d3JpdGUta2V5Og==",
    "Bearer lt_live_1",
    "api_key sdk-1",
    "sdk-1",
    "2",
    "Wed, 21 Oct 2026 07:28:00 GMT",
    "4",
    "application-id/app application-version/1",
    "{}",
    "launchdarkly server 4 tags",
  ].map(text),
  dictionary: [
    "Basic ",
    "Bearer ",
    "api_key ",
    ":",
    "=",
    " ",
    "-1",
    "1e9",
    "Wed, ",
    "GMT",
    "launchdarkly ",
    "diagnostic ",
    "{",
    "\u0000",
    "\u00ff",
  ],
  run(input) {
    const value = input.toString("latin1");
    parseAuthorization(value);
    const waitMs = retryAfterMs({ "retry-after": value, "x-ratelimit-reset": value }, 1_767_225_600_000);
    assert.ok(waitMs === undefined || (waitMs >= 0 && waitMs <= 24 * 3_600_000), `waits ${waitMs}`);
    const all = [
      "authorization",
      "x-api-key",
      "x-idempotency-key",
      "x-launchdarkly-event-schema",
      "x-launchdarkly-tags",
      "x-launchdarkly-payload-id",
      "origin",
      "idempotency-key",
      "tenant-id",
    ];
    const asked = Object.fromEntries(all.map((name) => [name, value]));
    for (const door of Object.values(DOORS))
      for (const request of REQUESTS) {
        const full = { ...request, query: `api_key=${value}`, headers: asked };
        door.key(full);
        const route = door.match(request.path);
        route?.headers?.(full, OPTIONS);
        route?.take(BODIES[4] as Buffer, full, OPTIONS);
        door.refuse({ kind: "unauthorized", message: value }, full);
      }
    formOf(value);
    launchdarklyFormOf(value);
    const form = { sdk: "server", schema: 4, tags: value } as const;
    assert.deepEqual(launchdarklyFormOf(launchdarklyMetadata(form)), form);
  },
};

export const TARGETS: Readonly<Record<string, Target>> = { framing, gzip, config, pixel, headers };

function parse(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString());
  } catch {
    return undefined;
  }
}

/** Deeper than any real event: refused although it is JSON. */
function isDeep(input: Buffer): boolean {
  let depth = 0;
  let deepest = 0;
  for (const byte of input) {
    if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
  return deepest > 250;
}
