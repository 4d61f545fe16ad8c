/**
 * Events that are gone from under a lane. Moving its cursor by hand: what is skipped is dropped,
 * exactly that, and durably. Records that another process removed: each is counted once.
 */
import { type Batch, DELIVERED, type Outcome } from "@waybill/core";
import {
  DeadLetters,
  Fates,
  fatesOf,
  LaneState,
  type LaneStateValue,
  type Log,
  type LogRecord,
  LogStore,
  newLaneState,
  type OrderHashes,
  openLog,
  parseLaneState,
} from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const WIDE = { maxEvents: 8, maxBytes: 1_000_000 };
const LATER: Outcome = { status: "retryable", reason: "later" };
const NEVER: Outcome = { status: "rejected", reason: "never" };
const PARKED: Outcome = { status: "parked", reason: "it fails alone" };
const USERS = 12;

/** Event `n` is of user `n % USERS`. */
function orderOf(record: LogRecord): OrderHashes {
  const hashes = Uint32Array.from(record.ends, (_, at) => 1 + ((record.first + at) % USERS));
  return { hashes, ties: undefined };
}

interface World {
  readonly disk: SimDisk;
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly store: LogStore;
}

async function open(disk: SimDisk, clock = new VirtualClock(), order: "user" | "arrival" = "user"): Promise<World> {
  const runtime = { disk, clock };
  const log = await openLog({ directory: "/log", segmentMaxBytes: 4_000 }, runtime);
  const create = (damaged: boolean): LaneStateValue => newLaneState(log, damaged);
  const state = await LaneState.open<LaneStateValue>(disk, "/lanes", "a", create, parseLaneState);
  const deadLetters = await DeadLetters.open("/dead", log.head, runtime, state.initial.dead);
  const fates = await Fates.open({ directory: "/fates", runtime, ...fatesOf(state.initial, log) });
  const delivery = { order, orderOf, maxInFlight: () => 4 };
  return { disk, clock, log, store: new LogStore({ name: "a", log, state, fates, deadLetters, clock, delivery }) };
}

async function push(log: Log, count: number): Promise<void> {
  const texts = Array.from({ length: count }, (_, index) => `{"n":${log.head + index}}`);
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
  await log.append({ source: "web", receivedAtMs: 7, metadata: "", body: [Buffer.from(texts.join(","))], ends });
}

const positionsOf = (batch: Batch): number[] =>
  Array.from(
    { length: batch.count },
    (_, index) => (JSON.parse(Buffer.from(batch.event(index) as Uint8Array).toString()) as { n: number }).n,
  );

async function settle({ store }: World, batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
  await store.plan(batch);
  await store.settle(batch, outcomes);
}

/** Leases until nothing may be sent now. */
async function leaseAll({ store }: World): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (let batch = await store.lease(WIDE); batch !== undefined; batch = await store.lease(WIDE)) batches.push(batch);
  return batches;
}

/** As a lane that is bound by latency: several strands. */
async function spread(world: World): Promise<void> {
  for (let round = 0; world.store.shape.strands < 8; round++) {
    const batches = await leaseAll(world);
    await world.clock.advance(100);
    for (const batch of batches) await settle(world, batch, new Array<Outcome>(batch.count).fill(DELIVERED));
    if (round > 50) throw new Error("it does not split");
  }
}

async function fates({ store, log }: World): Promise<readonly string[]> {
  const all: string[] = [];
  for (let position = 0; position < log.head; position++) {
    const fate = await store.fateAt(position);
    all.push(fate.status === "dropped" ? fate.reason : fate.status);
  }
  return all;
}

async function drain(world: World): Promise<number[]> {
  const sent: number[] = [];
  for (let round = 0; world.store.pending().events > 0; round++) {
    if (round > 1_000) throw new Error(`it does not end: ${JSON.stringify(world.store.account())}`);
    const batches = await leaseAll(world);
    await world.clock.advance(40_000);
    for (const batch of batches) {
      sent.push(...positionsOf(batch));
      await settle(world, batch, new Array<Outcome>(batch.count).fill(DELIVERED));
    }
  }
  return sent;
}

test("of a backlog that was never read, what is before the position is skipped and the rest is sent", async () => {
  const world = await open(new SimDisk(), new VirtualClock(), "arrival");
  for (let index = 0; index < 100; index++) await push(world.log, 10);
  expect(await world.store.skippable(995)).toEqual({ from: 0, to: 995, events: 995 });
  expect(await world.store.skipTo(995)).toEqual({ from: 0, to: 995, events: 995 });
  expect(world.store.account()).toMatchObject({
    accepted: 1_000,
    dropped: { skipped: 995 },
    pending: 5,
    balanced: true,
  });
  expect(world.store.unknownFates).toBe(0);
  world.disk.crash(new SeededRandom(1));
  const again = await open(world.disk, world.clock, "arrival");
  expect(again.store.account()).toMatchObject({
    accepted: 1_000,
    dropped: { skipped: 995 },
    pending: 5,
    balanced: true,
  });
  expect(await drain(again)).toEqual([995, 996, 997, 998, 999]);
  expect(await fates(again)).toEqual(Array.from({ length: 1_000 }, (_, at) => (at < 995 ? "skipped" : "delivered")));
});

test("only forward, and not beyond the end of the log", async () => {
  const world = await open(new SimDisk());
  await push(world.log, 20);
  const [batch] = await leaseAll(world);
  await settle(world, batch as Batch, new Array<Outcome>((batch as Batch).count).fill(DELIVERED));
  for (const to of [0, 7, 8, 21])
    await expect(world.store.skippable(to)).rejects.toMatchObject({ code: "WAYBILL_INPUT", reason: "position" });
  expect(await world.store.skippable(20)).toEqual({ from: 8, to: 20, events: 12 });
  expect(world.store.account()).toMatchObject({ delivered: 8, dropped: {}, pending: 12 });
});

test("over several strands only what is not settled is skipped, with parked users and what waits for them", async () => {
  const world = await open(new SimDisk());
  for (let index = 0; index < 60; index++) await push(world.log, 10);
  await spread(world);
  const [first, second, third, ...others] = await leaseAll(world);
  // Its user's later events wait for the first one.
  const [culprit, ...rest] = positionsOf(first as Batch);
  await settle(world, first as Batch, [PARKED, ...rest.map((): Outcome => DELIVERED)]);
  await settle(
    world,
    second as Batch,
    positionsOf(second as Batch).map((_, at) => (at === 1 ? NEVER : DELIVERED)),
  );
  await settle(
    world,
    third as Batch,
    positionsOf(third as Batch).map(() => LATER),
  );
  for (const batch of others)
    await settle(
      world,
      batch,
      positionsOf(batch).map(() => DELIVERED),
    );
  expect(world.store.shape).toMatchObject({ strands: 8, parkedUsers: 1 });
  const before = await fates(world);
  const to = 500;
  const open_ = before.slice(0, to).filter((status) => status === "pending").length;
  expect(open_).toBeGreaterThan(50);
  expect(await world.store.skipTo(to)).toEqual({ from: culprit, to, events: open_ });
  const after = before.map((status, at) => (status === "pending" && at < to ? "skipped" : status));
  expect(await fates(world)).toEqual(after);
  expect(world.store.account()).toMatchObject({ dropped: { skipped: open_ }, balanced: true });
  world.disk.crash(new SeededRandom(2));
  const again = await open(world.disk, world.clock);
  expect(await fates(again)).toEqual(after);
  const sent = await drain(again);
  expect(sent.every((position) => position >= to)).toBe(true);
  expect(await fates(again)).toEqual(after.map((status) => (status === "pending" ? "delivered" : status)));
  expect(again.store.account()).toMatchObject({ accepted: 600, pending: 0, balanced: true });
  expect(again.store.unknownFates).toBe(0);
});

test("what a failed lane left leased is given back: skipped before the position, sent again after it", async () => {
  const world = await open(new SimDisk(), new VirtualClock(), "arrival");
  await push(world.log, 20);
  const left = (await world.store.lease(WIDE)) as Batch;
  expect(positionsOf(left)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(await world.store.skipTo(5)).toEqual({ from: 0, to: 5, events: 5 });
  // The lane goes on and settles what it had.
  await world.store.settle(
    left,
    positionsOf(left).map(() => LATER),
  );
  expect(world.store.account()).toMatchObject({ dropped: { skipped: 5 }, pending: 15, balanced: true });
  expect(await drain(world)).toEqual(Array.from({ length: 15 }, (_, at) => 5 + at));
});

test("what cannot be made durable says so, and holds with the next state that can be written", async () => {
  const world = await open(new SimDisk());
  await push(world.log, 20);
  const before = world.disk.onOperation;
  world.disk.onOperation = (operation, path) => {
    if (operation === "write" && path.includes("/lanes/")) throw new Error("EIO");
  };
  await expect(world.store.skipTo(10)).rejects.toThrow("EIO");
  world.disk.onOperation = before;
  expect(world.store.account()).toMatchObject({ dropped: { skipped: 10 }, pending: 10, balanced: true });
  expect(await drain(world)).toEqual(Array.from({ length: 10 }, (_, at) => 10 + at));
  world.disk.killProcess();
  const again = await open(world.disk, world.clock);
  expect(again.store.account()).toMatchObject({ dropped: { skipped: 10 }, delivered: 10, balanced: true });
});

test.each([
  ["parks users", { parks: true, dies: false }],
  ["dies", { parks: false, dies: true }],
])("whatever a lane that %s did before, each event has one fate that is right", async (_name, kind) => {
  for (let seed = 0; seed < 10; seed++) await life(seed, kind);
});

interface Kind {
  readonly parks: boolean;
  readonly dies: boolean;
}

/** Some rounds of a lane, with crashes and moves of the cursor; then all that is left. */
async function life(seed: number, { parks, dies }: Kind): Promise<void> {
  const random = new SeededRandom(seed);
  const pick = (count: number): number => Math.floor(random.next() * count);
  let world = await open(new SimDisk());
  /** As settled last, by position. */
  const known = new Map<number, string>();
  for (let round = 0; round < 20; round++) {
    const where = `seed ${seed} round ${round}`;
    if (round < 14) await push(world.log, 1 + pick(20));
    const batches = await leaseAll(world);
    await world.clock.advance([0, 100, 2_000, 40_000][pick(4)] as number);
    for (const batch of batches) {
      // Left leased when it dies.
      if (dies && pick(8) === 0) continue;
      // Later events of a parked user are parked too.
      const parked = new Set<number>();
      const outcomes = positionsOf(batch).map((position): Outcome => {
        const outcome = [DELIVERED, DELIVERED, DELIVERED, NEVER, LATER, PARKED][pick(pick(2) === 0 ? 3 : 6)] as Outcome;
        if (outcome === PARKED && !parks) return DELIVERED;
        if (outcome === PARKED) parked.add(position % USERS);
        return parked.has(position % USERS) ? PARKED : outcome;
      });
      await settle(world, batch, outcomes);
    }
    if (pick(4) === 0) {
      const before = await fates(world);
      const { neededFrom, tail } = world.store;
      const to = neededFrom + 1 + pick(Math.min(60, tail - neededFrom));
      if (to <= tail) {
        const events = before.slice(0, to).filter((status) => status === "pending").length;
        expect(await world.store.skipTo(to), where).toEqual({ from: neededFrom, to, events });
        const after = before.map((status, at) => (status === "pending" && at < to ? "skipped" : status));
        expect(await fates(world), where).toEqual(after);
        for (const [at, status] of after.entries()) if (at < to) known.set(at, status);
        // It is durable.
        if (dies && pick(2) === 0) {
          world.disk.crash(new SeededRandom(seed + round));
          world = await open(world.disk, world.clock);
        }
      }
    } else if (dies && pick(6) === 0) {
      world.disk.killProcess();
      world = await open(world.disk, world.clock);
    }
    expect(world.store.account(), where).toMatchObject({ accepted: world.log.head, balanced: true });
    expect(world.store.unknownFates, where).toBe(0);
    if (round % 5 > 0) continue;
    const now = await fates(world);
    for (const [at, status] of known) expect(now[at], `${where}: event ${at}`).toBe(status);
  }
  if (dies) {
    world.disk.killProcess();
    world = await open(world.disk, world.clock);
  }
  const { neededFrom } = world.store;
  expect((await drain(world)).every((position) => position >= neededFrom)).toBe(true);
  const counts = new Map<string, number>();
  for (const status of await fates(world)) counts.set(status, (counts.get(status) ?? 0) + 1);
  const { delivered, rejected, dropped } = world.store.account();
  expect(counts).toEqual(
    new Map(Object.entries({ delivered, rejected, skipped: dropped.skipped ?? 0 }).filter(([, count]) => count > 0)),
  );
}

test("what another process removes is counted once, also after the next start", async () => {
  const world = await open(new SimDisk(), new VirtualClock(), "user");
  for (let index = 0; index < 60; index++) await push(world.log, 10);
  await spread(world);
  const [first, ...others] = (await leaseAll(world)) as [Batch, ...Batch[]];
  await world.store.plan(first);
  for (const batch of others) await settle(world, batch, new Array<Outcome>(batch.count).fill(DELIVERED));
  const before = world.store.account();
  await world.log.removeBefore(world.log.head - 1);
  expect(world.log.first).toBeGreaterThan(world.store.settledTo);
  // What is on its way gets its own outcome, which this process does not see.
  expect(world.store.account()).toMatchObject({ accepted: 600, delivered: before.delivered, balanced: true });
  await world.clock.advance(1_000);
  await world.store.sync();
  world.disk.crash(new SeededRandom(1));
  const again = await open(world.disk, world.clock, "user");
  expect(again.store.base).toBe(0);
  expect(again.store.account()).toMatchObject({
    accepted: 600,
    delivered: before.delivered,
    expired: again.log.first - before.delivered,
    balanced: true,
  });
});
