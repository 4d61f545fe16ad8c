/**
 * Amplitude's endpoints: what is taken, what is stored byte for byte, and which refusal its clients
 * understand.
 */
import { testInbound } from "@waybill/testing/suites";
import { expect, test } from "vitest";
import { amplitudeInbound } from "../../src/amplitude/inbound.ts";
import { amplitude } from "../../src/amplitude/index.ts";
import { storedIds } from "../../src/amplitude/stored-event.ts";
import type { InboundAnswer, InboundOptions, Taken } from "../../src/inbound/inbound.ts";

const NOW_MS = Date.parse("2026-11-21T12:00:00.000Z");
let made = 0;
const OPTIONS: InboundOptions = {
  strict: false,
  isKey: (key) => key === "in",
  makeId: () => `made-${made++}`,
  now: () => NOW_MS,
};
testInbound("amplitude", {
  adapter: amplitude,
  // Its clients know a wrong key by a 400.
  statuses: { unauthorized: 400 },
  request: (events, key) => ({
    path: "/2/httpapi",
    body: JSON.stringify({
      ...(key === "" ? {} : { api_key: key }),
      events: events.map(({ id, user }) => ({ event_type: "E", user_id: user, insert_id: id })),
    }),
  }),
});

/** Far above what a linear step takes for the bodies here, far below what a quadratic one does. */
const SOON_MS = 5_000;
/** As much as one request may bring. */
const LARGE_BYTES = 1_500_000;

function take(path: string, body: string, more: Partial<InboundOptions> = {}, query?: string): Taken {
  made = 0;
  const request = { method: query === undefined ? "POST" : "GET", path, query: query ?? "", headers: {} };
  const taken = amplitudeInbound.match(path)?.take(Buffer.from(body), request, { ...OPTIONS, ...more });
  if (taken === undefined) throw new Error(`there is no ${path}`);
  return taken;
}

const bodyOf = (events: string, more = ""): string => `{"api_key":"in","events":[${events}]${more}}`;

function storedIn(taken: Taken): { texts: string[]; ids: readonly string[]; metadata: string } {
  const part = "parts" in taken ? taken.parts[0] : undefined;
  if (part === undefined || part.events.ends.length === 0) throw new Error(JSON.stringify(taken));
  const { body, ends } = part.events;
  const bytes = Buffer.concat(body);
  expect(ends.at(-1)).toBe(bytes.length);
  const texts = Array.from(ends, (end, index) =>
    bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] as number) + 1, end).trim(),
  );
  return { texts, ids: part.ids, metadata: part.metadata };
}

/** What a client hears of a request that was not stored. */
function answerOf(taken: Taken, path = "/batch"): { status: number; body: Record<string, unknown> } {
  const request = { method: "POST", path, query: "", headers: {} };
  const answer: InboundAnswer | undefined =
    "refusal" in taken
      ? amplitudeInbound.refuse(taken.refusal, request)
      : "answer" in taken && typeof taken.answer === "object"
        ? taken.answer
        : undefined;
  if (answer === undefined) throw new Error("it was taken");
  const body = JSON.parse(answer.body) as Record<string, unknown>;
  expect(body["code"]).toBe(answer.status);
  return { status: answer.status, body };
}

test.each(["/2/httpapi", "/2/httpapi/", "/batch", "/batch/", "//batch"])("%s takes a body of events", (path) => {
  const taken = take(path, bodyOf('{"event_type":"E","user_id":"user-1","insert_id":"i"}', ',"options":{}'));
  expect(storedIn(taken)).toEqual({
    texts: ['{"event_type":"E","user_id":"user-1","insert_id":"i"}'],
    ids: ["i"],
    metadata: "amplitude",
  });
  const answer = "parts" in taken ? taken.answer(1) : undefined;
  expect(answer?.status).toBe(200);
  expect(JSON.parse(answer?.body ?? "")).toEqual({
    code: 200,
    events_ingested: 1,
    payload_size_bytes: 94,
    server_upload_time: NOW_MS,
  });
});

test("events stay byte for byte; a missing id is put in, a bare NaN becomes null", () => {
  const kept =
    '{ "event_type" : "E\\u00e9" , "user_id":"user-1","insert_id":"a" ,"n":1.000000000000000000001e400,"n":2 }';
  const { texts, ids } = storedIn(
    take(
      "/batch",
      bodyOf(
        [
          kept,
          '{"event_type":"E","user_id":"user-1"}',
          '{"event_type":"E","insert_id":null,"user_id":"user-1"}',
          '{"event_type":"E","insert_id":"","user_id":"user-1"}',
          '{"event_type":"E","insert_id":7,"user_id":"user-1"}',
          '{"event_type":"E","insert_id":"b","user_id":"user-1","event_properties":{"x":NaN,"y":[-Infinity]},"time":NaN}',
        ].join(" ,\n"),
      ),
    ),
  );
  expect(texts).toEqual([
    kept,
    '{"insert_id":"made-0","event_type":"E","user_id":"user-1"}',
    '{"event_type":"E","insert_id":"made-1","user_id":"user-1"}',
    '{"event_type":"E","insert_id":"made-2","user_id":"user-1"}',
    '{"event_type":"E","insert_id":7,"user_id":"user-1"}',
    '{"event_type":"E","insert_id":"b","user_id":"user-1","event_properties":{"x":null,"y":[null]},"time":null}',
  ]);
  expect(ids).toEqual(["a", "", "", "", "", "b"]);
});

test("an event that asks for the sender's address has it, from the connection or from the proxy in front", () => {
  const events = [
    '{"event_type":"E","user_id":"user-1","ip":"$remote","insert_id":null,"n":NaN}',
    '{"insert_id":"","ip": "\\u0024remote" ,"event_type":"E","user_id":"user-1"}',
    '{"event_type":"E","user_id":"user-1","insert_id":"a","ip":"203.0.113.7"}',
    '{"event_type":"E","user_id":"user-1","ip":"$remote"}',
  ];
  const stored = (address: string | undefined, headers: Record<string, string> = {}): string[] => {
    made = 0;
    const request = { method: "POST", path: "/batch", query: "", headers, address };
    const taken = amplitudeInbound.match("/batch")?.take(Buffer.from(bodyOf(events.join(","))), request, OPTIONS);
    return storedIn(taken as Taken).texts;
  };
  expect(stored("::ffff:192.0.2.1")).toEqual([
    '{"event_type":"E","user_id":"user-1","ip":"192.0.2.1","insert_id":"made-0","n":null}',
    '{"insert_id":"made-1","ip": "192.0.2.1" ,"event_type":"E","user_id":"user-1"}',
    events[2],
    '{"insert_id":"made-2","event_type":"E","user_id":"user-1","ip":"192.0.2.1"}',
  ]);
  // Anybody can send these: the host says whether they are believed.
  const pretended = { "x-forwarded-for": "2001:db8::1, 10.0.0.1", "x-real-ip": "198.51.100.2" };
  expect(stored("2001:db8::7", pretended)[3]).toContain('"ip":"2001:db8::7"');
  for (const address of ["<script>", undefined]) expect(stored(address)[3]).toContain('"ip":"$remote"');
});

test("the same insert_id on two devices is two events", () => {
  const event = (device: string): string => `{"event_type":"E","device_id":"${device}","insert_id":"i"}`;
  const { ids } = storedIn(take("/batch", bodyOf([event("device-1"), event("device-2"), event("device-1")].join(","))));
  expect(new Set(ids).size).toBe(2);
  expect(ids[0]).toBe(ids[2]);
});

test("a request with bad events is refused whole, and names the place of each by field", () => {
  const deep = `${'{"a":'.repeat(41)}1${"}".repeat(41)}`;
  const flat = `${'{"a":'.repeat(40)}"}{[\\"["${"}".repeat(40)}`;
  const events = [
    '{"event_type":"E","user_id":"user-1"}',
    '{"user_id":"user-1"}',
    '{"event_type":"E"}',
    '{"event_type":"E","user_id":"four"}',
    '{"event_type":"E","user_id":"four","device_id":"device"}',
    '{"event_type":"E","user_id":"00000000-0000-0000-0000-000000000000"}',
    '{"event_type":"E","user_id":"user-1","time":"2026-11-21T00:00:00Z"}',
    '{"event_type":"E","user_id":"user-1","time":1.5}',
    '{"event_type":"E","user_id":"user-1","time":-1}',
    `{"event_type":"E","user_id":"user-1","event_properties":${deep}}`,
    `{"event_type":"E","user_id":"user-1","event_properties":${flat}}`,
    '{"event_type":"E","user_id":"user-1","groups":[]}',
    '{"event_type":7,"user_id":"user-1"}',
    "7",
    '{"event_type":"E","user_id":null,"device_id":"Unknown"}',
  ];
  for (const path of ["/batch", "/2/httpapi"])
    expect(answerOf(take(path, bodyOf(events.join(","))))).toEqual({
      status: 400,
      body: {
        code: 400,
        error: "Invalid field values on some events",
        events_with_invalid_fields: {
          user_id: [5],
          time: [6, 7],
          event_properties: [9],
          groups: [11],
          event_type: [12],
          event: [13],
          device_id: [14],
        },
        events_with_missing_fields: { event_type: [1], user_id: [2] },
        events_with_invalid_id_lengths: { user_id: [3] },
      },
    });
});

test("options and the sender's clock are kept beside the events; options may allow shorter ids", () => {
  const event = '{"event_type":"E","user_id":"u","insert_id":"i"}';
  const late = ',"client_upload_time":"2026-11-21T11:00:00.123Z"';
  expect(storedIn(take("/batch", bodyOf(event, `,"options":{"min_id_length" :1}${late}`))).metadata).toBe(
    'amplitude {"options":{"min_id_length" :1},"skewMs":3600000}',
  );
  expect(answerOf(take("/batch", bodyOf(event))).body).toHaveProperty("events_with_invalid_id_lengths");
  expect(answerOf(take("/batch", bodyOf(event, `,"options":{"a":"${"x".repeat(1_100)}"}`))).status).toBe(400);
  expect(answerOf(take("/batch", bodyOf(event, ',"options":{"a":NaN}'))).status).toBe(400);
});

test("a key that is not known, or is not there, is a 400 in the text that clients give up at", () => {
  const wrong = answerOf(take("/batch", '{"api_key":"secret","events":[]}'));
  expect(wrong.status).toBe(400);
  expect(wrong.body["error"]).toMatch(/^Invalid API key: /);
  expect(JSON.stringify(wrong)).not.toContain("secret");
  expect(answerOf(take("/batch", '{"api_key":7,"events":[]}')).body["error"]).toMatch(/^Invalid API key: /);
  expect(answerOf(take("/batch", '{"events":[]}')).body).toMatchObject({
    missing_field: "api_key",
    detail: "There is no key: send it as api_key in the body.",
  });
  expect(
    storedIn(take("/batch", '{"events":[{"event_type":"E","user_id":"user-1"}]}', { keyless: true })).texts,
  ).toHaveLength(1);
  expect(answerOf(take("/batch", '{"api_key":"no","events":[]}', { keyless: true })).status).toBe(400);
});

test.each([
  ["", 400, "Missing request body"],
  ["{", 400, "The body is not JSON: the text ends too early at byte 1."],
  ["[]", 400, "The body is JSON, but not an object."],
  ['{"api_key":"in"}', 400, "Request missing required field"],
  ['{"api_key":"in","events":{}}', 400, "Request missing required field"],
  ['{"api_key":"in","events":[]}', 400, "Request missing required field"],
  [bodyOf(new Array(2_001).fill("{}").join(",")), 413, "Payload too large"],
])("%.40s is refused", (body, status, error) => {
  const refused = answerOf(take("/batch", body, { maxEvents: 2_000 }));
  expect(refused.status).toBe(status);
  expect(refused.body["error"]).toBe(error);
});

test("in strict mode the real-time endpoint takes the vendor's megabyte and no more", () => {
  const body = bodyOf(`{"event_type":"E","user_id":"user-1","p":"${"x".repeat(1_048_576)}"}`);
  expect(answerOf(take("/2/httpapi", body, { strict: true })).status).toBe(413);
  expect(storedIn(take("/2/httpapi", body)).texts).toHaveLength(1);
  expect(storedIn(take("/batch", body, { strict: true })).texts).toHaveLength(1);
});

test("every refusal has a code that is its status", () => {
  const message = "why";
  for (const kind of ["unauthorized", "forbidden", "not_found", "method_not_allowed", "invalid", "too_large"] as const)
    answerOf({ refusal: { kind, message } });
  for (const kind of ["rate_limited", "unavailable"] as const) {
    const { status } = answerOf({ refusal: { kind, message, retryAfterS: 1 } });
    expect([429, 503]).toContain(status);
  }
});

test.each([
  ["/identify", '{"user_id":"user-1","user_properties":{"$add":{"n":1}}}', "amplitude identify"],
  [
    "/groupidentify",
    '{"group_type":"company","group_value":"acme","group_properties":{"a":1}}',
    "amplitude groupidentify",
  ],
])("%s takes an object or a list of them, in the body or in the query", (path, item, metadata) => {
  const encodedOf = (identification: string): string =>
    new URLSearchParams({ api_key: "in", identification }).toString();
  expect(storedIn(take(path, encodedOf(item)))).toEqual({ texts: [item], ids: [], metadata });
  expect(storedIn(take(path, encodedOf(`[${item}, ${item}]`))).texts).toEqual([item, item]);
  expect(storedIn(take(path, "", {}, encodedOf(item))).texts).toEqual([item]);
  expect(answerOf(take(path, encodedOf("{}"))).body).toHaveProperty("missing_field");
  expect(answerOf(take(path, encodedOf("{"))).status).toBe(400);
  expect(answerOf(take(path, encodedOf(`[${new Array(1_025).fill(item).join(",")}]`))).status).toBe(413);
  expect(answerOf(take(path, "api_key=in")).body).toMatchObject({ missing_field: "identification" });
  expect(answerOf(take(path, "api_key=no&identification={}")).body["error"]).toMatch(/^Invalid API key/);
  expect(answerOf(take(path, "identification={}")).body).toMatchObject({ missing_field: "api_key" });
});

test("a page of any origin may send, with the headers that its SDK is given", () => {
  const route = amplitudeInbound.match("/2/httpapi");
  const preflight = (asked?: string): InboundAnswer | undefined => {
    const headers = {
      origin: "https://shop.test",
      ...(asked === undefined ? {} : { "access-control-request-headers": asked }),
    };
    return route?.preflight?.({ method: "OPTIONS", path: "/2/httpapi", query: "", headers }, OPTIONS);
  };
  expect(preflight()).toMatchObject({ status: 204, headers: { "access-control-allow-origin": "*" } });
  expect(preflight()?.headers?.["access-control-allow-headers"]).toBe("Content-Type,Content-Encoding");
  expect(preflight("content-encoding, x-own")?.headers?.["access-control-allow-headers"]).toBe(
    "content-encoding, x-own",
  );
  expect(preflight("x\r\ny")?.headers?.["access-control-allow-headers"]).toBe("Content-Type,Content-Encoding");
  const request = { method: "POST", path: "/2/httpapi", query: "", headers: {} };
  expect(route?.headers?.(request, OPTIONS)).toMatchObject({ "access-control-allow-origin": "*" });
});

test("the ids of stored events are those that they came with", () => {
  const events = [
    '{"event_type":"E","user_id":"user-1","insert_id":"a\\u00e9\\n"}',
    '{"event_type":"E","device_id":"device-1","insert_id":"b"}',
    '{"event_type":"E","device_id":"device-1"}',
    '{"event_type":"E","insert_id":7,"device_id":"device-1"}',
  ];
  const { texts, ids } = storedIn(take("/batch", bodyOf(events.join(","))));
  expect(ids).toEqual(["aé\n", "device-1\nb", "", ""]);
  const stored = storedIds(Buffer.from(texts.join(",")));
  // The id that was put in is known from then on.
  expect(stored.map(({ bytes }) => (bytes === undefined ? "" : Buffer.from(bytes).toString()))).toEqual([
    "aé\n",
    "device-1\nb",
    "device-1\nmade-0",
    "",
  ]);
  expect(storedIds(Buffer.from("no JSON"))).toEqual([]);
});

const filled = (head: string, item: string, tail: string): string =>
  head + Array.from({ length: Math.floor(LARGE_BYTES / (item.length + 1)) }, () => item).join(",") + tail;

test.each([
  ["small events", filled('{"api_key":"in","events":[', '{"event_type":"E"}', "]}")],
  ["members beside the events", filled('{"events":[],', '"api_key":"in"', "}")],
  ["members of an event", filled('{"api_key":"in","events":[{"event_type":"E",', '"insert_id":null', "}]}")],
  ["lists of events", filled('{"api_key":"in",', '"events":[{}]', "}")],
  ["bare NaN", filled('{"api_key":"in","events":[{"event_type":"E","user_id":"user-1","a":[', "NaN", "]}]}")],
  [
    "bare NaN beside options",
    filled('{"api_key":"in","options":{"a":1},"events":[{"event_type":"E","user_id":"user-1"}],"a":[', "NaN", "]}"),
  ],
  ["ids to put in", filled('{"api_key":"in","events":[', '{"event_type":"E","user_id":"user-1"}', "]}")],
  [
    "deep nesting",
    filled(
      '{"api_key":"in","events":[{"event_type":"E","user_id":"user-1","groups":{"a":[',
      "[".repeat(100) + "]".repeat(100),
      "]}}]}",
    ),
  ],
])("%s take linear time", (_what, body) => {
  const startedAtMs = performance.now();
  take("/batch", body);
  expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS);
});
