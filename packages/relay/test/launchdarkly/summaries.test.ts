/**
 * Old events of LaunchDarkly's SDKs on their way out of the log, on a virtual clock: what is
 * remembered of a tag, and for how long.
 */
import { type Rewritten, TextBatch } from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { launchdarklyMetadata } from "@waybill/vendors";
import { expect, test } from "vitest";
import { resolveEnvironment } from "../../src/config/load.ts";
import type { LaunchDarklyDestination } from "../../src/launchdarkly/options.ts";
import { createSummaries, type Summaries } from "../../src/launchdarkly/summaries.ts";

const HOUR_MS = 3_600_000;
const CUSTOM = { kind: "custom", creationDate: 1, key: "c", user: { key: "u" } };

interface World extends Summaries {
  readonly clock: VirtualClock;
  /** Says events of a tag; the kinds of what would leave. */
  say(tags: string, events?: readonly object[], date?: string): unknown[];
}

function setUp(more: object = {}): World {
  const clock = new VirtualClock();
  const { destinations } = resolveEnvironment("e", {
    sources: {},
    destinations: { flags: { vendor: "launchdarkly", writeKey: "sdk-key", ...more } },
  });
  const summaries = createSummaries(
    destinations[0] as LaunchDarklyDestination,
    { flag: () => undefined, close: () => undefined },
    { clock, random: new SeededRandom(1), transport: () => Promise.reject(new Error("none")) },
  );
  const say: World["say"] = (tags, events = [CUSTOM], date) => {
    const texts = events.map((event) => JSON.stringify(event));
    const said: Rewritten = summaries.rewrite(
      new TextBatch({
        key: "k",
        metadata: launchdarklyMetadata({ sdk: "server", schema: 2, tags }),
        oldestAtMs: 0,
        texts,
        sizes: texts.map(({ length }) => length),
      }),
    );
    said.delivered({ response: { status: 202, headers: date === undefined ? {} : { date }, body: "" } } as never);
    const { batch } = said;
    return Array.from(
      { length: batch?.count ?? 0 },
      (_, index) => (JSON.parse(String(batch?.event(index))) as { kind: unknown }).kind,
    );
  };
  return { ...summaries, clock, say };
}

test.each([
  ["an hour by default", {}, HOUR_MS],
  ["as long as eventQueueCleanupInterval says", { eventQueueCleanupInterval: "10s" }, 10_000],
])("a summariser that nobody uses is forgotten, though no event comes any more (%s)", async (_name, more, keptMs) => {
  const { clock, held, say } = setUp(more);
  for (const tags of ["a", "b"]) expect(say(tags)).toEqual(["index", "custom"]);
  expect(say("a")).toEqual(["custom"]);
  await clock.advance(2 * keptMs - 1);
  expect(held()).toBe(2);
  await clock.advance(1);
  expect([held(), clock.timers]).toEqual([0, 0]);
  expect(say("a")).toEqual(["index", "custom"]);
});

test("one that is used is kept, and one alone too", async () => {
  const { clock, held, say } = setUp({ eventQueueCleanupInterval: "10s" });
  for (const tags of ["a", "b"]) say(tags);
  await clock.advance(15_000);
  say("a");
  await clock.advance(10_000);
  expect(held()).toBe(1);
  await clock.advance(HOUR_MS);
  expect(held()).toBe(1);
  const alone = setUp({ eventQueueCleanupInterval: "10s" });
  alone.say("a");
  expect(alone.clock.timers).toBe(0);
  await alone.clock.advance(100_000);
  expect(alone.say("a")).toEqual(["custom"]);
});

test("5,000 tags: a hundred are remembered, those that were used last", () => {
  const { held, say } = setUp();
  for (let tag = 0; tag < 4_999; tag++) {
    say(`tag-${tag}`);
    if (tag === 4_950) say("tag-4900");
  }
  say("tag-4999");
  expect(held()).toBe(100);
  expect(say("tag-4900")).toEqual(["custom"]);
  expect(say("tag-4999")).toEqual(["custom"]);
  expect(say("tag-1")).toEqual(["index", "custom"]);
});

test("debug events end with the vendor's time, from the Date of its answers", () => {
  const { clock, say } = setUp();
  const until = clock.now() + HOUR_MS;
  const debugged = {
    kind: "feature",
    creationDate: 1,
    key: "f",
    version: 1,
    user: { key: "u" },
    value: 1,
    debugEventsUntilDate: until,
  };
  expect(say("a", [debugged], "no date")).toEqual(["index", "debug", "summary"]);
  expect(say("a", [debugged], new Date(until + 1_000).toUTCString())).toEqual(["debug", "summary"]);
  expect(say("a", [debugged])).toEqual(["summary"]);
});

test("closing ends its timer", () => {
  const { clock, close, held, say } = setUp();
  for (const tags of ["a", "b"]) say(tags);
  expect(clock.timers).toBe(1);
  close();
  expect([clock.timers, held()]).toEqual([0, 0]);
});
