/**
 * What inbound adapters make of bodies, hostile ones above all: what is stored, what is cut out,
 * and how long it takes.
 */
import { type InboundOptions, type Taken, vendorOf } from "@waybill/vendors";
import { ADAPTERS, adapterOf, type Vendor } from "@waybill/vendors/registry";
import fc from "fast-check";
import { expect, test } from "vitest";

const OPTIONS: InboundOptions = {
  strict: false,
  isKey: (key) => key === "in" || key === "old",
  makeId: () => "id",
  now: () => 0,
};
/** Far above what a linear step takes for the bodies here, far below what a quadratic one does. */
const SOON_MS = 5_000;
const LARGE_BYTES = 4_000_000;

function take(
  vendor: Vendor,
  path: string,
  body: string | Uint8Array,
  more: Partial<InboundOptions> & { readonly headers?: Record<string, string> } = {},
): Taken {
  const request = { method: "POST", path, query: "", headers: more.headers ?? {} };
  const taken = adapterOf(vendor)
    .inbound.match(path)
    ?.take(Buffer.from(body as string), request, { ...OPTIONS, ...more });
  if (taken === undefined) throw new Error(`${vendor} has no ${path}`);
  return taken;
}

/** The stored events as texts. */
function storedIn(taken: Taken): string[] {
  const [part, ...others] = "parts" in taken ? taken.parts : [];
  if (part === undefined) throw new Error(JSON.stringify(taken));
  expect(others).toEqual([]);
  const { body, ends } = part.events;
  const bytes = Buffer.concat(body);
  expect(ends.at(-1)).toBe(bytes.length);
  return Array.from(ends, (end, index) =>
    bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] as number) + 1, end).trim(),
  );
}

function soon<T>(work: () => T): T {
  const startedAtMs = performance.now();
  const result = work();
  expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS);
  return result;
}

const filled = (head: string, item: string, tail: string): string =>
  head + Array.from({ length: Math.floor(LARGE_BYTES / (item.length + 1)) }, () => item).join(",") + tail;

test.each<[string, Vendor, string, string]>([
  ["short members beside a batch", "letter", "/v1/batch", filled('{"batch":[],', '"":1', "}")],
  ["members with escapes", "letter", "/v1/batch", filled('{"batch":[],', '"\\u0062atch":1', "}")],
  [
    "bare NaN in one item",
    "letter",
    "/v1/batch",
    filled('{"batch":[{"type":"track","userId":"u","event":"e","a":[', "NaN", "]}]}"),
  ],
  [
    "bare NaN in many items",
    "letter",
    "/v1/batch",
    `{"batch":[${Array.from({ length: 500 }, () => `{"type":"track","userId":"u","event":"e","a":[${Array.from({ length: 2_000 }, () => "NaN").join(",")}]}`).join(",")}]}`,
  ],
  ["one member many times", "letter", "/v1/track", filled('{"userId":"u","event":"e",', '"type":"x"', "}")],
  [
    "deep nesting",
    "letter",
    "/v1/track",
    filled('{"userId":"u","event":"e","a":[', "[".repeat(200) + "]".repeat(200), "]}"),
  ],
  ["arrays without end", "launchdarkly", "/bulk", filled('[{"a":[', "[]", "]}]")],
  [
    "keys in properties",
    "posthog",
    "/batch",
    filled('{"api_key":"in","batch":[{"event":"e","properties":{', '"token":"in"', "}}]}"),
  ],
  [
    "other texts for keys",
    "posthog",
    "/batch",
    filled('{"api_key":"in","batch":[{"event":"e","properties":{', '"token":"x"', "}}]}"),
  ],
  ["keys beside the batch", "posthog", "/batch", filled('{"batch":[{"event":"e"}],', '"api_key":"in"', "}")],
  ["members of an event", "posthog", "/e", filled('{"api_key":"in","event":"e",', '"uuid":"u"', "}")],
  ["properties", "getfluxly", "/v1/events", filled('{"event":"e","user_id":"u","a":[', "1", "]}")],
  ["members of a user", "trophy", "/metrics/m/event", filled('{"value":1,"user":{"id":"u",', '"a":1', "}}")],
])("%s take linear time: %s %s", (_what, vendor, path, body) => {
  soon(() => take(vendor, path, body));
});

test("a batch of too many events is refused without looking at the rest of it", () => {
  const many = (head: string, item: string, tail: string): string =>
    `${head}${Array.from({ length: 1_001 }, () => item).join(",")}${tail}`;
  for (const [vendor, path, body] of [
    ["letter", "/v1/batch", many('{"batch":[', "{}", "no JSON")],
    ["getfluxly", "/v1/events/batch", many('{"events":[', "{}", "]")],
    ["launchdarkly", "/bulk", many("[", "{}", "")],
    ["posthog", "/batch", many('{"api_key":"in","batch":[', "{}", "]}")],
  ] as const)
    expect(take(vendor, path, body, { maxEvents: 1_000 }), vendor).toMatchObject({ refusal: { kind: "too_large" } });
  expect(take("launchdarkly", "/bulk", many("[", "{}", "]"), { maxEvents: 1_001 })).toHaveProperty("parts");
});

test("PostHog's keys are cut out of events as a parser would find them; all else stays as it was", () => {
  const cases: readonly (readonly [string, string])[] = [
    ['{"event":"e","api_key":"in"}', '{"event":"e"}'],
    ['{"api_key":"in" , "event":"e"}', '{"event":"e"}'],
    ['{ "token":"in","event":"e","api_key":"in" }', '{ "event":"e" }'],
    ['{"event":"e" , "token" : {"a":[1,2]} , "n": 1.0}', '{"event":"e" , "n": 1.0}'],
    ['{"event":"e","properties":{"token":"in"}}', '{"event":"e","properties":{}}'],
    [
      '{"event":"e","properties":{"a":1,"token":"in","b":[{"token":"in"}]}}',
      '{"event":"e","properties":{"a":1,"b":[{"token":"in"}]}}',
    ],
    ['{"event":"e","properties":{"token":"mine","api_key":"old"}}', '{"event":"e","properties":{"token":"mine"}}'],
    ['{"event":"e","prop\\u0065rties":{"t\\u006fken":"in","x":"in"}}', '{"event":"e","prop\\u0065rties":{"x":"in"}}'],
    ['{"event":"e","properties":"token"}', '{"event":"e","properties":"token"}'],
    [
      '{"event":"e","properties":{"token":"in"},"properties":{"token":"in"}}',
      '{"event":"e","properties":{},"properties":{}}',
    ],
  ];
  const batch = `{"batch":[${cases.map(([event]) => event).join(" , ")}],"api_key":"in"}`;
  expect(storedIn(take("posthog", "/batch", batch))).toEqual(cases.map(([, stored]) => stored));
  for (const [event, stored] of cases) {
    const single = event.replace(/^\{/, '{"api_key":"in",');
    expect(storedIn(take("posthog", "/e", single))).toEqual([stored.replace(/^\{ /, "{")]);
  }
});

test("what is left of an event without its keys is what a parser would leave", () => {
  const member = fc.tuple(
    fc.constantFrom("event", "uuid", "token", "api_key", "a", "b", "properties"),
    fc.jsonValue({ maxDepth: 2 }),
  );
  fc.assert(
    fc.property(fc.array(member, { maxLength: 8 }), fc.nat(2), (members, indent) => {
      const own = members.filter(([name]) => name !== "event" && name !== "properties");
      const properties = Object.fromEntries(own.map(([name], index) => [name, index % 2 === 0 ? "in" : "mine"]));
      const event = { ...Object.fromEntries(own), event: "e", properties };
      const text = JSON.stringify({ api_key: "in", batch: [event] }, undefined, indent);
      const [stored] = storedIn(take("posthog", "/batch", text));
      const { token: _token, api_key: _key, ...rest } = event as Record<string, unknown>;
      const kept = Object.entries(properties).filter(
        ([name, value]) => !(value === "in" && (name === "token" || name === "api_key")),
      );
      expect(JSON.parse(stored as string)).toEqual(
        JSON.parse(JSON.stringify({ ...rest, properties: Object.fromEntries(kept) })),
      );
    }),
  );
});

test("a request without PostHog's key is refused unless the source takes it; a key that is there must be known", () => {
  const refused = { refusal: { kind: "unauthorized" } };
  expect(take("posthog", "/e", '{"event":"e"}')).toMatchObject(refused);
  expect(take("posthog", "/e", '{"event":"e"}', { keyless: true })).toHaveProperty("parts");
  for (const key of ['"no"', "5", "null", '""', `"${"in".repeat(4_000)}"`])
    expect(take("posthog", "/e", `{"event":"e","api_key":${key}}`, { keyless: true }), key).toMatchObject(refused);
  expect(take("posthog", "/e", '{"event":"e","api_key":"no","api_key":"in"}')).toMatchObject({
    parts: [{ key: "in" }],
  });
  expect(take("posthog", "/e", '{"event":"e","token":"in"}')).toMatchObject({ parts: [{ key: "in" }] });
});

test("a single event of Letter's has the type of its path and no other", () => {
  expect(
    storedIn(take("letter", "/v1/track", '{ "type":"x","userId":"u" , "event":"e","typ\\u0065":1,"n":NaN}')),
  ).toEqual(['{"type":"track","userId":"u" , "event":"e","n":null}']);
});

test("refusals of items are short, whatever the items are", () => {
  const taken = take(
    "letter",
    "/v1/batch",
    `{"batch":[{"type":"${"x".repeat(100_000)}"},{"type":{"a":1}},{"type":"q"},5]}`,
  );
  const body = "answer" in taken && typeof taken.answer === "function" ? taken.answer(0).body : "";
  const { rejected } = JSON.parse(body) as { rejected: { message: string }[] };
  expect(rejected.map(({ message }) => message)).toEqual([
    "unknown type",
    "unknown type",
    'unknown type "q"',
    "not an object",
  ]);
});

test("GetFluxly's rules are found in the bytes as a parser would find them", () => {
  const event = (fields: string): string => `{"events":[{${fields}}]}`;
  const fine = '"event":"order_completed","user_id":"u"';
  expect(take("getfluxly", "/v1/events/batch", event(fine))).toMatchObject({ parts: [{ ids: [""] }] });
  expect(take("getfluxly", "/v1/events/batch", event(`${fine},"message_id":"m\\u0031"`))).toMatchObject({
    parts: [{ ids: ["m1"] }],
  });
  for (const [fields, detail] of [
    ['"user_id":"u"', "event is required"],
    ['"event":"Not Snake","user_id":"u"', "snake_case"],
    [`"event":"${"a".repeat(65)}","user_id":"u"`, "snake_case"],
    ['"event":"a","user_id":""', "an id is required"],
    ['"event":"a","event":5,"user_id":"u"', "event is required"],
    [
      `${fine},"properties":{${Array.from({ length: 33 }, (_, index) => `"p${index}":1`).join(",")}}`,
      "more than 32 keys",
    ],
  ] as const) {
    const taken = take("getfluxly", "/v1/events/batch", event(fields));
    const body = "answer" in taken && typeof taken.answer === "function" ? taken.answer(0).body : "";
    expect(body, fields).toContain(detail);
  }
});

test("an SDK's key is not kept with a diagnostic, nor a schema that is not a number of LaunchDarkly's", () => {
  const headers = { authorization: "in", cookie: "c", "user-agent": "SDK/1", constructor: "x" };
  const taken = take("launchdarkly", "/diagnostic", "{}", { headers });
  expect(taken).toMatchObject({
    parts: [{ metadata: 'launchdarkly diagnostic server {"user-agent":"SDK/1","constructor":"x"}' }],
  });
  for (const schema of [
    "9".repeat(400),
    "99999999999999999999999",
    "1001",
    "-3",
    "x",
    "",
    "3abc",
    "4 ",
    "4.0",
    "1e1",
    "0x3",
    "0",
  ])
    expect(
      take("launchdarkly", "/bulk", "[{}]", { headers: { "x-launchdarkly-event-schema": schema } }),
      schema,
    ).toMatchObject({ parts: [{ metadata: "launchdarkly server 1 " }] });
  for (const schema of ["4", "+4", "004"])
    expect(
      take("launchdarkly", "/bulk", "[{}]", { headers: { "x-launchdarkly-event-schema": schema } }),
      schema,
    ).toMatchObject({ parts: [{ metadata: "launchdarkly server 4 " }] });
});

test("paths of prototype names are nobody's", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"])
    for (const { name: vendor, inbound } of ADAPTERS)
      for (const path of [`/${name}`, name, `/v1/${name}`, `/mobile/${name}`])
        expect(inbound.match(path), `${vendor} ${path}`).toBeUndefined();
});

test("ids are found in stored events where they count, not in nested objects", () => {
  const events = [
    '{"event":"e","properties":{"uuid":"inner"},"uuid":"one"}',
    '{"uuid":"x\\u0031","event":"é"}',
    '{"event":"e"}',
    '{"uuid":"first","uuid":"last"}',
  ].join(",");
  const body = Buffer.from(events);
  const found = adapterOf("posthog")
    .eventIds?.(body)
    .map(({ idStart, idEnd }) => (idStart < 0 ? undefined : body.toString("utf8", idStart, idEnd)));
  expect(found).toEqual(["one", undefined, undefined, "last"]);
  const fluxly = Buffer.from('{"message_id":"m","uuid":"u"}');
  const ofFluxly = adapterOf("getfluxly").eventIds?.(fluxly) ?? [];
  expect(ofFluxly.map(({ idStart, idEnd }) => fluxly.toString("utf8", idStart, idEnd))).toEqual(["m"]);
  expect(vendorOf("posthog")).toBe("posthog");
});

test("PostHog's events from a page: an array or one event, the key in properties.token, which is not stored", () => {
  const event = (token: string, more = ""): string => `{"event":"e","properties":{"token":"${token}","a":1}${more}}`;
  const taken = take("posthog", "/e/", `[${event("in", ',"uuid":"u-1"')},${event("in")}]`);
  expect(taken).toMatchObject({ parts: [{ key: "in", ids: ["u-1", ""] }] });
  expect(storedIn(taken).map((text) => JSON.parse(text) as unknown)).toEqual([
    { event: "e", properties: { a: 1 }, uuid: "u-1" },
    { event: "e", properties: { a: 1 } },
  ]);
  expect(take("posthog", "/i/v0/e", event("in"))).toMatchObject({ parts: [{ key: "in" }] });
  expect(take("posthog", "/e", event("no"))).toMatchObject({ refusal: { kind: "unauthorized" } });
  for (const body of ["[]", "[1]", '[{"event":"e"}]', '[{"event":"e","properties":{"token":5}}]'])
    expect(take("posthog", "/e", body), body).toMatchObject({ refusal: { kind: "unauthorized" } });
  expect(take("posthog", "/batch", `[${event("in")}]`)).toMatchObject({ refusal: { kind: "invalid" } });
});

test("a page at another origin may send to PostHog's paths, and its preflight is answered", () => {
  const route = adapterOf("posthog").inbound.match("/i/v0/e/");
  const request = { method: "OPTIONS", path: "/i/v0/e/", query: "", headers: { origin: "https://shop.example" } };
  const cors = { "access-control-allow-origin": "https://shop.example", vary: "Origin" };
  expect(route?.preflight?.(request, OPTIONS)).toMatchObject({ status: 204, headers: cors });
  expect(route?.headers?.({ ...request, method: "POST" }, OPTIONS)).toMatchObject(cors);
  expect(route?.headers?.({ ...request, headers: {} }, OPTIONS)).toMatchObject({ "access-control-allow-origin": "*" });
});

test("requests are counted by few patterns, whatever names and keys are in their paths", () => {
  const patternOf = (vendor: Vendor, path: string): string | undefined =>
    adapterOf(vendor).inbound.match(path)?.pattern;
  expect(patternOf("segment", "//v1//batch/")).toBe("/v1/batch");
  expect(patternOf("segment", "/v1/t")).toBe("/v1/t");
  expect(patternOf("launchdarkly", "/events/bulk/env-1")).toBe("/events/bulk/*");
  expect(patternOf("launchdarkly", "/a/env-1.gif")).toBe("/a/*.gif");
  expect(patternOf("trophy", "/v1/metrics/a/b/event")).toBe("/metrics/*/event");
  expect(patternOf("trophy", "/v1/users/user-1/metrics/words")).toBe("/users/*/metrics/*");
  const name = fc.stringMatching(/^[a-z0-9._~-]{6,20}$/).map((random) => `x${random}`);
  const part = fc.oneof(
    name,
    fc.constantFrom("v1", "api", "events", "bulk", "users", "metrics", "event", "a", "batch", "points", "diagnostic"),
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), fc.constantFrom("", "/", ".gif"), (parts, end) => {
      const path = `/${parts.join("/")}${end}`;
      for (const { inbound } of ADAPTERS) {
        const pattern = inbound.match(path)?.pattern ?? "";
        for (const random of parts.filter((one) => one.startsWith("x"))) expect(pattern).not.toContain(random);
      }
    }),
  );
});
