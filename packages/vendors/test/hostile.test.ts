/**
 * What strangers say: any answer of a vendor has a meaning, any stored event a canonical one or
 * none, any event a request or a reason.
 */
import { type HttpResponse, type Protocol, requestFault, TextBatch, type Translate, WaybillError } from "@waybill/core";
import {
  getfluxlyFromCanonical,
  getfluxlyProtocol,
  launchdarklyFromCanonical,
  launchdarklyProtocol,
  launchdarklyRelayed,
  letterFromCanonical,
  letterProtocol,
  posthogFromCanonical,
  posthogProtocol,
  Summariser,
  segmentProtocol,
  slug,
  stableUuid,
  trophyFromCanonical,
  trophyProtocol,
  valuedFromCanonical,
  valuedProtocol,
  writeTrophy,
} from "@waybill/vendors";
import { toCanonical, VENDORS } from "@waybill/vendors/registry";
import fc from "fast-check";
import { expect, test } from "vitest";

const version = "1.2.3";
const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  segment: segmentProtocol({ writeKey: "k", library: { name: "x", version } }),
  letter: letterProtocol({ apiKey: "k", version }),
  getfluxly: getfluxlyProtocol({ token: "k", version }),
  trophy: trophyProtocol({ apiKey: "k", version }),
  valued: valuedProtocol({ token: "k", platform: "Node/20", version }),
  posthog: posthogProtocol({ apiKey: "k", version }),
  launchdarkly: launchdarklyProtocol({
    url: "https://x.test/bulk",
    credential: { kind: "sdkKey", value: "k" },
    userAgent: "x",
  }),
  launchdarklyRelayed: launchdarklyRelayed({
    sdkKey: "k",
    mobileKey: "m",
    environmentId: "e",
    userAgent: "x",
    strict: false,
  }),
};
const TRANSLATIONS: Readonly<Record<string, Translate>> = {
  letter: letterFromCanonical({}, toCanonical),
  getfluxly: getfluxlyFromCanonical({}, toCanonical),
  trophy: trophyFromCanonical(undefined, {}, toCanonical),
  trophyMetrics: trophyFromCanonical(
    { E: { metric: "m", value: "n", attributes: ["a", "toString", "__proto__"] } },
    {},
    toCanonical,
  ),
  valued: valuedFromCanonical({}, toCanonical),
  launchdarkly: launchdarklyFromCanonical({}, toCanonical),
  posthog: posthogFromCanonical({}, toCanonical),
};

/**
 * Objects that no text can be had of, names that every object has, and what numbers and texts may
 * be.
 */
const hostile = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    {},
    [],
    [null],
    { toString: null },
    { toString: null, valueOf: null },
    { toJSON: "x" },
    JSON.parse('{"__proto__":{"toString":null}}'),
    { constructor: { name: 1 } },
    { length: -1 },
    1e300,
    -1e300,
    -0,
    2 ** 53,
    true,
    "",
    "__proto__",
    "constructor",
    "toString",
    "\ud800",
    "\u0000",
    "\u001b[2J",
    "a\nb",
    "x".repeat(5_000),
    "..",
    "/",
  ),
  fc.jsonValue(),
);
const NAMES = [
  "type",
  "event",
  "userId",
  "anonymousId",
  "messageId",
  "timestamp",
  "properties",
  "traits",
  "context",
  "integrations",
  "name",
  "category",
  "groupId",
  "previousId",
  "email",
  "accountId",
  "timezone",
  "user_id",
  "external_id",
  "anonymous_id",
  "previous_id",
  "occurred_at",
  "message_id",
  "key",
  "user",
  "customer",
  "attributes",
  "occured_at",
  "kind",
  "userKey",
  "contextKeys",
  "creationDate",
  "data",
  "metricValue",
  "distinct_id",
  "uuid",
  "value",
  "version",
  "variation",
  "__proto__",
] as const;
const KINDS = [
  "track",
  "identify",
  "page",
  "screen",
  "group",
  "alias",
  "custom",
  "feature",
  "action",
  "sync",
  "pageview",
  "$identify",
  "$screen",
  "constructor",
  "toString",
];
/** As JSON text: also members that are spelled like those every object has. */
const member = fc.tuple(
  fc.constantFrom(...NAMES),
  fc.oneof(hostile, fc.constantFrom<unknown>(...KINDS), fc.constant({ id: { toString: null }, key: null, custom: 5 })),
);
const eventText = fc.oneof(
  hostile.map((value) => JSON.stringify(value)),
  fc
    .array(member, { maxLength: 12 })
    .map(
      (members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`,
    ),
);
const metadata = fc.constantFrom(
  "",
  '{"context":{"groupId":{"toString":null}},"integrations":[]}',
  '{"context":null,"integrations":{"Letter":{},"All":null}}',
  "{not json",
  ...VENDORS.slice(1),
  "getfluxly alias:k",
  "launchdarkly server 4 ",
  "launchdarkly js 1 a\nb",
  `launchdarkly mobile 4 ${"t".repeat(5_000)}`,
  'launchdarkly diagnostic server {"__proto__":"x","transfer-encoding":"chunked","a b":"c"}',
  "launchdarkly diagnostic server {}",
  "nobody knows",
  "constructor",
);

const answer = fc
  .record({
    status: fc.integer({ min: 200, max: 599 }),
    headers: fc.dictionary(
      fc.constantFrom("retry-after", "x-ratelimit-reset", "date", "content-type"),
      fc.oneof(
        fc.string(),
        fc.constantFrom("1e999", "-1", "99999999999999999999", "Mon, 99 Foo", " ", "0x10", "Infinity"),
      ),
    ),
    body: fc.oneof(
      fc.string(),
      hostile.map((value) => JSON.stringify(value)),
      fc
        .tuple(
          fc.constantFrom("rejected", "errors", "error", "message", "alias"),
          fc.oneof(
            hostile,
            fc.array(
              fc.oneof(
                hostile,
                fc.record(
                  {
                    index: fc.oneof(hostile, fc.integer({ min: -2, max: 4 }), fc.double()),
                    code: hostile,
                    message: hostile,
                    error: hostile,
                    detail: hostile,
                  },
                  { requiredKeys: [] },
                ),
              ),
              { maxLength: 5 },
            ),
            fc.record({ code: hostile, reason: hostile, message: hostile }, { requiredKeys: [] }),
          ),
        )
        .map(([name, value]) => JSON.stringify({ [name]: value })),
    ),
    cut: fc.option(fc.constant(true), { nil: undefined }),
  })
  .map(({ cut, ...rest }): HttpResponse => ({ ...rest, ...(cut === undefined ? {} : { cut }) }));

const batchOf = (texts: readonly string[], about: string): TextBatch =>
  new TextBatch({ key: "k", metadata: about, oldestAtMs: 0, texts, sizes: texts.map(({ length }) => length) });

test.each(Object.entries(PROTOCOLS))("%s: any answer has a meaning, of one outcome per event", (_name, protocol) => {
  fc.assert(
    fc.property(answer, fc.integer({ min: 1, max: 4 }), metadata, (response, count, about) => {
      const batch = batchOf(new Array<string>(count).fill("{}"), about);
      const verdict = protocol.classify(response, batch, Date.UTC(2026, 0, 1));
      if ("split" in verdict) {
        expect(verdict.reason).toBeTypeOf("string");
        return;
      }
      expect(verdict).toHaveLength(count);
      for (const outcome of verdict) {
        expect(["delivered", "retryable", "rejected", "halted"]).toContain(outcome.status);
        if (outcome.status !== "delivered") expect(outcome.reason).toBeTypeOf("string");
        if (outcome.status === "retryable" && outcome.retryAfterMs !== undefined)
          expect(outcome.retryAfterMs).toBeGreaterThanOrEqual(0);
      }
    }),
    { numRuns: 500 },
  );
});

test.each(Object.entries(PROTOCOLS))("%s: any event has a request, or is itself to blame", (_name, protocol) => {
  const stored = fc.oneof(
    eventText,
    fc
      .tuple(hostile, hostile, hostile, hostile, eventText)
      .map(([metric, user, key, tenant, body]) => writeTrophy({ metric, user, key, tenant } as never, body)),
  );
  fc.assert(
    fc.property(stored, metadata, (text, about) => {
      let fault: string | undefined;
      try {
        fault = requestFault(protocol.request(batchOf([text], about), 0));
      } catch (error) {
        // Anything that is thrown blames the event; what all of a batch share says so.
        expect(error).toBeInstanceOf(Error);
        return;
      }
      expect(fault).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

test("any JSON that may be stored has a canonical meaning or none", () => {
  fc.assert(
    fc.property(
      eventText,
      fc.constantFrom(
        "",
        ...VENDORS.slice(1).filter((vendor) => vendor !== "trophy"),
        "getfluxly alias:k",
        "constructor",
        "__proto__",
      ),
      (text, about) => {
        const canonical = toCanonical(text, about);
        if (canonical !== undefined) expect(canonical).toBeTypeOf("object");
      },
    ),
    { numRuns: 1_500 },
  );
});

test.each(Object.entries(TRANSLATIONS))(
  "%s: any event has words there, or a reason; never anything else",
  (name, translate) => {
    fc.assert(
      fc.property(eventText, metadata, (text, about) => {
        if (about === "trophy") return;
        let said: ReturnType<Translate>;
        try {
          said = translate(text, about, "key-1");
        } catch (error) {
          // Only what is not in the wire format that its metadata names.
          expect(error, `${name} ${about} ${text}`).toBeInstanceOf(SyntaxError);
          return;
        }
        if ("text" in said) expect(JSON.parse(said.text)).toBeTypeOf("object");
        else expect("dropped" in said || said.rejected !== "").toBe(true);
      }),
      { numRuns: 800 },
    );
  },
);

const track = (more: object): string =>
  JSON.stringify({ type: "track", event: "E", userId: "u", messageId: "m", ...more });

test("ids and names of a wrong type are left out, numbers are texts, and a time may be a number", () => {
  const said = (text: string): Record<string, unknown> => {
    const translated = posthogFromCanonical()(text, "", "key");
    if (!("text" in translated)) throw new Error(JSON.stringify(translated));
    return JSON.parse(translated.text) as Record<string, unknown>;
  };
  expect(said(track({ userId: 7 }))).toMatchObject({ distinct_id: "7" });
  expect(said(track({ userId: null, anonymousId: "a" }))).toMatchObject({ distinct_id: "a" });
  expect(said(track({ timestamp: 0 }))).toMatchObject({ timestamp: "1970-01-01T00:00:00.000Z" });
  expect(said(track({ timestamp: 1e300 }))).not.toHaveProperty("timestamp");
  expect(said(track({ messageId: { toString: null } }))).toMatchObject({ uuid: stableUuid("key") });
  expect(posthogFromCanonical()(track({ userId: { toString: null } }), "", "key")).toEqual({ dropped: "unsupported" });
  expect(posthogFromCanonical()(track({ event: { toString: null } }), "", "key")).toEqual({ dropped: "unsupported" });
});

test.each(["constructor", "toString", "__proto__", "hasOwnProperty"])(
  "an event of the type or name %s is nothing special",
  (name) => {
    for (const translate of Object.values(TRANSLATIONS)) {
      expect(translate(JSON.stringify({ type: name, userId: "u", event: "E" }), "", "k")).toEqual({
        dropped: "unsupported",
      });
      const said = translate(track({ event: name }), "", "k");
      expect("text" in said || "dropped" in said).toBe(true);
    }
  },
);

test("the context beside a batch becomes part of each event only as long as it is short", () => {
  const about = (bytes: number): string => JSON.stringify({ context: { x: "y".repeat(bytes), timezone: "UTC" } });
  const identify = JSON.stringify({ type: "identify", userId: "u", messageId: "m" });
  expect(letterFromCanonical()(identify, about(1_000), "k")).toMatchObject({ text: expect.stringContaining("UTC") });
  expect(letterFromCanonical()(identify, about(100_000), "k")).toMatchObject({
    rejected: expect.stringContaining("characters"),
  });
});

test("Trophy: what HTTP refuses of an event blames the event, with the header's name and not its value", () => {
  const { trophy } = PROTOCOLS as { readonly trophy: Protocol };
  for (const [head, named] of [
    [{ metric: "m", key: "sécret\n" }, "idempotency-key"],
    [{ metric: "m", key: "€secret" }, "idempotency-key"],
    [{ metric: "m", key: "secret".repeat(1_000) }, "idempotency-key"],
    [{ metric: "m", tenant: "secret\u0000" }, "tenant-id"],
    [{ metric: ".." }, "metric"],
    [{ metric: "" }, "metric"],
    [{ metric: "\ud800" }, "metric"],
    [{ user: ".." }, "user id"],
    [{ user: "" }, "user id"],
  ] as const) {
    const sent = (): unknown => trophy.request(batchOf([writeTrophy(head, "{}")], "trophy"), 0);
    expect(sent).toThrow(expect.objectContaining({ code: "WAYBILL_EVENT", message: expect.stringContaining(named) }));
    expect(sent).not.toThrow(/secret/);
  }
  expect(trophy.request(batchOf([writeTrophy({ metric: "a/../b", key: "k" }, "{}")], "trophy"), 0).url).toBe(
    "https://api.trophy.so/v1/metrics/a%2F..%2Fb/event",
  );
});

test("a diagnostic's headers go along without a key, without what frames a message, and only if they fit", () => {
  const { launchdarklyRelayed: relayed } = PROTOCOLS as { readonly launchdarklyRelayed: Protocol };
  const requestOf = (headers: object): ReturnType<Protocol["request"]> =>
    relayed.request(batchOf(["{}"], `launchdarkly diagnostic js ${JSON.stringify(headers)}`), 0);
  expect(requestOf({ authorization: "inbound", "content-length": "5", "x-a": "b", connection: "x" }).headers).toEqual({
    "content-type": "application/json",
    "x-a": "b",
  });
  expect(() => requestOf({ a: "x".repeat(4_000), b: "x".repeat(4_000) })).toThrow(WaybillError);
});

test("a list of refused events that was cut is asked for in halves; one that can be read names its events", () => {
  const { segment, letter, getfluxly } = PROTOCOLS as Record<string, Protocol>;
  for (const [protocol, list] of [
    [segment, "rejected"],
    [letter, "rejected"],
    [getfluxly, "errors"],
  ] as const) {
    const body = `{"${list}":[{"index":1,"code":"a","error":"a","message":"b","detail":"b"}`;
    const batch = batchOf(["{}", "{}"], "");
    expect(protocol?.classify({ status: 200, headers: {}, body, cut: true }, batch, 0)).toMatchObject({ split: true });
    expect(protocol?.classify({ status: 200, headers: {}, body: `${body}]}` }, batch, 0)).toEqual([
      { status: "delivered" },
      { status: "rejected", reason: "a: b" },
    ]);
  }
});

test("refused events that are named by their place alone are refused; a list of places costs no more than the batch", () => {
  const { segment } = PROTOCOLS as { readonly segment: Protocol };
  const refused = (more: unknown): number[] => {
    const body = JSON.stringify({ rejected: [{ index: 0, code: "a", message: "b" }], rejectedMore: more });
    const verdict = segment.classify({ status: 200, headers: {}, body }, batchOf(new Array(10).fill("{}"), ""), 0);
    if ("split" in verdict) throw new Error(verdict.reason);
    return verdict.flatMap(({ status }, index) => (status === "rejected" ? [index] : []));
  };
  expect(refused("2+3,7+1")).toEqual([0, 2, 3, 4, 7]);
  expect(refused("8+999999999")).toEqual([0, 8, 9]);
  for (const odd of [
    undefined,
    null,
    5,
    {},
    { toString: null },
    [],
    "",
    "x",
    "1",
    "NaN+1",
    "-5+3",
    "1+-1",
    "99+1",
    "0.5+0.1",
  ])
    expect(refused(odd)).toEqual([0]);
  // Every range of all: each place once.
  expect(refused("0+999999999,".repeat(20_000))).toHaveLength(10);
});

test("a name that is far too long has no slug, and costs nothing", () => {
  expect(slug("a".repeat(1_001), "_")).toBe("");
  expect(slug("Order Completed", "_")).toBe("order_completed");
});

test("flags are data of somebody else: whatever they are, old events are summarised", () => {
  fc.assert(
    fc.property(fc.array(eventText, { maxLength: 4 }), hostile, fc.constantFrom(1, 2), (texts, flag, schema) => {
      const summariser = new Summariser({ schema, inlineUsers: false, flag: () => flag as never, now: () => 0 });
      const { texts: said, rejected, delivered } = summariser.summarise(texts);
      for (const text of said) JSON.parse(text);
      expect(rejected.size).toBeLessThanOrEqual(texts.length);
      delivered(Number.NaN);
    }),
    { numRuns: 500 },
  );
});

test("a code, a flag or a time of a wrong type harms nothing beside it", () => {
  const { segment } = PROTOCOLS as { readonly segment: Protocol };
  const body =
    '{"rejected":[{"index":0,"code":{"toString":null},"message":"b"},{"index":0.5},{"index":"1"},{"index":"length"},{"index":-1},{"index":2},null,5]}';
  expect(segment.classify({ status: 200, headers: {}, body }, batchOf(["{}", "{}"], ""), 0)).toEqual([
    { status: "rejected", reason: "undefined: b" },
    { status: "delivered" },
  ]);

  const feature = '{"kind":"feature","key":"f","user":{"key":"u"},"creationDate":1,"version":1,"value":1}';
  for (const flag of [{}, null, 5, { variations: {} }, { variations: [1], trackEvents: "x" }]) {
    const summariser = new Summariser({ schema: 1, inlineUsers: false, flag: () => flag as never, now: () => 0 });
    const { texts, rejected } = summariser.summarise([feature]);
    expect(rejected.size).toBe(0);
    expect(texts.at(-1)).toContain('"summary"');
  }

  for (const creationDate of ["1e300", "-1e300", "null", '"x"']) {
    const custom = `{"kind":"custom","key":"k","userKey":"u","creationDate":${creationDate}}`;
    expect(toCanonical(custom, "launchdarkly server 4 ")).toEqual({
      type: "track",
      userId: "u",
      event: "k",
      properties: {},
    });
  }
});

test("a user key of any length has its index event, but only one of LaunchDarkly's length is remembered", () => {
  const summariser = new Summariser({ schema: 2, inlineUsers: false, flag: () => undefined, now: () => 0 });
  const event = (key: string): string =>
    JSON.stringify({ kind: "feature", key: "f", user: { key }, creationDate: 1, version: 1 });
  const indexed = (key: string): number =>
    summariser.summarise([event(key), event(key)]).texts.filter((text) => text.startsWith('{"kind":"index"')).length;
  expect(indexed("k".repeat(256))).toBe(1);
  expect(indexed("k".repeat(257))).toBe(2);
});

test("any write key makes a destination", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (writeKey) => {
      const protocol = segmentProtocol({ writeKey, library: { name: "x", version } });
      const request = protocol.request(batchOf(["{}"], ""), 0);
      expect(requestFault(request)).toBeUndefined();
      const basic = Buffer.from(request.headers["authorization"]?.slice("Basic ".length) ?? "", "base64").toString();
      expect(basic).toBe(`${Buffer.from(writeKey).toString()}:`);
    }),
  );
});
