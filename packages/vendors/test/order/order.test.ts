/** Whose stored events are, read in their bytes: against what `JSON.parse` finds. */
import { orderHash, orderHashesOf, orderKeyOf } from "@waybill/vendors/registry";
import { expect, test } from "vitest";
import { type OrderOf, recordOf } from "./oracle.ts";

const read = (metadata: string, ...events: readonly string[]): readonly OrderOf[] => {
  const { hashes, ties } = orderHashesOf(recordOf(events, metadata));
  return [...hashes].map((hash, index) => ({ hash, tie: ties?.[index] ?? 0 }));
};
const id = (key: string | undefined, other?: string): OrderOf => ({
  hash: key === undefined ? 0 : orderHash(key),
  tie: other === undefined ? 0 : orderHash(other),
});

type Case = readonly [what: string, metadata: string, event: unknown, key?: string, other?: string];

const CASES: readonly Case[] = [
  ["segment: the user before the anonymous id", "", { type: "track", anonymousId: "a", userId: "u" }, "u"],
  ["segment: the anonymous id alone", "", { type: "page", userId: null, anonymousId: "a" }, "a"],
  ["segment: an identify ties both", "", { type: "identify", userId: "u", anonymousId: "a" }, "u", "a"],
  ["segment: an identify of one id", "", { type: "identify", userId: "u", anonymousId: "u" }, "u"],
  ["segment: an identify of nobody known", "", { type: "identify", anonymousId: "a" }, "a"],
  ["segment: an alias", "", { type: "alias", userId: "u", previousId: "p", anonymousId: "a" }, "u", "p"],
  ["segment: an alias of itself", "", { type: "alias", userId: "u", previousId: "u", anonymousId: "a" }, "u", "a"],
  ["segment: an alias without anybody", "", { type: "alias", previousId: "p" }],
  ["segment: the ids of what is within", "", { context: { userId: "u" }, traits: { anonymousId: "a" } }],
  ["segment: what is shared beside it", '{"context":{"ip":"::1"}}', { userId: "u" }, "u"],
  ["letter: an item", "letter", { type: "track", userId: "u" }, "u"],
  ["letter: an identify with both", "letter", { type: "identify", userId: "u", anonymousId: "a" }, "u", "a"],
  ["getfluxly: the user", "getfluxly", { event: "e", anonymous_id: "a", external_id: "x", user_id: "u" }, "u"],
  ["getfluxly: the id outside", "getfluxly", { event: "e", anonymous_id: "a", external_id: "x" }, "x"],
  ["getfluxly: $identify", "getfluxly", { event: "$identify", anonymous_id: "a", user_id: "u" }, "u", "a"],
  ["getfluxly: identify", "getfluxly", { event: "identify", anonymous_id: "a", user_id: "u" }, "u", "a"],
  ["getfluxly: an alias", "getfluxly alias:k", { user_id: "u", previous_id: "p" }, "u", "p"],
  ["getfluxly: an alias of an anonymous id", "getfluxly alias:k", { user_id: "u", anonymous_id: "a" }, "u", "a"],
  ["trophy: a metric event", "trophy", { metric: "m", key: "k", body: { user: { id: "u" }, value: 1 } }, "u"],
  ["trophy: a user", "trophy", { user: "u", body: { email: "e", user: { id: "x" } } }, "u"],
  ["valued: an action", "valued", { category: "action", user: { id: "u" }, customer: { id: "c" } }, "u"],
  ["valued: a customer", "valued", { category: "sync", customer: { id: "c" } }],
  ["launchdarkly: a user", "launchdarkly server 2 ", { kind: "index", user: { key: "u" } }, "u"],
  ["launchdarkly: the user's key", "launchdarkly server 2 ", { kind: "feature", key: "f", userKey: "u" }, "u"],
  ["launchdarkly: a context", "launchdarkly server 4 ", { kind: "custom", context: { kind: "user", key: "u" } }, "u"],
  ["launchdarkly: keys", "launchdarkly server 4 ", { contextKeys: { org: "o", user: "u" } }, "o"],
  ["launchdarkly: several contexts", "launchdarkly server 4 ", { context: { kind: "multi", user: { key: "u" } } }],
  ["launchdarkly: a diagnostic", "launchdarkly diagnostic server {}", { kind: "diagnostic", id: { key: "x" } }],
  ["posthog: an event", "posthog", { event: "e", distinct_id: "u", properties: { distinct_id: "p" } }, "u"],
  ["posthog: an id in the properties", "posthog", { event: "e", properties: { distinct_id: "p" } }, "p"],
  [
    "posthog: $identify",
    "posthog",
    { event: "$identify", distinct_id: "u", properties: { $anon_distinct_id: "a" } },
    "u",
    "a",
  ],
  [
    "posthog: $create_alias",
    "posthog",
    { event: "$create_alias", distinct_id: "u", properties: { distinct_id: "u", alias: "p" } },
    "u",
    "p",
  ],
  [
    "posthog: $merge_dangerously",
    "posthog",
    { event: "$merge_dangerously", distinct_id: "u", properties: { alias: "p" } },
    "u",
    "p",
  ],
  [
    "posthog: another event with an alias",
    "posthog",
    { event: "e", distinct_id: "u", properties: { alias: "p" } },
    "u",
  ],
  ["amplitude: an event", "amplitude", { event_type: "e", user_id: "u", device_id: "d" }, "u"],
  ["amplitude: a device", 'amplitude {"skewMs":1000}', { event_type: "e", device_id: "d" }, "d"],
  ["amplitude: $identify", "amplitude", { event_type: "$identify", user_id: "u", device_id: "d" }, "u", "d"],
  ["amplitude: /identify", "amplitude identify", { user_id: "u", device_id: "d", user_properties: {} }, "u", "d"],
  ["amplitude: /groupidentify", "amplitude groupidentify", { group_type: "t", group_value: "v" }],
  [
    "mixpanel: a user",
    "mixpanel",
    { event: "e", properties: { $user_id: "u", $device_id: "d", distinct_id: "x" } },
    "u",
  ],
  ["mixpanel: an id", "mixpanel untimed", { event: "e", properties: { $device_id: "d", distinct_id: "x" } }, "x"],
  ["mixpanel: a device by its id", "mixpanel", { event: "e", properties: { distinct_id: "$device:d" } }, "d"],
  ["mixpanel: a device", "mixpanel", { event: "e", properties: { distinct_id: "", $device_id: "d" } }, "d"],
  ["mixpanel: an empty device", "mixpanel", { event: "e", properties: { distinct_id: "$device:" } }],
  ["mixpanel: a profile", "mixpanel engage", { $distinct_id: "$device:d", $set: {} }, "d"],
  ["mixpanel: a group", "mixpanel groups", { $group_key: "company", $group_id: 5, $set: {} }, "5"],
  [
    "mixpanel: $identify of newer projects",
    "mixpanel",
    { event: "$identify", properties: { distinct_id: "", $identified_id: "u", $anon_id: "$device:d" } },
    "u",
    "d",
  ],
  [
    "mixpanel: $identify of browsers",
    "mixpanel",
    { event: "$identify", properties: { distinct_id: "u", $anon_distinct_id: "a", $device_id: "d" } },
    "u",
    "a",
  ],
  [
    "mixpanel: $create_alias is the new id's",
    "mixpanel",
    { event: "$create_alias", properties: { distinct_id: "p", alias: "u" } },
    "u",
    "p",
  ],
  [
    "mixpanel: $merge is the second id's",
    "mixpanel",
    { event: "$merge", properties: { $distinct_ids: ["p", "u"], distinct_id: "" } },
    "u",
    "p",
  ],
];

const named = CASES.map(([what, metadata, event, key, other]) => ({ what, metadata, event, key, other }));

test.each(named)("whose an event is, and which ids it ties: $what", ({ metadata, event, key, other }) => {
  const text = JSON.stringify(event);
  expect(read(metadata, text)).toEqual([id(key, other)]);
  expect(orderKeyOf(text, metadata)).toBe(key);
});

test("one id has one hash, in whichever member and format it is", () => {
  const same = [
    ["", '{"userId":"x"}'],
    ["", '{"anonymousId":"x"}'],
    ["", '{"user\\u0049d":"\\u0078"}'],
    ["posthog", '{"distinct_id":"x"}'],
    ["mixpanel", '{"properties":{"distinct_id":"$device:x"}}'],
    ["mixpanel", '{"properties":{"distinct_id":"\\u0024device:x"}}'],
    ["amplitude", '{"device_id":"x"}'],
  ] as const;
  for (const [metadata, text] of same) expect(read(metadata, text), text).toEqual([id("x")]);
});

test.each([
  ["5", "5"],
  ["5.0", "5"],
  ["-5", "-5"],
  ["-0", "0"],
  ["1e3", "1000"],
  ["12345678901234567890", "12345678901234567000"],
  ["1e400", "Infinity"],
  ["true", "true"],
  ['"5"', "5"],
  ['"\\ud83d\\ude00"', "😀"],
  ['"\\ud83d"', "\ufffd"],
  ['"\\/\\n"', "/\n"],
] as const)("an id that is written %s is %s", (written, text) => {
  expect(read("", `{"userId":${written},"anonymousId":"a"}`)).toEqual([id(text)]);
});

test.each(["null", "{}", "[]", '["u"]', '{"userId":"u"}', '""'])(
  "%s is not an id: the next place counts",
  (written) => {
    expect(read("", `{"userId":${written},"anonymousId":"a"}`)).toEqual([id("a")]);
  },
);

test.each([
  ["", '{"userId":"a","userId":"b"}', "b"],
  ["", '{"userId":"a","userId":null}', undefined],
  ["valued", '{"user":{"id":"a"},"user":{"name":"b"}}', undefined],
  ["valued", '{"user":{"id":"a"},"user":5}', undefined],
  ["trophy", '{"metric":"m","body":{"user":{"id":"a"}},"body":{"value":1}}', undefined],
] as const)("of a member that is there twice the last one counts: %s%s", (metadata, text, key) => {
  expect(read(metadata, text)).toEqual([id(key)]);
});

test("the first of several keys is the first as it is written, whatever it is called", () => {
  expect(read("launchdarkly", '{"contextKeys":{"z":"a","*":"b","1":"c"}}')).toEqual([id("a")]);
  expect(read("launchdarkly", '{"contextKeys":["a"]}', '{"contextKeys":{}}')).toEqual([id(undefined), id(undefined)]);
  expect(read("mixpanel", '{"event":"$merge","properties":{"$distinct_ids":{"1":"a"}}}')).toEqual([id(undefined)]);
});

test("a record without ties has no list of them", () => {
  expect(orderHashesOf(recordOf(['{"userId":"u"}'], "")).ties).toBeUndefined();
});

test("each event of a record has its own, with white space around and within", () => {
  const events = [
    ' {"userId" : "a" }\n',
    '{"type":"identify","userId":"b","anonymousId":"c"}\t',
    "5",
    '\r\n{ "anonymousId":"d"}',
    "{ }",
  ];
  expect(read("", ...events)).toEqual([id("a"), id("b", "c"), id(undefined), id("d"), id(undefined)]);
});

test("an event that is damaged is nobody's, and the others stay whose they are", () => {
  const damaged = [
    '{"userId":"a"',
    '{"userId":"a',
    '{"userId":"a"}}',
    '{"userId":"a"} 5',
    '{"userId":"a\\',
    '{"a":[{"',
  ];
  for (const text of damaged)
    expect(read("", '{"userId":"b"}', text, '"c":"d"}', '{"userId":"e"}'), text).toEqual([
      id("b"),
      id(undefined),
      id(undefined),
      id("e"),
    ]);
});

test("metadata and lengths that cannot be right are nobody's", () => {
  const body = Buffer.from('{"userId":"a"}');
  for (const metadata of ["unknown", "unknown thing", " ", "segment2"])
    expect(orderHashesOf({ body, ends: Uint32Array.of(14), metadata })).toEqual({
      hashes: Uint32Array.of(0),
      ties: undefined,
    });
  for (const ends of [[13], [15], [4_000_000_000], [14, 14], [0, 14], [5, 3]])
    expect([...orderHashesOf({ body, ends: Uint32Array.from(ends), metadata: "" }).hashes].slice(1)).toEqual(
      ends.slice(1).map(() => 0),
    );
  expect(orderHashesOf({ body, ends: new Uint32Array(0), metadata: "" }).hashes).toHaveLength(0);
});
