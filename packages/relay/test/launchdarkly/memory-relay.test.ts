/**
 * Memory mode on a virtual clock: what strangers' metadata may hold, when it leaves, and when it is
 * forgotten.
 */
import type { HttpResponse } from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { EventQueues, launchdarklyMetadata } from "@waybill/vendors";
import { expect, test } from "vitest";
import { resolveEnvironment } from "../../src/config/load.ts";
import { MemoryRelay } from "../../src/launchdarkly/memory-relay.ts";
import { memoryOf } from "../../src/launchdarkly/options.ts";

const MIB = 1_024 * 1_024;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

interface Posted {
  readonly url: string;
  readonly tags: string | undefined;
  readonly schema: string | undefined;
  readonly kinds: readonly unknown[];
  readonly atMs: number;
}

interface Setup {
  readonly memory?: object;
  readonly destination?: object;
  readonly strict?: boolean;
  /** What the vendor answers. */
  readonly answer?: (clock: VirtualClock) => HttpResponse;
}

interface World {
  readonly relay: MemoryRelay;
  readonly clock: VirtualClock;
  readonly posts: Posted[];
  readonly warnings: string[];
}

const TAKEN: HttpResponse = { status: 202, headers: {}, body: "" };

function setUp({ memory = { flushInterval: "1h" }, destination = {}, strict = false, answer }: Setup = {}): World {
  const clock = new VirtualClock();
  const posts: Posted[] = [];
  const warnings: string[] = [];
  const { sources, destinations } = resolveEnvironment("test", {
    sources: { flags: { protocol: "launchdarkly", writeKeys: ["k"], memory } },
    destinations: { flags: { vendor: "launchdarkly", url: "http://vendor.test", writeKey: "out", ...destination } },
  });
  const relay = new MemoryRelay(destinations[0] as never, {
    memory: memoryOf(sources[0]) as never,
    runtime: {
      clock,
      random: new SeededRandom(1),
      transport: ({ url, headers, body }) => {
        const events = JSON.parse(body.join("")) as { kind?: unknown }[];
        posts.push({
          url,
          tags: headers["x-launchdarkly-tags"],
          schema: headers["x-launchdarkly-event-schema"],
          kinds: Array.isArray(events) ? events.map(({ kind }) => kind) : [],
          atMs: clock.monotonic(),
        });
        return Promise.resolve(answer?.(clock) ?? TAKEN);
      },
    },
    strict,
    onWarning: (message) => warnings.push(message),
  });
  return { relay, clock, posts, warnings };
}

const metadata = (tags: string, schema = 4): string => launchdarklyMetadata({ sdk: "server", schema, tags });
const FEATURE = '{"kind":"feature","creationDate":1,"key":"f","user":{"key":"u"},"value":1}';

test("30,000 distinct tags make a thousand queues; the rest is dropped, counted and reported once", async () => {
  const { relay, clock, posts, warnings } = setUp();
  let dropped = 0;
  for (let tag = 0; tag < 30_000; tag++) dropped += relay.publish(metadata(`tag-${tag}`), ["{}"]);
  expect([dropped, warnings.length]).toEqual([29_000, 1]);
  const flushed = relay.flush();
  // No turn of the event loop begins more.
  expect(posts).toHaveLength(50);
  await clock.advance(SECOND_MS);
  await flushed;
  expect(posts).toHaveLength(1_000);
  // Those of before were not used since: there is room again.
  await relay.flush();
  expect(relay.publish(metadata("late"), ["{}"])).toBe(0);
  await relay.close();
});

test("events are bounded in bytes, tags with them, and the bytes come back when they were posted", async () => {
  const { relay, posts, warnings } = setUp({ memory: { capacity: 100_000, flushInterval: "1h" } });
  const text = JSON.stringify({ kind: "custom", pad: "x".repeat(MIB) });
  let taken = 0;
  while (relay.publish(metadata("a"), [text]) === 0) taken += 1;
  expect(taken).toBeGreaterThan(80);
  expect(taken).toBeLessThan(100);
  expect(relay.publish(metadata("t".repeat(MIB)), ["{}"])).toBe(1);
  expect(warnings).toHaveLength(1);
  await relay.flush();
  expect(posts).toHaveLength(1);
  expect(relay.publish(metadata("a"), [text])).toBe(0);
  await relay.close();
});

test("old events are summarised for 64 tags at once; those that were not used for long make room", async () => {
  const { relay, clock, posts } = setUp();
  let dropped = 0;
  for (let tag = 0; tag < 100; tag++) dropped += relay.publish(metadata(`old-${tag}`, 2), [FEATURE, FEATURE]);
  expect(dropped).toBe(2 * 36);
  await clock.advance(2 * HOUR_MS + SECOND_MS);
  expect(posts).toHaveLength(64);
  for (let tag = 0; tag < 60; tag++) expect(relay.publish(metadata(`old-${tag}`, 2), [FEATURE])).toBe(0);
  await clock.advance(HOUR_MS);
  for (let tag = 100; tag < 104; tag++) expect(relay.publish(metadata(`old-${tag}`, 2), [FEATURE])).toBe(0);
  await relay.close();
});

test("diagnostics that are being posted are bounded; one that cannot be sent is reported and harms nothing", async () => {
  const { relay, posts, warnings } = setUp();
  const diagnostic = (sdk: string): string => `launchdarkly diagnostic ${sdk} {"user-agent":"x"}`;
  let dropped = 0;
  for (let count = 0; count < 200; count++) dropped += relay.publish(diagnostic("server"), ["{}"]);
  expect(dropped).toBe(200 - 64);
  await new Promise((resolve) => setImmediate(resolve));
  expect(posts).toHaveLength(64);
  // The destination has no key for mobile SDKs.
  relay.publish(diagnostic("mobile"), ["{}"]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings.at(-1)).toContain("diagnostic");
  expect(relay.publish(diagnostic("server"), ["{}"])).toBe(0);
  await relay.close();
});

test("queues hold no more than they say, and forget values that nobody uses", async () => {
  const clock = new VirtualClock();
  const runtime = {
    clock,
    random: new SeededRandom(1),
    transport: () => Promise.resolve({ status: 202, headers: {}, body: "" }),
  };
  const queues = new EventQueues(
    {
      url: "http://vendor.test/bulk",
      credential: { kind: "sdkKey", value: "k" },
      userAgent: "x",
      flushIntervalMs: 10 * SECOND_MS,
      capacity: 10,
      timeoutMs: SECOND_MS,
      maxQueues: 3,
      maxBytes: 10_000,
      onWarning: () => undefined,
    },
    runtime,
  );
  for (let tag = 0; tag < 10; tag++) queues.publish({ schemaVersion: 4, tags: `t${tag}` }, ['{"a":1}', '{"b":2}']);
  expect(queues.held.queues).toBe(3);
  expect(queues.dropped).toBe(14);
  await clock.advance(25 * SECOND_MS);
  expect(queues.held).toEqual({ queues: 0, bytes: 0 });
  await queues.close();
});

test("a timed flush: every 5 seconds by default, or as often as configured", async () => {
  for (const [memory, intervalMs] of [
    [{}, 5 * SECOND_MS],
    [{ flushInterval: "20ms" }, 20],
  ] as const) {
    const { relay, clock, posts } = setUp({ memory });
    for (let round = 1; round <= 3; round++) {
      relay.publish(metadata("a"), ["{}"]);
      relay.publish(metadata("old", 2), [FEATURE]);
      await clock.advance(intervalMs - 1);
      expect(posts).toHaveLength(2 * (round - 1));
      await clock.advance(1);
      expect(posts).toHaveLength(2 * round);
    }
    await relay.close();
  }
});

test("defaults: 1,000 events for each value of the metadata, LaunchDarkly's own address, users by their key", async () => {
  const { relay, posts } = setUp({ memory: {}, destination: { url: undefined } });
  expect(
    relay.publish(
      metadata("a"),
      Array.from({ length: 1_001 }, () => "{}"),
    ),
  ).toBe(1);
  expect(relay.publish(metadata("b"), ["{}"])).toBe(0);
  relay.publish(metadata("old", 2), ['{"kind":"custom","creationDate":1,"key":"c","user":{"key":"u"}}']);
  await relay.close();
  expect(posts.map(({ url }) => url)).toEqual(Array(3).fill("https://events.launchdarkly.com/bulk"));
  expect(posts.map(({ tags, kinds }) => [tags, kinds.length])).toEqual([
    ["a", 1_000],
    ["b", 1],
    ["old", 2],
  ]);
});

test("strict: every payload is sent as schema 3; otherwise as the SDK sent it", async () => {
  for (const strict of [false, true]) {
    const { relay, posts } = setUp({ strict });
    relay.publish(metadata("a", 4), ["{}"]);
    relay.publish(metadata("a", 3), ["{}"]);
    relay.publish(metadata("b", 2), [FEATURE]);
    await relay.close();
    // The two of tag a are of one schema now, and so of one payload.
    expect(posts.map(({ schema }) => schema)).toEqual(strict ? ["3", "3"] : ["4", "3", "3"]);
  }
});

test("two attempts, a second apart; then the payload is lost and reported", async () => {
  const { relay, clock, posts, warnings } = setUp({ answer: () => ({ status: 503, headers: {}, body: "" }) });
  relay.publish(metadata("a"), ["{}", "{}"]);
  const flushed = relay.flush();
  await clock.advance(10 * SECOND_MS);
  await flushed;
  expect(posts.map(({ atMs }) => atMs)).toEqual([0, SECOND_MS]);
  expect(warnings).toEqual([expect.stringContaining("2 events were dropped")]);
  await relay.close();
});

test("eventQueueCleanupInterval: what nobody uses is sent and forgotten, without a flush; one that comes back begins anew", async () => {
  const { relay, clock, posts } = setUp({ destination: { eventQueueCleanupInterval: "10ms" } });
  for (const tags of ["a", "b"]) relay.publish(metadata(tags, 2), [FEATURE]);
  await clock.advance(15);
  // Used in the first interval.
  relay.publish(metadata("a", 2), [FEATURE]);
  await clock.advance(10);
  expect(posts.map(({ tags, kinds }) => [tags, kinds])).toEqual([["b", ["index", "summary"]]]);
  // One alone stays.
  await clock.advance(100);
  expect(relay.held).toEqual({ queues: 1, summarisers: 1 });
  relay.publish(metadata("b", 2), [FEATURE]);
  await clock.advance(100);
  // The other, unused for so long, went; this one is alone now and waits for the flush.
  expect(posts.slice(1).map(({ tags, kinds }) => [tags, kinds])).toEqual([["a", ["index", "summary"]]]);
  expect(relay.held.summarisers).toBe(1);
  await relay.flush();
  expect(posts.at(-1)).toMatchObject({ tags: "b", kinds: ["index", "summary"] });
  await relay.close();
});

test.each([
  ["an hour by default", "10s", HOUR_MS],
  ["an hour with flushes of an hour", "1h", HOUR_MS],
  ["two flushes where they are longer", "90m", 3 * HOUR_MS],
])(
  "summarisers are kept for an hour, or for two flushes that are longer (%s)",
  async (_name, flushInterval, keptMs) => {
    const { relay, clock } = setUp({ memory: { flushInterval } });
    for (const tags of ["a", "b"]) relay.publish(metadata(tags, 2), [FEATURE]);
    // Used in the first interval, unused in the second.
    await clock.advance(2 * keptMs - 1);
    expect(relay.held.summarisers).toBe(2);
    await clock.advance(1);
    expect(relay.held.summarisers).toBe(0);
    await relay.close();
  },
);

test("5,000 tags, old and new, leave nothing in memory but one queue at most", async () => {
  const { relay, clock } = setUp({
    memory: { flushInterval: "1s" },
    destination: { eventQueueCleanupInterval: "10s" },
  });
  for (let tag = 0; tag < 5_000; tag++) {
    relay.publish(metadata(`tag-${tag}`), ["{}"]);
    relay.publish(metadata(`tag-${tag}`, 2), [FEATURE]);
    if (tag % 50 === 49) await clock.advance(20 * SECOND_MS);
  }
  await clock.advance(30 * SECOND_MS);
  expect(relay.held.summarisers).toBe(0);
  expect(relay.held.queues).toBeLessThanOrEqual(1);
  // Flushes, and no timer that looks for what to forget.
  await relay.close();
  expect(clock.timers).toBe(0);
});

test("debug events end with the vendor's time, from the Date of its answers", async () => {
  let date: string | undefined;
  const { relay, clock, posts } = setUp({
    answer: () => ({ ...TAKEN, headers: date === undefined ? {} : { date } }),
  });
  const until = clock.now() + HOUR_MS;
  const debugged = JSON.stringify({ ...(JSON.parse(FEATURE) as object), version: 1, debugEventsUntilDate: until });
  const kindsAfter = async (answered: string | undefined): Promise<readonly unknown[]> => {
    date = answered;
    relay.publish(metadata("old", 2), [debugged]);
    await relay.flush();
    return posts.at(-1)?.kinds ?? [];
  };
  expect(await kindsAfter(undefined)).toEqual(["index", "debug", "summary"]);
  expect(await kindsAfter("no date")).toEqual(["debug", "summary"]);
  expect(await kindsAfter(new Date(until - SECOND_MS).toUTCString())).toEqual(["debug", "summary"]);
  expect(await kindsAfter(new Date(until + SECOND_MS).toUTCString())).toEqual(["debug", "summary"]);
  expect(await kindsAfter(undefined)).toEqual(["summary"]);
  await relay.close();
});

test("the Date of an answer that took nothing is not believed", async () => {
  let status = 400;
  const { relay, clock, posts } = setUp({
    answer: () => ({ ...TAKEN, status, headers: { date: new Date(4_000_000_000_000).toUTCString() } }),
  });
  const debugged = JSON.stringify({
    ...(JSON.parse(FEATURE) as object),
    version: 1,
    debugEventsUntilDate: clock.now() + HOUR_MS,
  });
  for (let round = 0; round < 2; round++) {
    relay.publish(metadata("old", 2), [debugged]);
    const flushed = relay.flush();
    await clock.advance(2 * SECOND_MS);
    await flushed;
    status = 202;
  }
  expect(posts.at(-1)?.kinds).toEqual(["debug", "summary"]);
  await relay.close();
});

test("old events that are malformed are dropped and reported, each alone", async () => {
  const { relay, posts, warnings } = setUp();
  relay.publish(metadata("old", 2), ['{"kind":"wrong"}', FEATURE, "1", '{"kind":"identify","user":{}}']);
  await relay.flush();
  expect(posts.map(({ kinds }) => kinds)).toEqual([["index", "summary"]]);
  expect(warnings).toEqual([
    'Error in event processing, event was discarded: unknown kind "wrong"',
    "Error in event processing, event was discarded: not an object",
    "Error in event processing, event was discarded: user has no key",
  ]);
  // Nothing is left of a request whose events are all malformed.
  relay.publish(metadata("old", 2), ["[]"]);
  await relay.flush();
  expect(posts).toHaveLength(1);
  await relay.close();
});

test("a kind of SDK without a credential: its events are dropped and counted", async () => {
  const { relay, posts } = setUp();
  expect(relay.publish(launchdarklyMetadata({ sdk: "mobile", schema: 4, tags: "" }), ["{}", "{}"])).toBe(2);
  await relay.close();
  expect(posts).toEqual([]);
});
