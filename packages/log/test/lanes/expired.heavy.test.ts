/**
 * What retention takes from a lane is counted in that moment, once, whatever the lane is doing and
 * whatever dies when.
 */
import { type AccountView, type Batch, DELIVERED, type Outcome } from "@waybill/core";
import {
  DeadLetters,
  Fates,
  fatesOf,
  LaneState,
  type LaneStateValue,
  type Log,
  LogStore,
  type LogStoreDelivery,
  NO_FATES,
  newLaneState,
  openLog,
  type Piece,
  type ReplayState,
  ReplayStore,
} from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { expectFatesToBeTheLedger } from "../lib/fates.ts";

const WIDE = { maxEvents: 1_000, maxBytes: 1_000_000 };
const LATER: Outcome = { status: "retryable", reason: "later" };
const NEVER: Outcome = { status: "rejected", reason: "never" };
const HARD = { maxAgeMs: 0, maxBytes: 0, hardMaxBytes: 0 };
/** About three records. */
const SEGMENT_BYTES = 300;

interface World {
  readonly disk: SimDisk;
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly store: LogStore;
  readonly expired: number[];
}

async function open(disk = new SimDisk(), delivery: Partial<LogStoreDelivery> = {}): Promise<World> {
  const clock = new VirtualClock();
  const runtime = { disk, clock };
  const log = await openLog({ directory: "/log", segmentMaxBytes: SEGMENT_BYTES }, runtime);
  const state = await LaneState.open<LaneStateValue>(disk, "/lanes", "a", (damaged) => newLaneState(log, damaged));
  const deadLetters = await DeadLetters.open("/dead", log.head, runtime);
  const fates = await Fates.open({ directory: "/fates", runtime, ...fatesOf(state.initial, log) });
  const expired: number[] = [];
  const store = new LogStore({
    name: "a",
    log,
    state,
    fates,
    deadLetters,
    clock,
    onExpired: (events) => expired.push(events),
    delivery,
  });
  return { disk, clock, log, store, expired };
}

/** A record of two events. */
async function push(log: Log, records: number): Promise<void> {
  for (let record = 0; record < records; record++) {
    const texts = [`{"n":${log.head}}`, `{"n":${log.head + 1}}`];
    let end = -1;
    const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
    await log.append({ source: "web", receivedAtMs: 7, metadata: "", body: [Buffer.from(texts.join(","))], ends });
  }
}

const retainHard = ({ log, clock }: World): Promise<number> => log.retain(HARD, clock.now() + 1, 0);

function numbersOf(batch: Batch): number[] {
  return Array.from(
    { length: batch.count },
    (_, index) => (JSON.parse(Buffer.from(batch.event(index) as Uint8Array).toString()) as { n: number }).n,
  );
}

async function drain(store: LogStore): Promise<number[]> {
  const numbers: number[] = [];
  for (let batch = await store.lease(WIDE); batch !== undefined; batch = await store.lease(WIDE)) {
    numbers.push(...numbersOf(batch));
    await store.settle(batch, new Array<Outcome>(batch.count).fill(DELIVERED));
  }
  return numbers;
}

test("a lane that does nothing has its loss in the account at once, and tells it", async () => {
  const world = await open();
  const { log, store, expired } = world;
  await push(log, 20);
  expect(await retainHard(world)).toBeGreaterThan(2);
  expect(store.account()).toMatchObject({ accepted: 40, expired: log.first, pending: 40 - log.first, balanced: true });
  expect(expired.reduce((sum, events) => sum + events)).toBe(log.first);
  expect(store.neededFrom).toBe(log.first);
  const { events, bytes, oldestAtMs } = store.pending();
  expect({ events, bytes }).toEqual({ events: 40 - log.first, bytes: log.headByte - log.firstByte });
  expect(oldestAtMs).toBe(log.oldestAtMs);
  expect(await drain(store)).toEqual(Array.from({ length: 40 - log.first }, (_, index) => log.first + index));
  expect(store.account()).toMatchObject({ expired: log.first, pending: 0, balanced: true });
});

test("what was read ahead is expired with its segment; what is on its way gets its own outcome", async () => {
  const world = await open();
  const { log, store } = world;
  await push(log, 20);
  const batch = (await store.lease({ maxEvents: 3, maxBytes: 1_000 })) as Batch;
  await retainHard(world);
  const { first } = log;
  expect(store.account()).toMatchObject({ expired: first - 3, pending: 40 - first + 3, balanced: true });
  expect(store.pending().events).toBe(40 - first + 3);
  await store.settle(batch, [DELIVERED, NEVER, DELIVERED]);
  expect(store.account()).toMatchObject({ delivered: 2, rejected: 1, expired: first - 3, pending: 40 - first });
  expect(store.account().balanced).toBe(true);
  expect((await drain(store))[0]).toBe(first);
});

test("of a batch on its way, what would have to be sent again is expired", async () => {
  const world = await open();
  const { log, store } = world;
  await push(log, 20);
  const batch = (await store.lease({ maxEvents: 4, maxBytes: 1_000 })) as Batch;
  await retainHard(world);
  await store.settle(batch, [DELIVERED, LATER, LATER, LATER]);
  const { first } = log;
  expect(store.account()).toMatchObject({ delivered: 1, expired: first - 1, pending: 40 - first, balanced: true });
  expect((await drain(store))[0]).toBe(first);
});

test("a batch over the edge of what was removed keeps what is left of it", async () => {
  const world = await open();
  const { log, store } = world;
  await push(log, 20);
  const one = (await store.lease({ maxEvents: 1, maxBytes: 1_000 })) as Batch;
  await store.settle(one, [DELIVERED]);
  const batch = (await store.lease(WIDE)) as Batch;
  await log.removeBefore(7);
  const { first } = log;
  expect(first).toBeGreaterThan(1);
  expect(first).toBeLessThan(1 + batch.count);
  expect(store.account()).toMatchObject({ expired: 0, pending: 39, balanced: true });
  expect(store.pending().events).toBe(39);
  await store.settle(batch, new Array<Outcome>(batch.count).fill(LATER));
  expect(store.account()).toMatchObject({ expired: first - 1, pending: 40 - first, balanced: true });
  expect((await drain(store))[0]).toBe(first);
});

test("several removals while a batch is on its way add up", async () => {
  const world = await open();
  const { log, store } = world;
  await push(log, 8);
  const batch = (await store.lease({ maxEvents: 1, maxBytes: 1_000 })) as Batch;
  for (let round = 0; round < 4; round++) {
    await push(log, 4);
    await retainHard(world);
    expect(store.account()).toMatchObject({ expired: log.first - 1, balanced: true });
    expect(store.pending().events).toBe(log.head - log.first + 1);
  }
  await store.settle(batch, [DELIVERED]);
  expect(store.account()).toMatchObject({ delivered: 1, expired: log.first - 1, balanced: true });
});

test("a store that is closed with a batch on its way counts what was removed after that batch once", async () => {
  const world = await open();
  const { log, store, disk } = world;
  await push(log, 20);
  await store.lease({ maxEvents: 2, maxBytes: 1_000 });
  await retainHard(world);
  await store.close();
  await log.close();
  const again = await open(disk);
  expect(again.store.account()).toMatchObject({ accepted: 40, expired: again.log.first, balanced: true });
  // What was not on its way was reported before.
  expect(again.expired).toEqual([2]);
});

test("a loss is counted once, whether the process dies before, while or after it is written", async () => {
  for (let operation = 1; operation < 14; operation++) {
    for (const powerFails of [false, true]) {
      const world = await open();
      const { log, store, disk } = world;
      await push(log, 20);
      const batch = (await store.lease({ maxEvents: 5, maxBytes: 1_000 })) as Batch;
      await store.settle(batch, new Array<Outcome>(5).fill(DELIVERED));
      await store.sync();
      let left = operation;
      disk.onOperation = () => {
        left -= 1;
        if (left <= 0) throw new Error("the process is dead");
      };
      await retainHard(world).catch(() => undefined);
      await store.sync().catch(() => undefined);
      disk.onOperation = undefined;
      if (powerFails) disk.crash(new SeededRandom(operation));
      else disk.killProcess();
      const again = await open(disk);
      const account = again.store.account();
      expect(account, `operation ${operation}`).toMatchObject({ accepted: 40, delivered: 5, balanced: true });
      // A power cut may bring the segment back that was removed last; its events stay counted
      // as expired.
      if (powerFails) expect(account.expired).toBeGreaterThanOrEqual(Math.max(0, again.log.first - 5));
      else expect(account.expired).toBe(Math.max(0, again.log.first - 5));
      await expectFatesToBeTheLedger(again.log, again.store, `operation ${operation}`);
      await again.store.close();
      await again.log.close();
      expect((await open(disk)).store.account(), `operation ${operation}, again`).toEqual(account);
    }
  }
});

test("a segment that a power cut brings back has nothing to send: its events are expired", async () => {
  const world = await open();
  const { log, store, disk, clock } = world;
  await push(log, 20);
  const segments = disk.paths().filter((path) => path.startsWith("/log/"));
  const [, back, kept] = segments as [string, string, string];
  const bytes = disk.contents(back);
  const first = Number(/(\d+)\.log$/.exec(kept)?.[1]);
  expect((await store.lease({ maxEvents: 3, maxBytes: 1_000 }))?.count).toBe(3);
  await store.expiring(first);
  await log.removeBefore(first);
  await clock.advance(0);
  await store.sync();
  expect(store.account()).toMatchObject({ expired: first - 3, pending: 40 - first + 3, balanced: true });
  disk.killProcess();
  const file = await disk.open(back, { create: true });
  await file.write([bytes], 0);
  await file.sync();
  const again = await open(disk);
  expect(again.log.first).toBeLessThan(first);
  expect(again.store.account()).toMatchObject({ expired: first, pending: 40 - first, balanced: true });
  await expectFatesToBeTheLedger(again.log, again.store);
  expect(await drain(again.store)).toEqual(Array.from({ length: 40 - first }, (_, index) => first + index));
  await expectFatesToBeTheLedger(again.log, again.store);
});

const secondBase = ({ disk }: World): number =>
  Number(/(\d+)\.log$/.exec(disk.paths().filter((path) => path.startsWith("/log/"))[1] as string)?.[1]);

test("a plan goes with its events when retention takes them before they were read again", async () => {
  const before = await open(new SimDisk(), { durableLease: true });
  await push(before.log, 20);
  const batch = (await before.store.lease({ maxEvents: 4, maxBytes: 1_000 })) as Batch;
  await before.store.plan(batch);
  before.disk.killProcess();
  const { disk, log, store } = await open(before.disk, { durableLease: true });
  await log.removeBefore(secondBase(before));
  const next = (await store.lease({ maxEvents: 4, maxBytes: 1_000 })) as Batch;
  expect(next.count).toBe(4);
  const synced = disk.operations.get("sync") ?? 0;
  await store.plan(next);
  expect(disk.operations.get("sync")).toBe(synced + 1);
});

test("retention waits for a state that is durable, also where the lane is past what it takes", async () => {
  const world = await open();
  const { disk, clock, log, store } = world;
  await push(log, 20);
  const batch = (await store.lease({ maxEvents: 12, maxBytes: 1_000 })) as Batch;
  const parked: Outcome = { status: "parked", reason: "500" };
  await store.settle(batch, [parked, ...new Array<Outcome>(batch.count - 1).fill(DELIVERED)]);
  await store.sync();
  await clock.advance(2_000);
  await store.settle((await store.lease(WIDE)) as Batch, [DELIVERED]);
  const first = secondBase(world);
  await drain(store);
  expect(store.neededFrom).toBeGreaterThan(first);
  const synced = disk.operations.get("sync") ?? 0;
  await store.expiring(first);
  expect(disk.operations.get("sync")).toBe(synced + 1);
  // Once it is, there is nothing to wait for.
  await store.expiring(first);
  expect(disk.operations.get("sync")).toBe(synced + 1);
});

test("damage that was removed is expired, damage that is left is not", async () => {
  const world = await open();
  const { log, store, disk } = world;
  await push(log, 20);
  for (const number of [0, 38]) {
    const path = disk.paths().find((one) => Buffer.from(disk.contents(one)).includes(`"n":${number}}`)) as string;
    disk.flipBit(path, Buffer.from(disk.contents(path)).indexOf(`"n":${number}}`));
  }
  const cut = log.first;
  await log.removeBefore(20);
  expect(cut).toBe(0);
  await drain(store);
  const { first } = log;
  expect(store.account()).toMatchObject({ delivered: 38 - first, expired: first, dropped: { log_damaged: 2 } });
  expect(store.account().balanced).toBe(true);
  await expectFatesToBeTheLedger(log, store);
});

test("whatever lane, retention and deaths do in whatever order, each event has one outcome", {
  timeout: 60_000,
}, async () => {
  let removals = 0;
  for (let seed = 0; seed < 150; seed++) {
    const random = new SeededRandom(seed);
    let world = await open();
    let batch: Batch | undefined;
    let leasing: Promise<void> | undefined;
    const check = (when: string): AccountView => {
      const account = world.store.account();
      expect(account.balanced, `seed ${seed}, ${when}: ${JSON.stringify(account)}`).toBe(true);
      expect(account.accepted, `seed ${seed}, ${when}`).toBe(world.log.head);
      expect(account.pending, `seed ${seed}, ${when}`).toBe(world.store.pending().events);
      // Nothing that is gone is pending, but what is on its way.
      expect(account.pending).toBeLessThanOrEqual(world.log.head - world.log.first + (batch?.count ?? 5));
      return account;
    };
    for (let step = 0; step < 40; step++) {
      const roll = random.next();
      if (roll < 0.35) await push(world.log, 1 + random.below(4));
      else if (roll < 0.55) {
        if (batch === undefined) {
          const { store } = world;
          leasing = store.lease({ maxEvents: 1 + random.below(5), maxBytes: 1_000 }).then((leased) => {
            batch = leased;
          });
          // Retention may come at any moment of it.
          if (random.chance(0.5)) removals += await retainHard(world);
          await leasing;
        }
      } else if (roll < 0.75 && batch !== undefined) {
        const outcomes = Array.from({ length: batch.count }, () => random.pick([DELIVERED, DELIVERED, NEVER, LATER]));
        const settling = world.store.settle(batch, outcomes);
        if (random.chance(0.5)) removals += await retainHard(world);
        await settling;
        batch = undefined;
      } else if (roll < 0.9) removals += await retainHard(world);
      else {
        await world.store.sync();
        if (random.chance(0.5)) world.disk.killProcess();
        else world.disk.crash(random.fork());
        const before = check("before a death");
        batch = undefined;
        world = await open(world.disk);
        const after = check("after a death");
        expect(after.delivered, `seed ${seed}`).toBe(before.delivered);
        expect(after.expired).toBeGreaterThanOrEqual(before.expired);
      }
      check(`step ${step}`);
      await expectFatesToBeTheLedger(world.log, world.store, `seed ${seed}, step ${step}`);
    }
    if (batch !== undefined) await world.store.settle(batch, new Array<Outcome>(batch.count).fill(DELIVERED));
    await drain(world.store);
    expect(check("end").pending).toBe(0);
    await expectFatesToBeTheLedger(world.log, world.store, `seed ${seed}, end`);
  }
  expect(removals).toBeGreaterThan(500);
});

const REPLAYED = 90;
/** Every third event, in pieces of one or two. */
async function* everyThird(from: number): AsyncGenerator<Piece> {
  for (let first = 0; first < REPLAYED; first += 6) {
    const body = Buffer.from("1,2,3,4,5,6");
    const ends = Uint32Array.of(1, 3, 5, 7, 9, 11);
    const record = { first, count: 6, source: "s", receivedAtMs: 0, metadata: "", body, ends, sizeBytes: 64 };
    for (const at of [0, 3]) if (first + at >= from) yield { record, start: at, end: at + 1 };
  }
}

const chosenBetween = (from: number, to: number): number =>
  Array.from({ length: REPLAYED / 3 }, (_, index) => 3 * index).filter((at) => at >= from && at < to).length;

test("a replay's loss is counted once, however far it comes while its events are removed", async () => {
  let lost = 0;
  for (let seed = 0; seed < 300; seed++) {
    const random = new SeededRandom(seed);
    const disk = new SimDisk();
    const state = await LaneState.open<ReplayState>(disk, "/r", "one", () => ({
      total: REPLAYED / 3,
      cursor: 0,
      leased: 0,
      delivered: 0,
      rejected: 0,
      expired: 0,
      done: false,
    }));
    const fates = await Fates.open({
      directory: "/r-fates",
      runtime: { disk, clock: new VirtualClock() },
      tail: { from: 0, runs: [], before: NO_FATES },
    });
    const store = new ReplayStore({ name: "r", state, fates, pieces: everyThird });
    const delivered: number[] = [];
    let first = 0;
    let batch: Batch | undefined;
    const move = async (): Promise<void> => {
      if (batch === undefined) {
        batch = await store.lease({ maxEvents: 1 + random.below(4), maxBytes: 1_000 });
        return;
      }
      const outcomes = Array.from({ length: batch.count }, () => random.pick([DELIVERED, DELIVERED, LATER]));
      const later = outcomes.indexOf(LATER);
      for (let index = 0; index < (later === -1 ? batch.count : later); index++)
        delivered.push(Number(batch.eventKey(index).slice(2)));
      await store.settle(batch, outcomes);
      batch = undefined;
    };
    for (let step = 0; step < 200 && !store.value.done; step++) {
      if (random.chance(0.8)) await move();
      else {
        const to = Math.min(REPLAYED, first + random.below(20));
        const before = store.progress();
        // What is there no more cannot be counted.
        const chosen = chosenBetween(Math.max(first, before.from), to);
        const moving = random.chance(0.5) ? move() : undefined;
        if (random.chance(0.5)) {
          await moving;
          if (random.chance(0.5)) await move();
        }
        await Promise.all([store.expire(to, chosen, before), moving]);
        first = Math.max(first, to);
      }
      const { balanced, pending, expired } = store.account();
      expect(balanced, `seed ${seed} step ${step}`).toBe(true);
      expect(delivered.length + expired + pending, `seed ${seed} step ${step}`).toBe(REPLAYED / 3);
      expect(pending, `seed ${seed} step ${step}`).toBeLessThanOrEqual(
        chosenBetween(first, REPLAYED) + (batch?.count ?? 0),
      );
    }
    expect(store.account(), `seed ${seed}`).toMatchObject({ pending: 0, delivered: delivered.length });
    expect(new Set(delivered).size).toBe(delivered.length);
    expect(delivered).toEqual([...delivered].sort((a, b) => a - b));
    lost += store.account().expired;
  }
  expect(lost).toBeGreaterThan(1_000);
});
