import { isUtf8 } from "node:buffer";
import {
  assemble,
  DEFAULT_LIMITS,
  decodeMetadata,
  encodeMetadata,
  matchSegmentPath,
  parseAuthorization,
  parseTime,
  type SegmentScan,
  STRICT_LIMITS,
  scanSegment,
  segmentAccepted,
  skewOf,
} from "@waybill/vendors";
import fc from "fast-check";
import { expect, test } from "vitest";

const limits = { ...DEFAULT_LIMITS, isUtf8 };
const BATCH = { kind: "batch" } as const;
const TRACK = { kind: "event", type: "track" } as const;
let made = 0;
const options = { makeId: () => `made-${made++}`, receivedAtMs: Date.UTC(2026, 0, 1) };

function scan(text: string | Buffer, route: typeof BATCH | typeof TRACK = BATCH, given = limits): SegmentScan {
  const result = scanSegment(Buffer.from(text as string), route, given);
  if ("refusal" in result) throw new Error(result.refusal.message);
  return result;
}

function refusalOf(
  text: string | Buffer,
  route: typeof BATCH | typeof TRACK = BATCH,
  given = limits,
): { status: number; code: string } | undefined {
  const result = scanSegment(Buffer.from(text as string), route, given);
  return "refusal" in result ? { status: result.refusal.status, code: result.refusal.code } : undefined;
}

function stored(text: string, route: typeof BATCH | typeof TRACK = BATCH, keep?: (index: number) => boolean): string[] {
  const { body, ends } = assemble(scan(text, route), { ...options, keep });
  const bytes = Buffer.concat(body);
  return Array.from(ends, (end, index) =>
    bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] as number) + 1, end).trim(),
  );
}

const event = (id: string, more = ""): string => `{"type":"track","messageId":"${id}"${more}}`;

test("events that need nothing are one view of the request's bytes", () => {
  const body = Buffer.from(`{"batch":[${event("a")} , ${event("b")}]}`);
  const scanned = scanSegment(body, BATCH, limits);
  if ("refusal" in scanned) throw new Error("refused");
  const result = assemble(scanned, options);
  expect(result.body).toHaveLength(1);
  expect(result.body[0]?.buffer).toBe(body.buffer);
  expect(stored(body.toString())).toEqual([event("a"), event("b")]);
});

test.each([
  ["big numbers", '{"type":"track","messageId":"a","n":123456789012345678901234567890.10e+5}'],
  ["duplicate keys", '{"type":"track","x":1,"x":2,"messageId":"a"}'],
  ["escapes", '{"type":"track","messageId":"a","s":"\\u003c\\/\\n\\ud83d\\ude00"}'],
  ["white space", '{ "type" : "track" ,\n\t"messageId" : "a" , "a" : [ 1 , { } , [ ] ] }'],
  ["unicode", '{"type":"track","messageId":"a","ключ":"значение 😀"}'],
])("%s leave byte for byte", (_name, text) => {
  expect(stored(`{"batch":[${text}]}`)).toEqual([text]);
});

test("6.7: an item of unknown type is refused, the others are kept", () => {
  const result = scan(`{"batch":[${event("a")},{"type":"nope"},{"type":5},{},7,null,${event("b")}]}`);
  expect(result.events).toHaveLength(2);
  expect(result.refused.map(({ index, code }) => [index, code])).toEqual([
    [1, "unknown_type"],
    [2, "unknown_type"],
    [3, "unknown_type"],
    [4, "event_not_object"],
    [5, "event_not_object"],
  ]);
});

test("6.9: bare NaN, Infinity and -Infinity become null, wherever they are; other broken JSON is refused", () => {
  expect(
    stored('{"batch":[{"type":"track","messageId":"a","x":NaN,"y":[-Infinity,Infinity,{"z":NaN}],"s":"NaN"}]}'),
  ).toEqual(['{"type":"track","messageId":"a","x":null,"y":[null,null,{"z":null}],"s":"NaN"}']);
  for (const broken of ['{"batch":[NaNa]}', '{"batch":[nan]}', '{"batch":[-Infinit]}', '{"a":+Infinity}'])
    expect(refusalOf(broken)).toEqual({ status: 400, code: "invalid_json" });
});

test("6.10: an event without an id gets one, also in place of null, a number or an empty text", () => {
  made = 0;
  expect(
    stored(
      '{"batch":[{"type":"page"},{"type":"page","messageId":null},{"messageId":7,"type":"page"},{"type":"page","messageId":""}]}',
    ),
  ).toEqual([
    '{"messageId":"made-0","type":"page"}',
    '{"type":"page","messageId":"made-1"}',
    '{"messageId":"made-2","type":"page"}',
    '{"type":"page","messageId":"made-3"}',
  ]);
});

test("a single event takes its type from the path when it has none", () => {
  made = 0;
  expect(stored("{}", TRACK)).toEqual(['{"type":"track","messageId":"made-0"}']);
  expect(stored('{"type":"page","messageId":"a"}', TRACK)).toEqual(['{"type":"page","messageId":"a"}']);
});

test("the write key of a single event does not travel on", () => {
  for (const text of [
    '{"writeKey":"k","type":"track","messageId":"a"}',
    '{"type":"track","writeKey":"k","messageId":"a"}',
    '{"type":"track","messageId":"a" , "writeKey" : "k"}',
    '{"writeKey":"k","type":"track","writeKey":"l","messageId":"a","writeKey":"m"}',
  ])
    expect(stored(text, TRACK)).toEqual(['{"type":"track","messageId":"a"}']);
  expect(scan('{"writeKey":"k"}', TRACK).writeKey).toBe("k");
});

test("the last of two equal keys counts, and keys with escapes are found", () => {
  const result = scan(
    '{"batch":[{"type":"x","type":"track","messageId":"a","message\\u0049d":"b"}],"write\\u004bey":"k"}',
  );
  const [found] = result.events;
  expect(Buffer.from(result.bytes).toString("utf8", found?.idStart, found?.idEnd)).toBe("b");
  expect(result.writeKey).toBe("k");
});

test("6.8: context and integrations beside the batch are metadata, raw; of another kind they are ignored", () => {
  const text = `{"context":{"b": 1.0,"n":NaN},"integrations":{"All":true},"batch":[${event("a")}]}`;
  expect(assemble(scan(text), options).metadata).toBe('{"context":{"b": 1.0,"n":null},"integrations":{"All":true}}');
  expect(assemble(scan(`{"context":null,"integrations":5,"batch":[${event("a")}]}`), options).metadata).toBe("");
});

test("6.12: the skew is received minus sent in whole seconds, 0 below two seconds", () => {
  const receivedAtMs = Date.UTC(2026, 0, 1, 12);
  for (const sentAt of [
    "2026-01-01T11:59:50.400Z",
    "2026-01-01T11:59:50.400123Z",
    "2026-01-01T11:59:50.400123456Z",
    "2026-01-01T12:59:50.4+01:00",
    "2026-01-01T11:59:50.4",
    "2026-01-01 10:59:50.4-0100",
  ])
    expect(skewOf(sentAt, receivedAtMs), sentAt).toBe(10_000);
  expect(skewOf("2026-01-01T11:59:58.600Z", receivedAtMs)).toBe(0);
  expect(skewOf("2026-01-01T12:01:00Z", receivedAtMs)).toBe(-60_000);
  expect(skewOf("yesterday", receivedAtMs)).toBe(0);
  expect(parseTime("2026-01-01T00:00:00Z")).toBe(Date.UTC(2026, 0, 1));
});

test("metadata survives its text", () => {
  for (const skewMs of [undefined, 5_000, -7_000])
    for (const context of [undefined, "{}", '{"a":",\\"skewMs\\":9}"}']) {
      const text = encodeMetadata({ context, skewMs });
      expect(decodeMetadata(text)).toEqual({
        members: context === undefined ? "" : `,"context":${context}`,
        skewMs: skewMs ?? 0,
      });
    }
});

test("6.13: a batch that is missing or no array is refused, an empty one is taken", () => {
  expect(refusalOf('{"batch":{}}')).toEqual({ status: 400, code: "batch_not_array" });
  expect(refusalOf('{"batch":"x"}')).toEqual({ status: 400, code: "batch_not_array" });
  expect(refusalOf("{}")).toEqual({ status: 400, code: "batch_missing" });
  expect(refusalOf("[]")).toEqual({ status: 400, code: "not_an_object" });
  expect(scan('{"batch":[]}').events).toHaveLength(0);
});

test("6.14: strict mode has the documented limits, default mode takes what real clients send", () => {
  const big = `{"batch":[${Array.from({ length: 40 }, (_, index) => event(`e${index}`, `,"p":"${"x".repeat(30_000)}"`)).join(",")}]}`;
  expect(scan(big).events).toHaveLength(40);
  expect(refusalOf(big, BATCH, { ...STRICT_LIMITS, isUtf8 })).toEqual({ status: 400, code: "body_too_large" });
  const huge = `{"batch":[${event("a")},${event("b", `,"p":"${"x".repeat(600_000)}"`)}]}`;
  expect(scan(huge).refused).toMatchObject([{ index: 1, code: "event_too_large" }]);
});

test("bytes that are not UTF-8 are refused", () => {
  expect(refusalOf(Buffer.concat([Buffer.from('{"batch":["'), Buffer.from([0xff]), Buffer.from('"]}')]))).toEqual({
    status: 400,
    code: "invalid_utf8",
  });
});

test("a body of many NaN and many events is scanned and stored in good time", () => {
  const nans = Array.from({ length: 100_000 }, () => "NaN").join(",");
  const text = `{"batch":[{"type":"track","x":[${nans}]},${Array.from({ length: 20_000 }, () => '{"type":"page"}').join(",")}]}`;
  expect(stored(text)).toHaveLength(20_001);
});

test("agrees with JSON.parse on what is JSON, and finds the same events", () => {
  const anyEvent = fc.record({
    type: fc.constantFrom("track", "page", "x"),
    messageId: fc.option(fc.string({ minLength: 1 })),
    data: fc.jsonValue(),
  });
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 5 }), fc.integer({ min: 0, max: 3 }), (events, indent) => {
      const text = JSON.stringify({ context: { a: 1 }, batch: events }, undefined, indent);
      const result = scan(text);
      const wanted = events.filter(({ type }) => type !== "x");
      expect(
        result.events.map(({ start, end }) => JSON.parse(Buffer.from(text).toString("utf8", start, end)) as unknown),
      ).toEqual(wanted.map((one) => JSON.parse(JSON.stringify(one)) as unknown));
    }),
  );
});

test("a text with one byte changed is taken exactly when JSON.parse takes it", () => {
  const text =
    '{"batch":[{"type":"track","messageId":"a\\u00e9","n":-1.5e+3,"l":[true,false,null,{}],"s":" x"}],"x":0}';
  const bytes = ' "{}[]:,\\0123456789.eE+-truefalsnNI\n\u0001';
  fc.assert(
    fc.property(
      fc.nat(text.length - 1),
      fc.constantFrom(...bytes),
      fc.constantFrom("replace", "insert", "delete"),
      (at, byte, how) => {
        const mutated = text.slice(0, at) + (how === "delete" ? "" : byte) + text.slice(how === "insert" ? at : at + 1);
        const result = scanSegment(Buffer.from(mutated), BATCH, limits);
        const invalid = "refusal" in result && result.refusal.code === "invalid_json";
        expect(invalid, mutated).toBe(!parses(mutated) && !(!("refusal" in result) && result.nonFinite.length > 0));
      },
    ),
    { numRuns: 3_000 },
  );
});

test.each([
  ["/v1/track", "event"],
  ["/v1/t", "event"],
  ["/v1/a", "event"],
  ["/v1/batch", "batch"],
  ["/v1/batch/", "batch"],
  ["//v1//batch", "batch"],
  ["/v1/import", "batch"],
  ["/v1/b", "batch"],
  ["/v1/m", "ignore"],
  ["/v1/nope", undefined],
  ["/", undefined],
  ["", undefined],
])("the path %s is %s", (path, kind) => {
  expect(matchSegmentPath(path)?.kind).toBe(kind);
});

test("6.2: keys come as Basic with or without colon, or as Bearer", () => {
  expect(parseAuthorization(`Basic ${btoa("key:")}`)).toEqual({ kind: "basic", key: "key" });
  expect(parseAuthorization(`basic ${btoa("key")}`)).toEqual({ kind: "basic", key: "key" });
  expect(parseAuthorization(`Basic ${btoa("key:secret")}`)).toEqual({ kind: "basic", key: "key" });
  expect(parseAuthorization("Bearer token")).toEqual({ kind: "bearer", key: "token" });
  for (const bad of ["Basic", "Basic %%%", "Digest x", "", `Basic ${btoa(":")}`])
    expect(parseAuthorization(bad)).toBeUndefined();
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test("the first hundred refused items are named, the others counted by code and place", () => {
  const items = Array.from({ length: 300 }, (_, index) => (index % 2 === 0 || index > 250 ? "{}" : event(`e${index}`)));
  const result = scan(`{"batch":[${items.join(",")}]}`);
  expect(result.refused).toHaveLength(100);
  expect(result.refused.at(-1)).toMatchObject({ index: 198, code: "unknown_type" });
  const refused = items.filter((item) => item === "{}").length;
  expect(Object.fromEntries(result.refusedByCode)).toEqual({ unknown_type: refused });
  const { body } = segmentAccepted(result);
  const { rejectedMore } = JSON.parse(body) as { rejectedMore: string };
  expect(rejectedMore).toMatch(/^200\+1,202\+1,.*,250\+50$/);
  expect(result.refusedMore.filter((_, index) => index % 2 === 1).reduce((sum, count) => sum + count, 100)).toBe(
    refused,
  );
});

test("an answer stays below 64 KiB, whichever of the most events were refused", () => {
  for (const pattern of [() => "{}", (index: number) => (index % 2 === 0 ? "1" : event(`e${index}`))]) {
    const items = Array.from({ length: 10_000 }, (_, index) => pattern(index));
    const result = scan(`{"batch":[${items.join(",")}]}`, BATCH, { ...limits, maxEvents: 10_000 });
    expect(segmentAccepted(result).body.length).toBeLessThan(64 * 1_024);
  }
  const strict = { ...STRICT_LIMITS, isUtf8 };
  const result = scan(`{"batch":[${"{},".repeat(160_000)}1]}`, BATCH, strict);
  expect(segmentAccepted(result).body.length).toBeLessThan(64 * 1_024);
  expect([...result.refusedByCode.values()].reduce((sum, count) => sum + count, 0)).toBe(160_001);
});

test("a batch of too many events is refused as a whole, without a look at the rest of it; in strict mode those beyond are refused", () => {
  const events = Array.from({ length: 11 }, (_, index) => event(`e${index}`)).join(",");
  const few = { ...limits, maxEvents: 10 };
  expect(refusalOf(`{"batch":[${events}, this is not JSON`, BATCH, few)).toEqual({
    status: 413,
    code: "too_many_events",
  });
  expect(refusalOf(`{"batch":[${events}],"batch":[]}`, BATCH, few)).toEqual({ status: 413, code: "too_many_events" });
  expect(scan(`{"batch":[${events}]}`, BATCH, { ...limits, maxEvents: 11 }).events).toHaveLength(11);
  const strict = scan(`{"batch":[${events}]}`, BATCH, { ...STRICT_LIMITS, isUtf8, maxEvents: 10 });
  expect(strict.refused).toMatchObject([{ index: 10, code: "too_many_events" }]);
});

test("write keys in the events of a batch do not travel on", () => {
  expect(
    stored(
      `{"writeKey":"k","batch":[{"writeKey":"k","type":"track","messageId":"a"},${event("b")},{"type":"track" , "write\\u004bey" : "k", "messageId":"c","p":{"writeKey":"inner"}}]}`,
    ),
  ).toEqual([event("a"), event("b"), '{"type":"track", "messageId":"c","p":{"writeKey":"inner"}}']);
  made = 0;
  expect(stored('{"batch":[{"writeKey":NaN,"type":"page","x":NaN}]}')).toEqual([
    '{"messageId":"made-0","type":"page","x":null}',
  ]);
});

test("a body of nothing but its most expensive members is scanned and stored in good time", () => {
  const many = (item: string): string => Array.from({ length: 400_000 }, () => item).join(",");
  const startedAtMs = performance.now();
  for (const [text, route] of [
    [`{"batch":[${event("a")}],${many('"\\u0062":1')}}`, BATCH],
    [`{"batch":[${event("a")}],${many('"context":{}')}}`, BATCH],
    [`{"batch":[${event("a")}],"context":{"a":[${many("NaN")}]}}`, BATCH],
    [`{"messageId":"a",${many('"writeKey":"k"')}}`, TRACK],
    [`{"messageId":"a",${many('"type":"track"')}}`, TRACK],
  ] as const)
    assemble(scan(text, route, { ...limits, eventMaxBytes: Number.POSITIVE_INFINITY }), options);
  expect(performance.now() - startedAtMs).toBeLessThan(5_000);
});

test("a key or a time that is far too long is none", () => {
  const long = "k".repeat(5_000);
  expect(scan(`{"batch":[],"writeKey":"${long}"}`).writeKey?.length).toBeGreaterThan(256);
  expect(scan(`{"batch":[],"sentAt":"${long}"}`).sentAt).toBeUndefined();
});
