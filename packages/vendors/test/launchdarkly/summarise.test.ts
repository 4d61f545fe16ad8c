/**
 * The summarising relay. Names are those of the original's tests; numbers those of
 * docs/conformance.md.
 */
import { type Flag, Summariser, type SummariserOptions } from "@waybill/vendors";
import { expect, test } from "vitest";

const NOW = 1_767_225_600_000;
const USER = { key: "userkey" };
const FLAG: Flag = { variations: ["a", "b"] };

function summariser(
  options: Partial<SummariserOptions> & { readonly flags?: Readonly<Record<string, Flag>> } = {},
): Summariser {
  const { flags = {}, ...rest } = options;
  return new Summariser({ schema: 1, inlineUsers: false, now: () => NOW, flag: (key) => flags[key], ...rest });
}

const feature = (more: object = {}): object => ({
  kind: "feature",
  creationDate: 1_000,
  key: "flagkey",
  version: 11,
  user: USER,
  value: "b",
  default: "c",
  ...more,
});
const two = (more: object = {}): object[] => [feature(more), feature({ ...more, creationDate: 1_001 })];

/** What goes out, parsed. */
function said(one: Summariser, events: readonly object[]): unknown[] {
  const { texts, delivered } = one.summarise(events.map((event) => JSON.stringify(event)));
  delivered(undefined);
  return texts.map((text) => JSON.parse(text) as unknown);
}

const INDEX = { kind: "index", creationDate: 1_000, user: USER };
const summary = (counter: object): object => ({
  kind: "summary",
  startDate: 1_000,
  endDate: 1_001,
  features: { flagkey: { default: "c", counters: [{ value: "b", count: 2, ...counter }] } },
});

test("[launchdarkly-relay 8] SummarizeFeatureEventsForExistingFlag: the variation is found by its value, the version is the event's", () => {
  expect(said(summariser({ flags: { flagkey: FLAG } }), two())).toEqual([
    INDEX,
    summary({ variation: 1, version: 11 }),
  ]);
});

test("[launchdarkly-relay 9] SummarizeFeatureEventsForExistingFlagWithTrackEvents: full events too", () => {
  const full = {
    kind: "feature",
    key: "flagkey",
    version: 11,
    userKey: "userkey",
    variation: 1,
    value: "b",
    default: "c",
  };
  expect(said(summariser({ flags: { flagkey: { ...FLAG, trackEvents: true } } }), two())).toEqual([
    INDEX,
    { ...full, creationDate: 1_000 },
    { ...full, creationDate: 1_001 },
    summary({ variation: 1, version: 11 }),
  ]);
});

test("[launchdarkly-relay 10] SummarizeFeatureEventsWithTrackEventsAndInlineUsers: no index, the user in the events", () => {
  const out = said(summariser({ inlineUsers: true, flags: { flagkey: { ...FLAG, trackEvents: true } } }), two());
  expect(out).toMatchObject([{ kind: "feature", user: USER }, { kind: "feature", user: USER }, { kind: "summary" }]);
  expect(out[0]).not.toHaveProperty("userKey");
});

test("[launchdarkly-relay 11] SummarizeFeatureEventsWithDebugEvents: until the date, by our time and the vendor's", () => {
  const flags = { flagkey: { ...FLAG, debugEventsUntilDate: NOW + 1 } };
  const one = summariser({ flags });
  expect(said(one, two())).toMatchObject([
    INDEX,
    { kind: "debug", user: USER, variation: 1 },
    { kind: "debug" },
    { kind: "summary" },
  ]);
  one.summarise([JSON.stringify(feature())]).delivered(NOW + 2);
  expect(said(one, two())).toMatchObject([{ kind: "summary" }]);
  expect(said(summariser({ flags: { flagkey: { ...FLAG, debugEventsUntilDate: NOW } } }), two())).toMatchObject([
    INDEX,
    { kind: "summary" },
  ]);
});

test("[launchdarkly-relay 12] SummarizeFeatureEventsForUnknownFlagWithoutVersion: the counter says unknown", () => {
  expect(said(summariser(), two({ version: undefined, variation: 1 }))).toEqual([INDEX, summary({ unknown: true })]);
});

test("[launchdarkly-relay 13] SummarizeFeatureEventsForUnknownFlagWithEventVersion: the event's version counts", () => {
  expect(said(summariser(), two())).toEqual([INDEX, summary({ version: 11 })]);
});

test("[launchdarkly-relay 14] SummarizeSchemaV2FeatureEventsForExistingFlag: the variation is the event's, whatever the flag's values", () => {
  const one = summariser({ schema: 2, flags: { flagkey: { variations: ["x", "y"] } } });
  expect(said(one, two({ variation: 1 }))).toEqual([INDEX, summary({ variation: 1, version: 11 })]);
});

test("[launchdarkly-relay 15] SummarizeSchemaV2FeatureEvents WithTrackEvents and WithDebugEvents: tracking comes from the event", () => {
  const flags = { flagkey: { variations: ["x", "y"], trackEvents: true, debugEventsUntilDate: NOW + 1 } };
  expect(said(summariser({ schema: 2 }), two({ variation: 1, trackEvents: true }))).toMatchObject([
    INDEX,
    { kind: "feature", variation: 1 },
    { kind: "feature" },
    { kind: "summary" },
  ]);
  expect(said(summariser({ schema: 2, flags }), two({ variation: 1, debugEventsUntilDate: NOW + 1 }))).toMatchObject([
    INDEX,
    { kind: "debug" },
    { kind: "debug" },
    { kind: "summary" },
  ]);
});

test("[launchdarkly-relay 16] SummarizeSchemaV2FeatureEventsForUnknownFlag: without a version the event's variation is not shown", () => {
  expect(said(summariser({ schema: 2 }), two({ version: undefined, variation: 1 }))).toEqual([
    INDEX,
    summary({ unknown: true }),
  ]);
});

const custom = (more: object = {}): object => ({
  kind: "custom",
  creationDate: 1_000,
  key: "eventkey",
  user: USER,
  data: { n: 1 },
  metricValue: 2.5,
  ...more,
});

test("[launchdarkly-relay 17] SummarizeCustomEvents: an index and each event with the user's key, data and metric", () => {
  const full = { kind: "custom", key: "eventkey", data: { n: 1 }, userKey: "userkey", metricValue: 2.5 };
  expect(said(summariser(), [custom(), custom({ creationDate: 1_001 })])).toEqual([
    INDEX,
    { ...full, creationDate: 1_000 },
    { ...full, creationDate: 1_001 },
  ]);
});

test("[launchdarkly-relay 18] SummarizeCustomEventsWithInlineUsersLeavesEventsUnchanged", () => {
  const events = [custom(), custom({ creationDate: 1_001 })];
  expect(said(summariser({ inlineUsers: true }), events)).toEqual(events);
});

test("[launchdarkly-relay 19] SummarizeIdentifyEventsLeavesEventsUnchanged and SummarizeAliasEventsLeavesEventsUnchanged", () => {
  const identify = { kind: "identify", creationDate: 1_000, key: "userkey", user: USER };
  const alias = {
    kind: "alias",
    creationDate: 1_000,
    key: "new",
    contextKind: "user",
    previousKey: "old",
    previousContextKind: "anonymousUser",
  };
  expect(said(summariser(), [identify, alias, identify])).toEqual([identify, alias, identify]);
});

test("[launchdarkly-relay 20] SummarizingRelayDiscardsMalformedEvents: each alone, with its reason; good ones survive", () => {
  const good = { kind: "identify", creationDate: 1_000, key: "userkey", user: USER };
  const bad = [
    feature({ creationDate: "x" }),
    feature({ creationDate: -1 }),
    feature({ creationDate: 1.5 }),
    { kind: "wrong" },
    { kind: false },
    [],
    feature({ user: { key: null } }),
    feature({ user: {} }),
    feature({ user: { key: "u", email: 5 } }),
    feature({ user: { key: "u", privateAttrs: [1] } }),
    feature({ version: "1" }),
    custom({ metricValue: "2" }),
    custom({ metricValue: true }),
    custom({ creationDate: 2 ** 60 }),
    custom({ key: 5 }),
    custom({ user: null }),
    custom({ user: [] }),
    custom({ user: { key: 5 } }),
    custom({ user: { key: "u", anonymous: 1 } }),
    custom({ user: { key: "u", custom: "x" } }),
    custom({ user: { key: "u", custom: [1] } }),
    custom({ user: { key: "u", privateAttrs: "email" } }),
    feature({ key: null }),
    feature({ variation: 1.5 }),
    feature({ variation: true }),
    feature({ trackEvents: "true" }),
    feature({ debugEventsUntilDate: -1 }),
    feature({ reason: "OFF" }),
    { kind: "identify", creationDate: 1, user: { key: "u", name: {} } },
    { kind: "alias", creationDate: 1, key: "a", contextKind: 1 },
    { kind: "alias", creationDate: 1, key: "a", previousKey: {} },
    { kind: "alias", creationDate: 1, key: "a", previousContextKind: [] },
  ];
  const { texts, rejected } = summariser().summarise([good, ...bad, good].map((event) => JSON.stringify(event)));
  expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual([good, good]);
  expect([...rejected.keys()]).toEqual(bad.map((_, index) => index + 1));
  expect(rejected.get(1)).toBe("event was discarded: creationDate is not a date");
});

test("what an old event leaves out has the original's zero values", () => {
  const out = said(summariser({ schema: 2 }), [
    { kind: "alias", key: "new" },
    { kind: "custom", data: null, metricValue: null },
    { kind: "identify", user: { key: "u", name: null, anonymous: null, custom: null, privateAttrs: null } },
    { kind: "feature", key: "f", version: 1, variation: null, reason: null, trackEvents: true, user: { key: "u" } },
  ]);
  expect(out).toEqual([
    { kind: "alias", creationDate: 0, key: "new", contextKind: "", previousKey: "", previousContextKind: "" },
    // Without a user: one with an empty key.
    { kind: "index", creationDate: 0, user: { key: "" } },
    { kind: "custom", creationDate: 0, key: "", userKey: "" },
    { kind: "identify", creationDate: 0, key: "u", user: { key: "u" } },
    { kind: "feature", creationDate: 0, key: "f", version: 1, userKey: "u", value: null, default: null },
    {
      kind: "summary",
      startDate: 0,
      endDate: 0,
      features: { f: { default: null, counters: [{ version: 1, value: null, count: 1 }] } },
    },
  ]);
});

test("[launchdarkly-relay 23] CanSeePrivateAttrsOfPHPEventUser: they are written back as they came, unknown attributes are not", () => {
  const user = { key: "u", anonymous: true, custom: { x: [1] }, privateAttrs: ["email", "plan"] };
  const out = said(summariser({ schema: 2 }), [
    feature({ user: { ...user, unknown: 1 } }),
    { kind: "custom", creationDate: 1, key: "e", user },
  ]);
  expect(out[0]).toEqual({ kind: "index", creationDate: 1_000, user });
  expect(out[1]).toEqual({ kind: "custom", creationDate: 1, key: "e", contextKind: "anonymousUser", userKey: "u" });
});

test("a user has one index event, another after five minutes, and when a thousand others came in between", () => {
  let nowMs = NOW;
  const one = summariser({ now: () => nowMs });
  const kinds = (key: string): unknown[] =>
    said(one, [custom({ user: { key } })]).map((event) => (event as { kind: string }).kind);
  expect([kinds("u"), kinds("u")]).toEqual([["index", "custom"], ["custom"]]);
  nowMs += 5 * 60_000;
  expect(kinds("u")).toEqual(["index", "custom"]);
  for (let index = 0; index < 999; index++) kinds(`other-${index}`);
  expect(kinds("u")).toEqual(["custom"]);
  for (let index = 0; index < 1_000; index++) kinds(`more-${index}`);
  expect(kinds("u")).toEqual(["index", "custom"]);
});

test("a batch that is summarised again before it was delivered comes out the same", () => {
  const one = summariser();
  const texts = [custom()].map((event) => JSON.stringify(event));
  const first = one.summarise(texts);
  expect(one.summarise(texts).texts).toEqual(first.texts);
  first.delivered(undefined);
  expect(one.summarise(texts).texts).toHaveLength(1);
});

test("counters are per variation and version; first value and default are kept; dates are lowest and highest", () => {
  const out = said(summariser({ schema: 2 }), [
    feature({ variation: 0, creationDate: 5_000 }),
    feature({ variation: 0, value: "other", default: "d" }),
    feature({ variation: 1 }),
    feature({ variation: 0, version: 12 }),
    feature({ key: "second", variation: undefined, version: undefined, value: undefined }),
  ]);
  expect(out.at(-1)).toEqual({
    kind: "summary",
    startDate: 1_000,
    endDate: 5_000,
    features: {
      flagkey: {
        default: "c",
        counters: [
          { variation: 0, version: 11, value: "b", count: 2 },
          { variation: 1, version: 11, value: "b", count: 1 },
          { variation: 0, version: 12, value: "b", count: 1 },
        ],
      },
      second: { default: "c", counters: [{ unknown: true, value: null, count: 1 }] },
    },
  });
});
