/**
 * The limiter against vendors with a limit that it does not know, for a virtual minute and a half.
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

type Case = Partial<Pick<SimulationOptions, "latencyMs" | "networkShare" | "jitter" | "prepareMs">> & {
  readonly limit: () => VendorLimit;
  /** Where the goals of the others cannot be met. */
  readonly convergedWithinS?: number;
  readonly usedAtLeast?: number;
};

const SECONDS = 75;
const SECONDS_OF_CHANGES = 110;
const SEEDS = [1, 2];
const CONVERGED_WITHIN_S = 30;
const USED_AT_LEAST = 0.9;
const REFUSED_AT_MOST = 0.02;
const LATENCY_MS = 100;

const constant = (value: number) => () => value;
/** Another value from here on. */
const CHANGE_S = 40;
const changing = (before: number, after: number) => (nowMs: number) => (nowMs < CHANGE_S * 1_000 ? before : after);

async function check(
  {
    limit,
    latencyMs = LATENCY_MS,
    convergedWithinS = CONVERGED_WITHIN_S,
    usedAtLeast = USED_AT_LEAST,
    ...options
  }: Case,
  { seed, seconds = SECONDS, from = 0 }: { seed: number; seconds?: number; from?: number },
): Promise<void> {
  const measured = summarise(await simulate({ ...options, latencyMs, limit: limit(), seed, seconds }), from);
  const row = `seed ${seed}: ${JSON.stringify(measured)}`;
  expect(measured.convergedS, row).toBeLessThanOrEqual(convergedWithinS);
  expect(measured.usedShare, row).toBeGreaterThanOrEqual(usedAtLeast);
  expect(measured.refusedShare, row).toBeLessThanOrEqual(REFUSED_AT_MOST);
}

/**
 * All the time of a request is the vendor's, none the network's. A vendor that is a way off has
 * free places while answers travel, which nobody can use without being refused: there the limit is
 * what that number in flight amounts to.
 */
const NEAR = { networkShare: 0 };
/** As it is with a relay and its vendor on one machine: the lane itself takes part of the time. */
const REAL = { networkShare: 0.04, jitter: 0.05, prepareMs: 4 };
/** With five requests a second a single refusal costs a second, which is 5 % of twenty seconds. */
const FEW = { convergedWithinS: 60, usedAtLeast: 0.85 };
const cases: readonly (readonly [string, Case])[] = [
  ["5 requests per second", { limit: () => tokenBucket(constant(5), 1), ...FEW }],
  ["20 requests per second", { limit: () => tokenBucket(constant(20), 1) }],
  ["100 requests per second", { limit: () => tokenBucket(constant(100), 1) }],
  ["100 requests per second, hardly a burst", { limit: () => tokenBucket(constant(100), 0.1) }],
  ["5 requests in each second", { limit: () => fixedWindows(constant(5)), ...FEW }],
  ["20 requests in each second", { limit: () => fixedWindows(constant(20)) }],
  ["100 requests in each second", { limit: () => fixedWindows(constant(100)) }],
  ["1 request at once", { limit: () => concurrency(constant(1), 100), ...NEAR }],
  ["1 request at once, a way off", { limit: () => concurrency(constant(1), LATENCY_MS) }],
  ["4 requests at once", { limit: () => concurrency(constant(4), 100), ...NEAR }],
  ["4 requests at once, a way off", { limit: () => concurrency(constant(4), LATENCY_MS) }],
  ["20 requests at once", { limit: () => concurrency(constant(20), 100), ...NEAR }],
  ["20 requests at once, a way off", { limit: () => concurrency(constant(20), LATENCY_MS) }],
  ["4 requests at once, of a real lane", { limit: () => concurrency(constant(4), 100), ...REAL }],
  ["10 requests at once, of a real lane", { limit: () => concurrency(constant(10), 100), ...REAL }],
  ["100 requests per second, of a real lane", { limit: () => tokenBucket(constant(100), 1), ...REAL }],
  ["a queue beyond 2", { limit: () => queueing(constant(2), 100), ...NEAR }],
  ["a queue beyond 10", { limit: () => queueing(constant(10), 100), ...NEAR }],
];

test.for(cases)("uses nine tenths of a limit it does not know: %s", async ([, one]) => {
  for (const seed of SEEDS) await check(one, { seed });
});

test("uses nine tenths of a limit of 1000 requests per second", async () => {
  await check({ limit: () => tokenBucket(constant(1_000), 1), latencyMs: 30 }, { seed: 1, seconds: 32 });
});

const changes: readonly (readonly [string, Case])[] = [
  ["a rate doubles", { limit: () => tokenBucket(changing(50, 100), 1) }],
  ["a rate halves", { limit: () => tokenBucket(changing(100, 50), 1) }],
  ["a rate for each second doubles", { limit: () => fixedWindows(changing(50, 100)) }],
  ["a rate for each second halves", { limit: () => fixedWindows(changing(100, 50)) }],
  ["the number at once doubles", { limit: () => concurrency(changing(10, 20), 100), ...NEAR }],
  ["the number at once halves", { limit: () => concurrency(changing(20, 10), 100), ...NEAR }],
  ["a queue doubles", { limit: () => queueing(changing(10, 20), 100), ...NEAR }],
  ["a queue halves", { limit: () => queueing(changing(20, 10), 100), ...NEAR }],
];

test.for(changes)("finds a changed limit within 30 s: %s", async ([, one]) => {
  for (const seed of SEEDS) await check(one, { seed, seconds: SECONDS_OF_CHANGES, from: CHANGE_S });
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

test("answers of a near vendor that a busy relay looks at late do not shrink the window", async () => {
  const seconds = await simulate({
    limit: concurrency(() => 64, 10),
    latencyMs: 10,
    lateMs: (nowMs) => (Math.floor(nowMs / 1_000) % 2 === 0 ? 0 : 25),
    seed: 1,
    seconds: 10,
  });
  for (const { inFlight } of seconds.slice(2)) expect(inFlight).toBeGreaterThan(56);
});

test("answers that take a third more or less by chance do not shrink the window", async () => {
  const seconds = await simulate({ limit: concurrency(() => 64, 100), latencyMs: LATENCY_MS, seed: 1, seconds: 25 });
  for (const { inFlight } of seconds.slice(5)) expect(inFlight).toBe(64);
});
