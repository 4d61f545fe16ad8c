/** What is made of the relay's own counters once a second: rates, troubles, the last hour. */
import type { LaneSnapshot } from "@waybill/core";
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { Rate, RecentGrowth } from "../../src/admin/live/rates.ts";
import { Sampler } from "../../src/admin/live/sampler.ts";
import { history } from "../../src/admin/schemas/live.ts";
import { LaneActivity } from "../../src/delivery/lane-activity.ts";

class FakeLane {
  readonly activity = new LaneActivity();
  readonly config: { readonly name: string };
  accepted = 0;
  delivered = 0;
  expired = 0;
  limitReason = "growing";
  snapshot: LaneSnapshot = {
    mode: "idle",
    reason: undefined,
    inFlight: 0,
    attempts: 0,
    failedAttempts: 0,
    lastError: undefined,
    lastErrorAtMs: undefined,
  };

  constructor(name: string) {
    this.config = { name };
  }

  account(): object {
    const { accepted, delivered, expired } = this;
    return { accepted, delivered, expired, pending: accepted - delivered - expired };
  }

  pending(): object {
    return {};
  }

  delivery(): object {
    return { limitReason: this.limitReason };
  }

  lane(): LaneSnapshot {
    return this.snapshot;
  }

  attempt(durationMs: number, { delivered = 0, retryable = 0 }: { delivered?: number; retryable?: number }): void {
    const { attempts, failedAttempts } = this.snapshot;
    const failed = retryable > 0;
    this.snapshot = { ...this.snapshot, attempts: attempts + 1, failedAttempts: failedAttempts + (failed ? 1 : 0) };
    this.delivered += delivered;
    const reason = failed ? "503" : undefined;
    const counts = { events: delivered + retryable, delivered, retryable, rejected: 0, halted: 0 };
    this.activity.note({ atMs: 1, status: 200, bytes: 1, durationMs, reason, ...counts });
  }
}

interface World {
  readonly clock: VirtualClock;
  readonly sampler: Sampler;
  readonly lanes: FakeLane[];
  readonly log: { head: number };
  readonly refused: Record<string, number>;
}

const START = 1_000_000_000;

async function start(count: number): Promise<World> {
  const clock = new VirtualClock(START);
  const lanes = [...Array(count).keys()].map((n) => new FakeLane(`lane-${n}`));
  const log = { head: 0 };
  const refused: Record<string, number> = {};
  const environment = { name: "e", log, destinations: () => lanes, replays: { views: () => [] } };
  const sampler = new Sampler({
    clock,
    environments: () => [environment] as never,
    sources: () => undefined,
    inPartitions: () => [],
    refusedRequests: () => refused,
  });
  sampler.start();
  return { clock, sampler, lanes, log, refused };
}

function historyOf({ sampler }: World, wants: object = {}): ReturnType<typeof history.parse> {
  return history.parse(JSON.parse([...sampler.history(wants)].join("")));
}

const lane = ({ sampler, lanes }: World, at = 0): ReturnType<Sampler["lane"]> => sampler.lane(lanes[at] as never);

test("a rate is that of the last ten seconds, and of less at the beginning", () => {
  const rate = new Rate();
  expect(rate.perSecond).toBe(0);
  for (let second = 0; second <= 30; second++) rate.note(second <= 20 ? second * 100 : 2_000, second * 1_000);
  expect(rate.perSecond).toBe(0);
  rate.note(3_000, 31_000);
  expect(rate.perSecond).toBe(100);
  rate.note(0, 32_000);
  expect(rate.perSecond).toBe(0);
  rate.note(7, 33_000);
  expect(rate.perSecond).toBe(7);
});

test("growth is forgotten after its window; what was there at first is old", () => {
  const growth = new RecentGrowth(60_000);
  const note = (total: number, second: number): void =>
    growth.note(total, { monotonicMs: second * 1_000, nowMs: second * 1_000 });
  note(500, 0);
  expect([growth.events, growth.since]).toEqual([0, undefined]);
  note(503, 1);
  note(510, 50);
  expect([growth.events, growth.since]).toEqual([10, 1_000]);
  note(510, 70);
  expect(growth.events).toBe(7);
  note(510, 200);
  expect([growth.events, growth.since]).toEqual([0, undefined]);
});

test("the history has a number for each ten seconds, of all lanes together and of each", async () => {
  const world = await start(2);
  const [first, second] = world.lanes;
  for (let step = 1; step <= 3; step++) {
    world.log.head += 100 * step;
    for (const one of world.lanes) one.accepted = world.log.head;
    for (let n = 0; n < 100; n++) first?.attempt(step === 2 ? 200 : 20, { delivered: step });
    second?.attempt(5, { retryable: 10 });
    await world.clock.advance(10_000);
  }
  const { stepMs, from, steps, environments } = historyOf(world);
  expect([stepMs, from, steps]).toEqual([10_000, START, 3]);
  const [environment] = environments;
  expect(environment).toMatchObject({
    name: "e",
    accepted: [100, 200, 300],
    delivered: [100, 200, 300],
    failedAttempts: [1, 1, 1],
    destinations: [
      { name: "lane-0", delivered: [100, 200, 300], failedAttempts: [0, 0, 0] },
      { name: "lane-1", delivered: [0, 0, 0], failedAttempts: [1, 1, 1] },
    ],
  });
  const p50 = environment?.destinations[0]?.p50Ms ?? [];
  for (const [at, expected] of [20, 200, 20].entries()) {
    expect(p50[at]).toBeGreaterThan(expected * 0.92);
    expect(p50[at]).toBeLessThan(expected * 1.08);
  }
  await world.clock.advance(10_000);
  expect(historyOf(world).environments[0]?.p99Ms.at(-1)).toBeNull();
  expect(historyOf(world, { destination: "lane-1" }).environments[0]?.destinations).toHaveLength(1);
  expect(historyOf(world, { environment: "other" }).environments).toEqual([]);
});

test("only the last hour is kept, also over a standstill of the process", async () => {
  const world = await start(1);
  for (let step = 0; step < 400; step++) {
    world.log.head += 1;
    await world.clock.advance(10_000);
  }
  const { from, steps, environments } = historyOf(world);
  expect([steps, from]).toEqual([360, START + 40 * 10_000]);
  expect(environments[0]?.accepted).toEqual(Array(360).fill(1));
});

test("of 1,000 lanes the history is made in pieces", async () => {
  const world = await start(1_000);
  for (let step = 0; step < 360; step++) await world.clock.advance(10_000);
  const pieces = [...world.sampler.history({})];
  expect(pieces.length).toBeGreaterThan(20);
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(100_000);
  expect(historyOf(world).environments[0]?.destinations).toHaveLength(1_000);
}, 60_000);

test("a lane fails from its first failure until something is delivered or nothing waits", async () => {
  const world = await start(1);
  const [one] = world.lanes as [FakeLane];
  one.accepted = 10;
  await world.clock.advance(1_000);
  expect(lane(world).troubles().failingSince).toBeNull();
  one.attempt(5, { retryable: 1 });
  await world.clock.advance(5_000);
  one.attempt(5, { retryable: 1 });
  await world.clock.advance(5_000);
  const { failingSince } = lane(world).troubles();
  expect(failingSince).toBeGreaterThanOrEqual(START + 1_000);
  expect(failingSince).toBeLessThanOrEqual(START + 2_000);
  one.attempt(5, { delivered: 1 });
  await world.clock.advance(1_000);
  expect(lane(world).troubles().failingSince).toBeNull();
  one.attempt(5, { retryable: 1 });
  await world.clock.advance(1_000);
  one.expired = 9;
  await world.clock.advance(1_000);
  expect(lane(world).troubles()).toMatchObject({ failingSince: null, expired: 9 });
  await world.clock.advance(3_700_000);
  expect(lane(world).troubles()).toMatchObject({ expired: 0, expiredSince: null });
});

test("a lane makes no progress when something waits and nothing is tried", async () => {
  const world = await start(1);
  const [one] = world.lanes as [FakeLane];
  one.accepted = 10;
  await world.clock.advance(30_000);
  const { stalledSince } = lane(world).troubles();
  expect(stalledSince).toBeLessThanOrEqual(START + 2_000);
  one.attempt(5, { retryable: 1 });
  await world.clock.advance(1_000);
  expect(lane(world).troubles().stalledSince).toBeNull();
  one.snapshot = { ...one.snapshot, mode: "paused" };
  await world.clock.advance(30_000);
  expect(lane(world).troubles()).toMatchObject({ stalledSince: null, failingSince: null });
  expect(lane(world).troubles().modeSince).toBeGreaterThan(START + 30_000);
});

test("a limit lasts while it is felt, and for half a minute", async () => {
  const world = await start(1);
  const [one] = world.lanes as [FakeLane];
  one.accepted = 10;
  one.limitReason = "429 at 12:00, waiting as the vendor requests";
  await world.clock.advance(1_000);
  one.limitReason = "429 at 12:00";
  await world.clock.advance(20_000);
  expect(lane(world).troubles().limitedSince).not.toBeNull();
  await world.clock.advance(20_000);
  expect(lane(world).troubles().limitedSince).toBeNull();
});

test("requests with an unknown key are remembered for ten minutes", async () => {
  const world = await start(0);
  world.refused["unauthorized"] = 5;
  await world.clock.advance(1_000);
  const { refusedKeys } = world.sampler.unknownSource;
  expect(refusedKeys.events).toBe(5);
  await world.clock.advance(700_000);
  expect(refusedKeys.events).toBe(0);
});

test("the last 100 requests of a lane are kept, and passed on to those who watch", () => {
  const one = new FakeLane("x");
  const passed: number[] = [];
  const stop = one.activity.onAttempt(({ sequence }) => void passed.push(sequence));
  for (let n = 0; n < 250; n++) one.attempt(1.234, { delivered: 1 });
  stop();
  one.attempt(1, { retryable: 2 });
  const recent = one.activity.recent();
  expect(recent).toHaveLength(100);
  expect([recent[0]?.sequence, recent[99]?.sequence]).toEqual([251, 152]);
  expect(recent[0]).toMatchObject({ reason: "503", retryable: 2, status: 200 });
  expect(recent[1]).toMatchObject({ reason: null, durationMs: 1.2 });
  expect(passed).toHaveLength(250);
});

test("a sampler that was stopped reads nothing any more", async () => {
  const world = await start(1);
  world.sampler.stop();
  world.log.head = 5;
  await world.clock.advance(60_000);
  expect(world.sampler.steps).toBe(0);
});
