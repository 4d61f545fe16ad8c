/**
 * What Mixpanel's inbound paths make of the requests that its published clients send, and of
 * hostile ones.
 */
import { testInbound } from "@waybill/testing/suites";
import type { InboundOptions, InboundRequest, Taken } from "@waybill/vendors";
import fc from "fast-check";
import { expect, test } from "vitest";
import { mixpanelInbound } from "../../src/mixpanel/inbound.ts";
import { mixpanel } from "../../src/mixpanel/index.ts";
import type { MixpanelSourceOptions } from "../../src/mixpanel/options.ts";

const MADE = "01890a5d-ac96-774b-bcce-b302099a8057";
const MADE_AT_MS = 1_688_096_058_518;
type Options = InboundOptions<MixpanelSourceOptions>;
const OWN: MixpanelSourceOptions = { allowedOrigins: [], allowedHeaders: [] };
const OPTIONS: Options = {
  strict: false,
  isKey: (key) => key === "in" || key === "old" || key === "name:secret",
  makeId: () => MADE,
  now: () => MADE_AT_MS,
};

testInbound("mixpanel", {
  adapter: mixpanel,
  request: (events, key) => ({
    path: "/track/",
    body: JSON.stringify(
      events.map(({ id, user }) => ({
        event: "E",
        properties: {
          ...(key === "" ? {} : { token: key }),
          time: 1_700_000_000,
          distinct_id: user,
          $insert_id: id,
        },
      })),
    ),
  }),
});

interface Sent extends Partial<InboundRequest> {
  readonly body?: string;
  readonly options?: Partial<Options>;
}

function take({ body = "", options, ...request }: Sent): Taken {
  const asked = { method: "POST", path: "/track", query: "", headers: {}, ...request };
  const taken = mixpanelInbound.match(asked.path)?.take(Buffer.from(body), asked, { ...OPTIONS, ...options });
  if (taken === undefined) throw new Error(`there is no ${asked.path}`);
  return taken;
}

/** The stored items of each part as texts. */
function partsIn(taken: Taken): string[][] {
  if (!("parts" in taken)) throw new Error(JSON.stringify(taken));
  return taken.parts.map(({ events: { body, ends } }) => {
    const bytes = Buffer.concat(body);
    expect(ends.at(-1)).toBe(bytes.length);
    return Array.from(ends, (end, index) =>
      bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] as number) + 1, end),
    );
  });
}

function storedIn(taken: Taken): string[] {
  const parts = partsIn(taken);
  expect(parts).toHaveLength(1);
  return parts[0] as string[];
}

/** The ids of stored items, as they are found after a crash. */
function storedIdsIn(body: Uint8Array): string[] {
  return (mixpanel.eventIds?.(body) ?? []).map(({ bytes = body, idStart, idEnd }) =>
    Buffer.from(bytes).toString("utf8", Math.max(0, idStart), Math.max(0, idEnd)),
  );
}

function keysIn(taken: Taken): (string | undefined)[] {
  return "parts" in taken ? taken.parts.map(({ key }) => key) : [];
}

function answerOf(taken: Taken): { readonly status: number; readonly body: string } {
  if (!("answer" in taken)) throw new Error(JSON.stringify(taken));
  return typeof taken.answer === "function" ? taken.answer(0) : taken.answer;
}

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64");
const WHOLE = { time: 1_700_000_000, distinct_id: "u", $insert_id: "a-1", ip: 0 };

test("raw base64 in a URL-encoded body keeps its plus signs and slashes, as the Node SDK sends it", () => {
  const event = { event: "ü~~>>??", properties: { token: "in", s: "~~~???>>>ûûû", ...WHOLE } };
  const body = `data=${base64([event])}`;
  expect(body).toMatch(/\+.*\/|\/.*\+/);
  const { token: _token, ...properties } = event.properties;
  const query = "ip=0&verbose=0";
  expect(storedIn(take({ body, query })).map((text) => JSON.parse(text) as unknown)).toEqual([
    { event: event.event, properties },
  ]);
  // A decoder on the way made spaces of them; the browser's SDK encodes them.
  const same = storedIn(take({ body }));
  expect(storedIn(take({ body: body.replaceAll("+", " ") }))).toEqual(same);
  expect(storedIn(take({ body: `data=${encodeURIComponent(base64([event]))}` }))).toEqual(same);
  expect(storedIn(take({ method: "GET", query: `ip=0&data=${encodeURIComponent(base64(event))}` }))).toEqual(same);
});

test("JSON in a URL-encoded body is decoded as such, as the Python SDK sends it", () => {
  const event = `{"event":"a + b","properties":{"token":"in","n":NaN,"time":1,"distinct_id":"ü","$insert_id":"i","ip":0}}`;
  const body = new URLSearchParams({ data: event, verbose: "1", ip: "0" }).toString();
  const taken = take({ body });
  expect(storedIn(taken)).toEqual([
    `{"event":"a + b","properties":{"n":null,"time":1,"distinct_id":"ü","$insert_id":"i","ip":0}}`,
  ]);
  expect(answerOf(taken)).toMatchObject({ status: 200, body: '{"status":1,"error":null}' });
});

test("JSON and lines of JSON are taken as the body itself", () => {
  const event = (name: string): string => `{"event":"${name}","properties":{"token":"in"}}`;
  const names = (taken: Taken): string[] =>
    storedIn(taken).map((text) => (JSON.parse(text) as { event: string }).event);
  expect(names(take({ path: "/import", body: ` [${event("a")}, ${event("b")}]\n` }))).toEqual(["a", "b"]);
  expect(names(take({ path: "/import", body: `${event("a")}\n${event("b")}\r\n\n${event("c")}\n` }))).toEqual([
    "a",
    "b",
    "c",
  ]);
  expect(names(take({ path: "/track/", body: event("a") }))).toEqual(["a"]);
  for (const body of [`${event("a")}${event("b")}`, `${event("a")}\n5`, `${event("a")}\n[]`, "[{]", "{"])
    expect(take({ body }), body).toMatchObject({ refusal: { kind: "invalid" } });
});

test("an event gets what the vendor needs once, at the end of its properties, and loses its token", () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      '{"event":"e","properties":{"token":"in"}}',
      `{"event":"e","properties":{"$insert_id":"${MADE}","time":${MADE_AT_MS},"distinct_id":"","ip":0}}`,
    ],
    [
      '{"properties" : { "a":1 , "token":"in" , "time":1.5 } ,"event":"e", "n": 1.0}',
      `{"properties" : { "a":1 , "time":1.5 ,"$insert_id":"${MADE}","distinct_id":"","ip":0} ,"event":"e", "n": 1.0}`,
    ],
    [
      '{"event":"e","properties":{"t\\u006fken":"in","$user_id":"ü\\n","$device_id":"d","time":1,"$insert_id":"i","ip":"1.2.3.4"}}',
      '{"event":"e","properties":{"$user_id":"ü\\n","$device_id":"d","time":1,"$insert_id":"i","ip":"1.2.3.4","distinct_id":"ü\\n"}}',
    ],
    [
      '{"event":"e","properties":{"token":"in","$device_id":"d","time":1,"$insert_id":"i","ip":0}}',
      '{"event":"e","properties":{"$device_id":"d","time":1,"$insert_id":"i","ip":0,"distinct_id":"$device:d"}}',
    ],
    // A repeated member: the last one counts.
    [
      '{"event":"e","properties":{"token":"no","x":1},"properties":{"token":"in","time":1,"distinct_id":"u","$insert_id":"i","ip":0}}',
      '{"event":"e","properties":{"x":1},"properties":{"time":1,"distinct_id":"u","$insert_id":"i","ip":0}}',
    ],
  ];
  const batch = `[${cases.map(([event]) => event).join(" , ")}]`;
  expect(storedIn(take({ body: batch }))).toEqual(cases.map(([, stored]) => stored));
  for (const [event, stored] of cases) expect(storedIn(take({ body: event }))).toEqual([stored]);
});

test("what is stored of an event is what a parser would make of it, with the additions", () => {
  const names = ["token", "time", "distinct_id", "$insert_id", "ip", "a", "b"];
  const member = fc.tuple(fc.constantFrom(...names), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(fc.array(member, { maxLength: 8 }), fc.nat(2), (members, indent) => {
      const properties = { ...Object.fromEntries(members), token: "in" };
      const text = JSON.stringify([{ a: 1, event: "e", properties }], undefined, indent);
      const [stored] = storedIn(take({ body: `data=${encodeURIComponent(text)}` }));
      const { token: _token, ...rest } = JSON.parse(JSON.stringify(properties)) as Record<string, unknown>;
      const added = { $insert_id: MADE, time: MADE_AT_MS, distinct_id: "", ip: 0 };
      expect(JSON.parse(stored as string)).toEqual({ a: 1, event: "e", properties: { ...added, ...rest } });
    }),
  );
});

test("profile updates lose their token; those without a profile are left out", () => {
  const updates = [
    '{"$token":"in","$distinct_id":"u","$set":{"$token":"mine"}}',
    '{"$set":{"a":1},"$distinct_id":5,"$token":"in"}',
    '{"$token":"in","$distinct_id":"","$set":{}}',
    '{"$token":"in","$set":{}}',
    "5",
  ];
  const taken = take({ path: "/engage", body: `[${updates.join(",")}]` });
  expect(storedIn(taken)).toEqual([
    '{"$distinct_id":"u","$set":{"$token":"mine"}}',
    '{"$set":{"a":1},"$distinct_id":5}',
  ]);
  expect(taken).toMatchObject({
    parts: [{ metadata: "mixpanel engage", ids: ["", ""], refusedByCode: new Map([["invalid", 3]]) }],
  });
  const group = '{"$token":"in","$group_key":"company","$group_id":"acme","$set":{"a":1}}';
  expect(storedIn(take({ path: "/groups/", body: `data=${encodeURIComponent(group)}` }))).toEqual([
    '{"$group_key":"company","$group_id":"acme","$set":{"a":1}}',
  ]);
});

test("a client that wants to be located is, by the address of its connection", () => {
  const body = '{"event":"e","properties":{"token":"in","time":1,"distinct_id":"u","$insert_id":"i"}}';
  const ipOf = (sent: Sent): unknown => {
    const [text = ""] = storedIn(take({ body, ...sent }));
    return (JSON.parse(text) as { properties: { ip: unknown } }).properties.ip;
  };
  // Anybody can send these: the host says whether they are believed.
  const headers = { "x-forwarded-for": "203.0.113.9, 10.0.0.1", "x-real-ip": "203.0.113.8" };
  expect(ipOf({ query: "ip=1", headers })).toBe(0);
  expect(ipOf({ query: "ip=1", address: "2001:db8::1" })).toBe("2001:db8::1");
  expect(ipOf({ query: "ip=1", address: "::ffff:203.0.113.7" })).toBe("203.0.113.7");
  expect(ipOf({ query: "ip=1", address: "10.0.0.2", headers })).toBe("10.0.0.2");
  expect(ipOf({ query: "ip=0", headers, address: "203.0.113.7" })).toBe(0);
  expect(ipOf({ query: "ip=1" })).toBe(0);
  expect(ipOf({ query: "ip=1", address: '"><script>' })).toBe(0);
});

test("a duplicate is what agrees in event, user, time and id, and nothing less", () => {
  const event = (change: object): string =>
    JSON.stringify({ event: "e", properties: { token: "in", ...WHOLE, ...change } });
  const idsOf = (...events: string[]): readonly string[] => {
    const taken = take({ body: `[${events.join(" , ")}]` });
    const [part] = "parts" in taken ? taken.parts : [];
    const body = Buffer.concat(part?.events.body ?? []);
    // After a crash they are found again in what is stored.
    expect(storedIdsIn(body).map((id, index) => (part?.ids[index] === "" ? "" : id))).toEqual(part?.ids);
    return part?.ids ?? [];
  };
  const all = idsOf(
    event({}),
    event({ other: 1 }),
    event({ time: 5 }),
    event({ distinct_id: "v" }),
    event({ $insert_id: "b" }),
    JSON.stringify({ event: "f", properties: { token: "in", ...WHOLE } }),
  );
  expect(all[1]).toBe(all[0]);
  expect(new Set(all).size).toBe(5);
  expect(idsOf('{"event":"e","properties":{"token":"in"}}')).toEqual([""]);
  expect(idsOf('{"event":"e","properties":{"token":"in","$insert_id":"i"}}')).toEqual([""]);
  const [first, second] = idsOf(
    '{"event":"e","properties":{"token":"in","$insert_id":"i","time":1,"$device_id":"d"}}',
    '{"event":"e","properties":{"$device_id":"d","time":1,"token":"in","$insert_id":"i","distinct_id":"$device:d"}}',
  );
  expect(second).toBe(first);
});

test("answers are exactly those that the clients take for a success", () => {
  const body = `data=${base64({ event: "e", properties: { token: "in" } })}`;
  expect(answerOf(take({ body }))).toEqual({ status: 200, headers: { "content-type": "text/plain" }, body: "1" });
  expect(answerOf(take({ body, query: "verbose=1" })).body).toBe('{"status":1,"error":null}');
  expect(answerOf(take({ body, query: "verbose=1&callback=a.b" })).body).toBe('a.b({"status":1,"error":null});');
  expect(answerOf(take({ body, query: "callback=alert(1)" })).body).toBe("1");
  expect(answerOf(take({ body, query: "img=1" }))).toMatchObject({ headers: { "content-type": "image/gif" } });
  expect(answerOf(take({ body: "[5]" })).body).toBe("0");
  // Never the strict answer to a URL-encoded body: the SDKs take it for a failure.
  expect(answerOf(take({ path: "/import", body, query: "strict=1" })).body).toBe("1");
  const raw = '[{"event":"e","properties":{"token":"in"}},{"event":""}]';
  expect(answerOf(take({ path: "/import", body: raw, query: "strict=0" })).body).toBe("1");
  const strict = answerOf(take({ path: "/import", body: raw, query: "strict=1" }));
  expect(strict.status).toBe(400);
  expect(JSON.parse(strict.body)).toMatchObject({ num_records_imported: 1, failed_records: [{ index: 1 }] });
  expect(JSON.parse(answerOf(take({ path: "/import", body: raw.replace(/,\{"event":""\}/, "") })).body)).toEqual({
    code: 200,
    num_records_imported: 1,
    status: "OK",
  });
});

test("a key is found in each item, or in the head of an import; a wrong one refuses the whole request", () => {
  const event = (token?: unknown): string => JSON.stringify({ event: "e", properties: { token } });
  const refused = { refusal: { kind: "unauthorized" } };
  expect(keysIn(take({ body: event("in") }))).toEqual(["in"]);
  for (const token of ["no", "", 5, null, {}, "x".repeat(5_000)])
    expect(take({ body: event(token), options: { keyless: true } })).toMatchObject(refused);
  expect(take({ body: event() })).toMatchObject({ refusal: { kind: "unauthorized", isKeyless: true } });
  expect(keysIn(take({ body: event(), options: { keyless: true } }))).toEqual([undefined]);
  expect(take({ body: `[${event("in")},${event("no")}]` })).toMatchObject(refused);
  expect(take({ body: `[${event("in")},${event()}]` })).toMatchObject(refused);
  // Mixpanel takes it and throws it away.
  expect(answerOf(take({ body: event("no"), options: { strict: true } })).body).toBe("1");
  const basic = (text: string): Sent => ({
    path: "/import",
    headers: { authorization: `Basic ${Buffer.from(text).toString("base64")}` },
  });
  // The head names the source, whatever a token says.
  expect(keysIn(take({ ...basic("in:"), body: event("another") }))).toEqual([undefined]);
  expect(keysIn(take({ ...basic("name:secret"), query: "project_id=1", body: event() }))).toEqual([undefined]);
  expect(take({ ...basic("no:"), body: event("in") })).toMatchObject(refused);
  expect(keysIn(take({ path: "/import", query: "api_key=old", body: event() }))).toEqual([undefined]);
  expect(keysIn(take({ path: "/import", body: event("in") }))).toEqual(["in"]);
  const asked = { method: "POST", query: "api_key=old", headers: {} };
  expect(mixpanelInbound.key({ ...asked, path: "/import/" })).toBe("old");
  expect(mixpanelInbound.key({ ...asked, path: "/track" })).toBeUndefined();
  const headOf = (text: string): InboundRequest => ({ ...asked, query: "", path: "/import", ...basic(text) });
  expect(mixpanelInbound.key(headOf("in:"))).toBe("in");
  expect(mixpanelInbound.key(headOf("name:secret"))).toBe("name:secret");
  expect(mixpanelInbound.key({ ...headOf(""), headers: { authorization: "Basic %%%" } })).toBe("");
  expect(mixpanelInbound.keyInBody?.(headOf("no:"))).toBe(false);
  expect(mixpanelInbound.keyInBody?.({ ...asked, path: "/track" })).toBe(true);
});

test("items of several tokens become parts of several sources, each in order and without its token", () => {
  const event = (name: string, token: string): string =>
    `{"event":"${name}","properties":{"token":"${token}","time":NaN}}`;
  const taken = take({ body: `[${event("a", "in")}, ${event("b", "old")}, ${event("c", "in")}, 5]` });
  expect(keysIn(taken)).toEqual(["in", "old"]);
  const added = `"time":null,"$insert_id":"${MADE}","distinct_id":"","ip":0`;
  expect(partsIn(taken)).toEqual([
    [`{"event":"a","properties":{${added}}}`, `{"event":"c","properties":{${added}}}`],
    [`{"event":"b","properties":{${added}}}`],
  ]);
  expect(taken).toMatchObject({ parts: [{ refusedByCode: new Map([["invalid", 1]]) }, {}] });
});

test("a page of another origin may send with cookies", () => {
  const request: InboundRequest = {
    method: "OPTIONS",
    path: "/track/",
    query: "",
    headers: { origin: "http://page.test" },
  };
  const route = mixpanelInbound.match("/track/");
  expect(route?.headers?.(request, OPTIONS)).toMatchObject({
    "access-control-allow-origin": "http://page.test",
    "access-control-allow-credentials": "true",
  });
  const allowedOrigins = ["http://a.test", "http://b.test"];
  expect(route?.headers?.(request, { ...OPTIONS, own: { ...OWN, allowedOrigins } })).toMatchObject({
    "access-control-allow-origin": "http://a.test",
  });
  expect(route?.preflight?.(request, { ...OPTIONS, own: { ...OWN, allowedHeaders: ["X-Mine"] } })).toMatchObject({
    status: 204,
    headers: { "access-control-allow-headers": "Authorization, Content-Type, X-Requested-With, X-Mine" },
  });
});

test("refusals are in the format of their path", () => {
  const refusal = { kind: "unauthorized", message: "no" } as const;
  const asked = { method: "POST", query: "", headers: {} };
  expect(mixpanelInbound.refuse(refusal, { ...asked, path: "/import" })).toMatchObject({
    status: 401,
    body: '{"code":401,"error":"no","status":"Unauthorized"}',
  });
  expect(mixpanelInbound.refuse(refusal, { ...asked, path: "/track/" })).toMatchObject({
    status: 401,
    body: '{"error":"no","status":"error"}',
  });
  expect(mixpanelInbound.refuse({ kind: "invalid", message: "no" }, { ...asked, path: "/track" }).body).toBe(
    '{"error":"no","status":0}',
  );
});

test("what cannot be decoded, and too much at once, is refused", () => {
  const invalid = { refusal: { kind: "invalid" } };
  for (const body of ["", "data=", "data=%%%", "data=!!!!", "x=1", "data=/w==", "data=%7B%FF%7D", "data=eyJ", "5"])
    expect(take({ body }), body).toMatchObject(invalid);
  const many = (count: number): string =>
    `[${Array.from({ length: count }, () => '{"event":"e","properties":{"token":"in"}}').join(",")}]`;
  expect(take({ body: many(2_001) })).toMatchObject({ refusal: { kind: "too_large" } });
  expect(storedIn(take({ body: many(2_000) }))).toHaveLength(2_000);
  expect(take({ body: many(2).replace("}},", "}}\n").slice(1, -1), options: { maxEvents: 1 } })).toMatchObject({
    refusal: { kind: "too_large" },
  });
});

/** Far above what a linear step takes for the bodies here, far below what a quadratic one does. */
const SOON_MS = 5_000;
const LARGE_BYTES = 4_000_000;
const filled = (head: string, item: string, tail: string): string =>
  head + Array.from({ length: Math.floor(LARGE_BYTES / (item.length + 1)) }, () => item).join(",") + tail;

test.each<[string, string]>([
  ["tokens in properties", filled('{"event":"e","properties":{', '"token":"in"', "}}")],
  ["members of properties", filled('{"event":"e","properties":{"token":"in",', '"$insert_id":"a"', "}}")],
  ["members of events", filled('{"properties":{"token":"in"},', '"event":"e"', "}")],
  ["bare NaN", filled('{"event":"e","properties":{"token":"in","a":[', "NaN", "]}}")],
  ["parameters of a body", `${"a=b&".repeat(LARGE_BYTES / 4)}data=${base64({ event: "e" })}`],
  ["escapes in a body", `data=${"%7B".repeat(LARGE_BYTES / 3)}`],
  ["lines", `${'{"event":"e"}\n'.repeat(LARGE_BYTES / 14)}`],
])("%s take linear time", (_what, body) => {
  const startedAtMs = performance.now();
  take({ body });
  expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS);
});

test("no body makes it throw, and what is stored of any is JSON without a token at its place", () => {
  const pieces = fc.constantFrom(
    ...'[ ] { } , : " \\ % + & = \n data= verbose=1 NaN -Infinity 1e9 \\u0074oken %7B %5B eyJ'.split(" "),
    '{"event":"e","properties":{"token":"in"',
    '"properties":{"token":"old"}',
    '{"$token":"in","$distinct_id":"u"',
    '"token":"in"',
    "}}",
  );
  const paths = fc.constantFrom("/track", "/import", "/engage", "/groups");
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), paths, (parts, path) => {
      const taken = take({ path, body: parts.join("") });
      if (!("parts" in taken)) return;
      for (const text of partsIn(taken).flat()) {
        const item = JSON.parse(text) as { readonly properties?: object };
        const isEvent = path === "/track" || path === "/import";
        expect(isEvent ? item.properties : item).not.toHaveProperty(isEvent ? "token" : "$token");
      }
    }),
    { numRuns: 2_000 },
  );
});
