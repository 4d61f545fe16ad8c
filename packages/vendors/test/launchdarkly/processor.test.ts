/**
 * What the original's event processor, summariser, output and user memory are tested for, under
 * their names. Scrubbing of private attributes is the SDKs' work: the relay passes on what they
 * left.
 */
import { type Flag, Summariser, type SummariserOptions } from "@waybill/vendors";
import { expect, test } from "vitest";

const NOW = 1_767_225_600_000;
const USER = { key: "u", name: "Ada" };

interface Setup extends Partial<SummariserOptions> {
  readonly flags?: Readonly<Record<string, Flag>>;
}

function summariser({ flags = {}, ...rest }: Setup = {}): Summariser {
  return new Summariser({ schema: 2, inlineUsers: false, now: () => NOW, flag: (key) => flags[key], ...rest });
}

type Said = Record<string, unknown>;

function said(one: Summariser, events: readonly object[], serverTimeMs?: number): Said[] {
  const { texts, delivered } = one.summarise(events.map((event) => JSON.stringify(event)));
  delivered(serverTimeMs);
  return texts.map((text) => JSON.parse(text) as Said);
}

const kinds = (events: readonly Said[]): unknown[] => events.map(({ kind }) => kind);
const feature = (more: object = {}): object => ({
  kind: "feature",
  creationDate: 100,
  key: "f",
  version: 5,
  variation: 1,
  user: USER,
  value: "v",
  default: "d",
  ...more,
});
const custom = (more: object = {}): object => ({ kind: "custom", creationDate: 100, key: "c", user: USER, ...more });
const identify = (user: object = USER): object => ({ kind: "identify", creationDate: 100, user });
const alias = {
  kind: "alias",
  creationDate: 1,
  key: "new",
  contextKind: "user",
  previousKey: "old",
  previousContextKind: "anonymousUser",
};

test("AliasEventIsQueued", () => {
  expect(said(summariser(), [alias])).toEqual([alias]);
});

test("IdentifyEventIsQueued", () => {
  expect(said(summariser(), [identify()])).toEqual([{ kind: "identify", creationDate: 100, key: "u", user: USER }]);
});

test("UserDetailsAreScrubbedInIdentifyEvent, InIndexEvent, InFeatureEvent: what an SDK has taken out stays out, its list of names goes along", () => {
  const user = { key: "u", privateAttrs: ["email"] };
  expect(said(summariser(), [identify(user)])[0]).toMatchObject({ user });
  expect(said(summariser(), [feature({ user })])[0]).toEqual({ kind: "index", creationDate: 100, user });
  expect(said(summariser({ inlineUsers: true }), [feature({ user, trackEvents: true })])[0]).toMatchObject({ user });
});

test("FeatureEventIsSummarizedAndNotTrackedByDefault", () => {
  expect(kinds(said(summariser(), [feature()]))).toEqual(["index", "summary"]);
});

test("IndividualFeatureEventIsQueuedWhenTrackEventsIsTrue", () => {
  expect(kinds(said(summariser(), [feature({ trackEvents: true })]))).toEqual(["index", "feature", "summary"]);
});

test("FeatureEventCanContainInlineUser", () => {
  const [event] = said(summariser({ inlineUsers: true }), [feature({ trackEvents: true })]);
  expect(event).toMatchObject({ kind: "feature", user: USER });
  expect(event).not.toHaveProperty("userKey");
});

test("FeatureEventCanContainReason", () => {
  expect(said(summariser(), [feature({ trackEvents: true, reason: { kind: "FALLTHROUGH" } })])[1]).toMatchObject({
    reason: { kind: "FALLTHROUGH" },
  });
});

test("IndexEventIsGeneratedForNonTrackedFeatureEventEvenIfInliningIsOn", () => {
  expect(kinds(said(summariser({ inlineUsers: true }), [feature()]))).toEqual(["index", "summary"]);
});

test("DebugEventIsAddedIfFlagIsTemporarilyInDebugMode", () => {
  const events = said(summariser(), [feature({ debugEventsUntilDate: NOW + 1 })]);
  expect(kinds(events)).toEqual(["index", "debug", "summary"]);
  expect(events[1]).toMatchObject({ user: USER, version: 5, variation: 1 });
});

test("EventCanBeBothTrackedAndDebugged", () => {
  expect(kinds(said(summariser(), [feature({ trackEvents: true, debugEventsUntilDate: NOW + 1 })]))).toEqual([
    "index",
    "feature",
    "debug",
    "summary",
  ]);
});

test("DebugModeExpiresBasedOnClientTimeIfClientTimeIsLater", () => {
  const one = summariser();
  said(one, [identify({ key: "other" })], NOW - 20_000);
  expect(kinds(said(one, [feature({ debugEventsUntilDate: NOW - 1_000 })]))).toEqual(["index", "summary"]);
});

test("DebugModeExpiresBasedOnServerTimeIfServerTimeIsLater", () => {
  const one = summariser();
  said(one, [identify({ key: "other" })], NOW + 20_000);
  expect(kinds(said(one, [feature({ debugEventsUntilDate: NOW + 1_000 })]))).toEqual(["index", "summary"]);
});

test("TwoFeatureEventsForSameUserGenerateOnlyOneIndexEvent", () => {
  expect(kinds(said(summariser(), [feature({ trackEvents: true }), feature({ trackEvents: true })]))).toEqual([
    "index",
    "feature",
    "feature",
    "summary",
  ]);
});

test("NonTrackedEventsAreSummarized", () => {
  const [, summary] = said(summariser(), [feature({ key: "a" }), feature({ key: "b", creationDate: 200 })]);
  expect(summary).toMatchObject({
    kind: "summary",
    startDate: 100,
    endDate: 200,
    features: { a: { default: "d" }, b: { default: "d" } },
  });
});

test("CustomEventIsQueuedWithUser", () => {
  expect(said(summariser(), [custom({ data: { n: 1 } })])).toEqual([
    { kind: "index", creationDate: 100, user: USER },
    { kind: "custom", creationDate: 100, key: "c", data: { n: 1 }, userKey: "u" },
  ]);
});

test("CustomEventCanContainInlineUser", () => {
  expect(said(summariser({ inlineUsers: true }), [custom()])).toEqual([
    { kind: "custom", creationDate: 100, key: "c", user: USER },
  ]);
});

test("CustomEventCanHaveMetricValue", () => {
  expect(said(summariser(), [custom({ metricValue: 2.5 })])[1]).toMatchObject({ metricValue: 2.5 });
});

test("PeriodicUserKeysFlush", () => {
  let nowMs = NOW;
  const one = summariser({ now: () => nowMs });
  expect([kinds(said(one, [custom()])), kinds(said(one, [custom()]))]).toEqual([["index", "custom"], ["custom"]]);
  nowMs += 5 * 60_000;
  expect(kinds(said(one, [custom()]))).toEqual(["index", "custom"]);
});

test("NothingIsSentIfThereAreNoEvents", () => {
  expect(said(summariser(), [])).toEqual([]);
});

test("summariser: SummarizeEventSetsStartAndEndDates, whatever their order", () => {
  const [, summary] = said(
    summariser(),
    [2_000, 1_000, 1_500].map((creationDate) => feature({ creationDate })),
  );
  expect(summary).toMatchObject({ startDate: 1_000, endDate: 2_000 });
});

test("summariser: SummarizeEventIncrementsCounters", () => {
  const [, summary] = said(summariser(), [
    feature(),
    feature({ variation: 2, value: "w" }),
    feature({ key: "g" }),
    feature(),
    feature({ key: "bad", version: undefined, variation: undefined }),
  ]);
  expect(summary?.["features"]).toEqual({
    f: {
      default: "d",
      counters: [
        { variation: 1, version: 5, value: "v", count: 2 },
        { variation: 2, version: 5, value: "w", count: 1 },
      ],
    },
    g: { default: "d", counters: [{ variation: 1, version: 5, value: "v", count: 1 }] },
    bad: { default: "d", counters: [{ unknown: true, value: "v", count: 1 }] },
  });
});

test("summariser: CounterForNilVariationIsDistinctFromOthers", () => {
  const [, summary] = said(summariser(), [
    feature(),
    feature({ variation: undefined, value: "d" }),
    feature({ variation: 0 }),
  ]);
  expect(summary?.["features"]).toMatchObject({
    f: { counters: [{ variation: 1 }, { version: 5, value: "d", count: 1 }, { variation: 0 }] },
  });
});

test("output: each kind has its fields in their order; anonymous users are marked as such", () => {
  const anonymous = { key: "u", anonymous: true };
  const text = (event: object, setup: Setup = {}): string | undefined =>
    summariser({ ...setup, inlineUsers: true }).summarise([JSON.stringify(event)]).texts[0];
  expect(text(feature({ trackEvents: true, user: anonymous, reason: { kind: "OFF" } }))).toBe(
    '{"kind":"feature","creationDate":100,"key":"f","version":5,"contextKind":"anonymousUser","user":{"key":"u","anonymous":true},"variation":1,"value":"v","default":"d","reason":{"kind":"OFF"}}',
  );
  expect(text(custom({ data: [1], metricValue: 1, user: anonymous }))).toBe(
    '{"kind":"custom","creationDate":100,"key":"c","data":[1],"contextKind":"anonymousUser","user":{"key":"u","anonymous":true},"metricValue":1}',
  );
  expect(text(identify())).toBe('{"kind":"identify","creationDate":100,"key":"u","user":{"key":"u","name":"Ada"}}');
  expect(text(feature({ version: undefined, value: undefined, default: undefined }))).toContain('"kind":"index"');
});

test("output: value and default are always there, null where there are none", () => {
  const [, event] = said(summariser(), [feature({ trackEvents: true, value: undefined, default: undefined })]);
  expect(event).toMatchObject({ value: null, default: null });
});

test("LRU: AddReturnsFalseForNeverSeenValue, TrueForPreviouslySeenValue; the oldest is forgotten at the capacity; a use makes it young; it is bounded", () => {
  const one = summariser();
  const isNew = (key: string): boolean => kinds(said(one, [custom({ user: { key } })]))[0] === "index";
  expect([isNew("a"), isNew("a")]).toEqual([true, false]);
  for (let index = 0; index < 999; index++) isNew(`k-${index}`);
  // Used: young again, so that k-0 is the oldest.
  expect(isNew("a")).toBe(false);
  expect(isNew("one more")).toBe(true);
  expect([isNew("a"), isNew("k-0")]).toEqual([false, true]);
});
