/** What strangers' metadata may hold in memory mode: queues, bytes and summarisers are bounded, and what is beyond is dropped and told. */
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { EventQueues, launchdarklyMetadata } from "@waybill/vendors";
import { expect, test } from "vitest";
import { resolveEnvironment } from "../src/config/resolve.ts";
import { MemoryRelay } from "../src/memory-relay.ts";

const MIB = 1_024 * 1_024;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

interface Posted {
  readonly url: string;
  readonly tags: string | undefined;
}

function setUp(
  capacity = 1_000,
  flushInterval = "1h",
): {
  readonly relay: MemoryRelay;
  readonly clock: VirtualClock;
  readonly posts: Posted[];
  readonly warnings: string[];
} {
  const clock = new VirtualClock();
  const posts: Posted[] = [];
  const warnings: string[] = [];
  const { sources, destinations } = resolveEnvironment("test", {
    sources: { flags: { protocol: "launchdarkly", writeKeys: ["k"], memory: { capacity, flushInterval } } },
    destinations: { flags: { vendor: "launchdarkly", url: "http://vendor.test", writeKey: "out" } },
  });
  const relay = new MemoryRelay(destinations[0] as never, {
    memory: sources[0]?.memory as never,
    runtime: {
      clock,
      random: new SeededRandom(1),
      transport: ({ url, headers }) => {
        posts.push({ url, tags: headers["x-launchdarkly-tags"] });
        return Promise.resolve({ status: 202, headers: {}, body: "" });
      },
    },
    strict: false,
    onWarning: (message) => warnings.push(message),
  });
  return { relay, clock, posts, warnings };
}

const metadata = (tags: string, schema = 4): string => launchdarklyMetadata({ sdk: "server", schema, tags });
const FEATURE = '{"kind":"feature","creationDate":1,"key":"f","user":{"key":"u"},"value":1}';

test("30,000 distinct tags make a thousand queues; the rest is dropped, counted and told once", async () => {
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
  const { relay, posts, warnings } = setUp(100_000);
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
  const { relay, clock, posts } = setUp(1_000, "1h");
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

test("diagnostics that are being posted are bounded; one that cannot be sent is told and harms nothing", async () => {
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
