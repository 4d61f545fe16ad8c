import { DELIVERED, type Outcome } from "@waybill/core";
import {
  DeadLetters,
  Fates,
  fatesOf,
  LaneState,
  type LaneStateValue,
  type Log,
  LogStore,
  newLaneState,
  openLog,
} from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { testStore } from "@waybill/testing/suites";
import { expect, test } from "vitest";

const WIDE = { maxEvents: 1_000, maxBytes: 1_000_000 };
const LATER: Outcome = { status: "retryable", reason: "later" };
const NEVER: Outcome = { status: "rejected", reason: "never" };

interface World {
  readonly disk: SimDisk;
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly store: LogStore;
  readonly dead: Log;
}

async function open(disk: SimDisk, { durableLease = false, clock = new VirtualClock() } = {}): Promise<World> {
  const runtime = { disk, clock };
  const log = await openLog({ directory: "/log", segmentMaxBytes: 300 }, runtime);
  const state = await LaneState.open<LaneStateValue>(disk, "/lanes", "a", (damaged) => newLaneState(log, damaged));
  const deadLetters = await DeadLetters.open("/dead", log.head, runtime);
  const fates = await Fates.open({ directory: "/fates", runtime, ...fatesOf(state.initial, log) });
  return {
    disk,
    clock,
    log,
    store: new LogStore({ name: "a", log, state, fates, deadLetters, clock, delivery: { durableLease } }),
    dead: deadLetters.log,
  };
}

async function push(log: Log, texts: readonly string[], metadata = ""): Promise<void> {
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += 1 + Buffer.byteLength(text)));
  await log.append({ source: "web", receivedAtMs: 7, metadata, body: [Buffer.from(texts.join(","))], ends });
}

testStore("log store", async (texts) => {
  const { log, store } = await open(new SimDisk());
  if (texts.length > 0) await push(log, texts);
  return { store, push: (more) => push(log, more) };
});

testStore("log store over many records", async (texts) => {
  const { log, store } = await open(new SimDisk());
  const pushEach = async (more: readonly string[]): Promise<void> => {
    for (const text of more) await push(log, [text]);
  };
  await pushEach(texts);
  return { store, push: pushEach };
});

const numbers = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, index) => `{"n":${from + index}}`);

async function takeAll(store: LogStore): Promise<string[]> {
  const texts: string[] = [];
  for (let batch = await store.lease(WIDE); batch !== undefined; batch = await store.lease(WIDE)) {
    for (let index = 0; index < batch.count; index++) texts.push(Buffer.from(batch.event(index)).toString());
    await store.settle(batch, new Array<Outcome>(batch.count).fill(DELIVERED));
  }
  return texts;
}

test("a batch holds events of one metadata only", async () => {
  const { log, store } = await open(new SimDisk());
  await push(log, ["1"], "m");
  await push(log, ["2"], "m");
  await push(log, ["3"], "other");
  expect(await store.lease(WIDE)).toMatchObject({ count: 2, metadata: "m" });
});

test("after SIGKILL the next process goes on after the last settled event, and the ledgers balance", async () => {
  const first = await open(new SimDisk());
  await push(first.log, numbers(5));
  const batch = await first.store.lease({ maxEvents: 3, maxBytes: 1_000 });
  await first.store.settle(batch as never, [DELIVERED, NEVER, DELIVERED]);
  await first.store.lease(WIDE);
  first.disk.killProcess();
  const second = await open(first.disk);
  expect(second.store.account()).toMatchObject({ accepted: 5, delivered: 2, rejected: 1, pending: 2, balanced: true });
  expect(await takeAll(second.store)).toEqual(numbers(2, 3));
  expect(second.store.account()).toMatchObject({ delivered: 4, rejected: 1, pending: 0, balanced: true });
});

test("after a power cut nothing is lost and the ledgers balance, whatever of the cursor survived", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const first = await open(new SimDisk());
    await push(first.log, numbers(6));
    for (let index = 0; index < 4; index++) {
      const batch = await first.store.lease({ maxEvents: 1, maxBytes: 1_000 });
      await first.store.settle(batch as never, [DELIVERED]);
      if (index === 1) await first.store.sync();
    }
    first.disk.crash(new SeededRandom(seed));
    const second = await open(first.disk);
    const account = second.store.account();
    expect(account).toMatchObject({ accepted: 6, balanced: true });
    // Synced at two: never before that, never past what was settled.
    expect(account.delivered).toBeGreaterThanOrEqual(2);
    expect(account.delivered).toBeLessThanOrEqual(4);
    expect(await takeAll(second.store)).toEqual(numbers(6 - account.delivered, account.delivered));
  }
});

test("a dead letter is kept with reason, position and raw bytes, and only once though its batch comes again", async () => {
  const first = await open(new SimDisk());
  await push(first.log, ['{"big":12345678901234567890}'], "meta");
  const batch = await first.store.lease(WIDE);
  const write = first.disk.onOperation;
  // The process dies between the dead letter and the cursor.
  first.disk.onOperation = (operation, path) => {
    if (operation === "write" && path.includes("/lanes/")) throw new Error("died");
  };
  await first.store.settle(batch as never, [NEVER]);
  first.disk.onOperation = write;
  first.disk.killProcess();
  const second = await open(first.disk);
  const again = await second.store.lease(WIDE);
  await second.store.settle(again as never, [NEVER]);
  expect(second.dead.head).toBe(1);
  const [deadLetter] = await second.dead.reader({ position: 0 }).read(1_000);
  expect(Buffer.from(deadLetter?.body as Uint8Array).toString()).toBe('{"big":12345678901234567890}');
  expect(JSON.parse(deadLetter?.metadata as string)).toMatchObject({
    position: 0,
    source: "web",
    reason: "never",
    metadata: "meta",
  });
  expect(second.store.account()).toMatchObject({ accepted: 1, rejected: 1, pending: 0, balanced: true });
});

test("what retention removed before delivery is expired, and counted", async () => {
  const { log, store, clock } = await open(new SimDisk());
  for (let index = 0; index < 8; index++) await push(log, [`{"n":${index}}`, `{"pad":"${"x".repeat(100)}"}`]);
  await log.retain({ maxAgeMs: 0, maxBytes: 0, hardMaxBytes: 0 }, clock.now() + 1, 0);
  const left = await takeAll(store);
  const account = store.account();
  expect(account).toMatchObject({
    accepted: 16,
    delivered: left.length,
    expired: 16 - left.length,
    pending: 0,
    balanced: true,
  });
  expect(account.expired).toBeGreaterThan(0);
});

test("a damaged record is dropped with its reason, and the events after it are delivered", async () => {
  const { disk, log, store } = await open(new SimDisk());
  for (let index = 0; index < 3; index++) await push(log, [`"event-${index}"`]);
  const path = disk.paths().find((one) => Buffer.from(disk.contents(one)).includes("event-1")) as string;
  disk.flipBit(path, Buffer.from(disk.contents(path)).indexOf("event-1"));
  expect(await takeAll(store)).toEqual(['"event-0"', '"event-2"']);
  expect(store.account()).toMatchObject({
    accepted: 3,
    delivered: 2,
    dropped: { log_damaged: 1 },
    pending: 0,
    balanced: true,
  });
});

test("a full disk stops no delivery: the cursor is overwritten in place", async () => {
  const { disk, log, store } = await open(new SimDisk());
  await push(log, numbers(3));
  disk.capacityBytes = disk.usedBytes;
  expect(await takeAll(store)).toEqual(numbers(3));
  disk.killProcess();
  const second = await open(disk);
  expect(second.store.account()).toMatchObject({ delivered: 3, pending: 0, balanced: true });
});

test("a lane whose state is unreadable begins at the start of the log: late is better than never", async () => {
  const first = await open(new SimDisk());
  await push(first.log, numbers(4));
  await takeAll(first.store);
  await first.store.close();
  for (const offset of [20, 4_096 + 20]) first.disk.flipBit("/lanes/a", offset);
  const second = await open(first.disk);
  expect(await takeAll(second.store)).toEqual(numbers(4));
});

test("events that could not be settled come again in order after a partial batch", async () => {
  const { log, store } = await open(new SimDisk());
  await push(log, numbers(4));
  const batch = await store.lease(WIDE);
  await store.settle(batch as never, [DELIVERED, LATER, DELIVERED, LATER]);
  expect(store.account()).toMatchObject({ delivered: 1, pending: 3, balanced: true });
  expect(await takeAll(store)).toEqual(numbers(3, 1));
});

test("damage up to the head does not take what was read before it", async () => {
  const { disk, log, store } = await open(new SimDisk());
  await push(log, ['"event-0"']);
  const batch = await store.lease(WIDE);
  await push(log, ['"event-1"']);
  const path = disk.paths().find((one) => Buffer.from(disk.contents(one)).includes("event-1")) as string;
  disk.flipBit(path, Buffer.from(disk.contents(path)).indexOf("event-1"));
  await store.settle(batch as never, [LATER]);
  expect(await takeAll(store)).toEqual(['"event-0"']);
  expect(store.account()).toMatchObject({
    accepted: 2,
    delivered: 1,
    dropped: { log_damaged: 1 },
    pending: 0,
    balanced: true,
  });
});

test("what is appended while a read finds nothing is delivered, not taken for damage", async () => {
  const { log, store } = await open(new SimDisk());
  const read = log.reader;
  log.reader = (from) => {
    const reader = read.call(log, from);
    const readHere = reader.read.bind(reader);
    reader.read = async (...args) => {
      await readHere(...args);
      await push(log, ['"late"']);
      reader.read = readHere;
      return [];
    };
    return reader;
  };
  await push(log, ['"damaged"']);
  const late = await store.lease(WIDE);
  expect(Buffer.from(late?.event(0) as Uint8Array).toString()).toBe('"late"');
  expect(late?.count).toBe(1);
  expect(store.account()).toMatchObject({ accepted: 2, pending: 1, dropped: { log_damaged: 1 }, balanced: true });
});

test("a batch that was sent comes again with the same events under the same key, whatever came meanwhile", async () => {
  const outcomes: readonly (readonly Outcome[])[] = [[LATER, LATER, LATER], [DELIVERED, LATER, LATER], []];
  for (const [index, settled] of outcomes.entries()) {
    const first = await open(new SimDisk());
    await push(first.log, numbers(3));
    const batch = await first.store.lease(WIDE);
    await first.store.plan(batch as never);
    await push(first.log, numbers(2, 3));
    let { store } = first;
    if (settled.length > 0) await store.settle(batch as never, settled);
    else {
      first.disk.killProcess();
      ({ store } = await open(first.disk));
    }
    const again = await store.lease(WIDE);
    expect(again).toMatchObject(
      index === 1 ? { key: batch?.slice(1, 3).key, count: 2 } : { key: batch?.key, count: 3 },
    );
    await store.settle(again as never, new Array<Outcome>(again?.count ?? 0).fill(DELIVERED));
    expect(await store.lease(WIDE)).toMatchObject({ count: 2 });
  }
});

test("with durable leases that is so after any power cut too", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = new SeededRandom(seed);
    let world = await open(new SimDisk(), { durableLease: true });
    // What a vendor that knows a duplicate by the batch's key has acted on.
    const acted = new Map<string, readonly string[]>();
    let pushed = 0;
    let sentTwice = 0;
    for (let step = 0; step < 12; step++) {
      const count = 1 + random.below(4);
      await push(world.log, numbers(count, pushed));
      pushed += count;
      const batch = await world.store.lease({ maxEvents: 1 + random.below(5), maxBytes: 1_000 });
      if (batch === undefined) continue;
      await world.store.plan(batch);
      if (acted.has(batch.key)) sentTwice += 1;
      acted.set(
        batch.key,
        Array.from({ length: batch.count }, (_, index) => Buffer.from(batch.event(index)).toString()),
      );
      if (random.chance(0.6)) await world.store.settle(batch, new Array<Outcome>(batch.count).fill(DELIVERED));
      if (random.chance(0.5)) {
        world.disk.crash(random.fork());
        world = await open(world.disk, { durableLease: true });
      } else {
        world.disk.killProcess();
        world = await open(world.disk, { durableLease: true });
      }
    }
    const delivered = [...acted.values()].flat();
    expect(new Set(delivered).size, `seed ${seed}`).toBe(delivered.length);
    if (seed === 0) expect(sentTwice).toBeGreaterThan(0);
  }
});

test("damage up to the head does not take the batch that is on its way", async () => {
  const { disk, log, store, clock } = await open(new SimDisk());
  await push(log, ['"event-0"']);
  // A segment of its own, so that the damaged one is not being written.
  await push(log, [`"event-1 ${"x".repeat(400)}"`]);
  const path = disk.paths().find((one) => Buffer.from(disk.contents(one)).includes("event-1")) as string;
  disk.flipBit(path, Buffer.from(disk.contents(path)).indexOf("event-1"));
  const batch = await store.lease({ maxEvents: 1, maxBytes: 100 });
  // Meanwhile what comes next is read ahead.
  await clock.advance(1);
  await store.settle(batch as never, [DELIVERED]);
  expect(await store.lease(WIDE)).toBeUndefined();
  expect(store.account()).toMatchObject({
    accepted: 2,
    delivered: 1,
    dropped: { log_damaged: 1 },
    pending: 0,
    balanced: true,
  });
});

test("a lane remembers over starts which vendor each event went to", async () => {
  const disk = new SimDisk();
  const { log, store } = await open(disk);
  expect(store.deliversTo("segment")).toBeUndefined();
  await push(log, ["1", "2", "3"]);
  const batch = await store.lease({ maxEvents: 2, maxBytes: 1_000 });
  await store.settle(batch as never, [DELIVERED, DELIVERED]);
  expect([store.deliversTo("segment"), store.deliversTo("letter"), store.deliversTo("letter")]).toEqual([
    undefined,
    "segment",
    undefined,
  ]);
  await store.close();
  await log.close();
  const again = await open(disk);
  expect([0, 1, 2, 99].map((position) => again.store.vendorAt(position))).toEqual([
    "segment",
    "segment",
    "letter",
    "letter",
  ]);
  for (let change = 0; change < 20; change++) again.store.deliversTo(`vendor_${change % 2 === 0 ? "a" : "b"}`);
  await again.store.sync();
  expect(again.store.vendorAt(2)).toBe("vendor_b");
});
