/**
 * The limiter against vendors with a limit that it does not know, for two virtual minutes and more.
 * Each refuses with 429 and Retry-After: 1.
 */
import { expect, test } from "vitest";
import {
  concurrency,
  fixedWindows,
  queueing,
  type SimulationOptions,
  simulate,
  summarise,
  tokenBucket,
  type VendorLimit,
} from "./limiter-vendors.ts";

type Case = Pick<SimulationOptions, "latencyMs" | "networkShare"> & { readonly limit: () => VendorLimit };

const SECONDS = 150;
const SEEDS = [1, 2, 3];
const CONVERGED_WITHIN_S = 30;
const USED_AT_LEAST = 0.9;
const REFUSED_AT_MOST = 0.02;

const constant = (value: number) => () => value;
/** Another value from the second minute on. */
const CHANGE_S = 60;
const changing = (before: number, after: number) => (nowMs: number) => (nowMs < CHANGE_S * 1_000 ? before : after);

async function check({ limit, ...options }: Case, { seed, from = 0 }: { seed: number; from?: number }): Promise<void> {
  const { usedShare, refusedShare, convergedS } = summarise(
    await simulate({ ...options, limit: limit(), seed, seconds: SECONDS }),
    from,
  );
  expect(convergedS).toBeLessThanOrEqual(CONVERGED_WITHIN_S);
  expect(usedShare).toBeGreaterThanOrEqual(USED_AT_LEAST);
  expect(refusedShare).toBeLessThanOrEqual(REFUSED_AT_MOST);
}

const LATENCY_MS = 100;
const cases: readonly (readonly [string, Case])[] = [
  ["20 requests per second", { limit: () => tokenBucket(constant(20), 1), latencyMs: LATENCY_MS }],
  ["100 requests per second", { limit: () => tokenBucket(constant(100), 1), latencyMs: LATENCY_MS }],
  ["100 requests per second, hardly a burst", { limit: () => tokenBucket(constant(100), 0.1), latencyMs: LATENCY_MS }],
  ["20 requests in each second", { limit: () => fixedWindows(constant(20)), latencyMs: LATENCY_MS }],
  ["100 requests in each second", { limit: () => fixedWindows(constant(100)), latencyMs: LATENCY_MS }],
  ["4 requests at once", { limit: () => concurrency(constant(4), 100), latencyMs: LATENCY_MS, networkShare: 0 }],
  ["20 requests at once", { limit: () => concurrency(constant(20), 100), latencyMs: LATENCY_MS, networkShare: 0 }],
  ["a queue beyond 2", { limit: () => queueing(constant(2), 100), latencyMs: LATENCY_MS, networkShare: 0 }],
  ["a queue beyond 10", { limit: () => queueing(constant(10), 100), latencyMs: LATENCY_MS, networkShare: 0 }],
];

test.for(cases)("uses nine tenths of a limit it does not know: %s", { timeout: 120_000 }, async ([, one]) => {
  for (const seed of SEEDS) await check(one, { seed });
});

test("uses nine tenths of a limit of 1000 requests per second", { timeout: 240_000 }, async () => {
  await check({ limit: () => tokenBucket(constant(1_000), 1), latencyMs: 30 }, { seed: 1 });
});

const changes: readonly (readonly [string, Case])[] = [
  ["a rate doubles", { limit: () => tokenBucket(changing(50, 100), 1), latencyMs: LATENCY_MS }],
  ["a rate halves", { limit: () => tokenBucket(changing(100, 50), 1), latencyMs: LATENCY_MS }],
  ["a rate for each second doubles", { limit: () => fixedWindows(changing(50, 100)), latencyMs: LATENCY_MS }],
  ["a rate for each second halves", { limit: () => fixedWindows(changing(100, 50)), latencyMs: LATENCY_MS }],
  [
    "the number at once doubles",
    { limit: () => concurrency(changing(10, 20), 100), latencyMs: LATENCY_MS, networkShare: 0 },
  ],
  [
    "the number at once halves",
    { limit: () => concurrency(changing(20, 10), 100), latencyMs: LATENCY_MS, networkShare: 0 },
  ],
  ["a queue doubles", { limit: () => queueing(changing(10, 20), 100), latencyMs: LATENCY_MS, networkShare: 0 }],
  ["a queue halves", { limit: () => queueing(changing(20, 10), 100), latencyMs: LATENCY_MS, networkShare: 0 }],
];

test.for(changes)("finds a changed limit within 30 s: %s", { timeout: 120_000 }, async ([, one]) => {
  for (const seed of SEEDS) await check(one, { seed, from: CHANGE_S });
});

test("a vendor whose answers queue is kept from a long queue", async () => {
  const seconds = await simulate({
    limit: queueing(() => 10, 100),
    latencyMs: LATENCY_MS,
    networkShare: 0,
    seed: 1,
    seconds: 60,
  });
  for (const { inFlight } of seconds.slice(10)) expect(inFlight).toBeLessThanOrEqual(25);
});

test("answers that take a third more or less by chance do not shrink the window", async () => {
  const seconds = await simulate({ limit: concurrency(() => 64, 100), latencyMs: LATENCY_MS, seed: 1, seconds: 60 });
  for (const { inFlight } of seconds.slice(5)) expect(inFlight).toBe(64);
});
