import type { Attempt, Outcome } from "@waybill/core";
import { DELIVERED } from "@waybill/core";
import {
  AttemptJournal,
  attemptsFor,
  DeadLetters,
  Fates,
  LaneState,
  LogBatch,
  type LogRecord,
  NO_FATES,
  type Piece,
  type ReplayState,
  ReplayStore,
} from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const attempt = (events: number, atMs = 0): Attempt => ({
  atMs,
  status: 200,
  events,
  bytes: 10,
  durationMs: 1.234,
  delivered: events,
  retryable: 0,
  rejected: 0,
  halted: 0,
  reason: undefined,
});

test("attempts are found by position over many files, also when one was torn", async () => {
  const disk = new SimDisk();
  const journal = await AttemptJournal.open("/a", disk);
  // About 9 MB: three files.
  const batches = 70_000;
  for (let index = 0; index < batches; index++) {
    journal.note([{ first: index * 10, count: 10 }], attempt(10, index));
    if (index % 1_000 === 0) await journal.flush();
  }
  await journal.close();
  const files = disk.paths().filter((path) => path.startsWith("/a/"));
  expect(files.length).toBeGreaterThan(2);
  for (const position of [0, 9, 10, 345_678, batches * 10 - 1])
    expect(await attemptsFor("/a", disk, position)).toMatchObject([
      { first: position - (position % 10), count: 10, atMs: Math.floor(position / 10), durationMs: 1.2, status: 200 },
    ]);
  // A second attempt for the last batch of a file is in the next one.
  const boundary = Number(/-(\d{20})-\d{20}\.attempts$/.exec(files[1] as string)?.[1]);
  const before = await attemptsFor("/a", disk, boundary - 1);
  expect(before).toHaveLength(1);
  disk.flipBit(files[0] as string, 30);
  expect(await attemptsFor("/a", disk, 0)).toEqual([]);
  expect(await attemptsFor("/a", disk, 10)).toHaveLength(1);
});

test("what a process wrote of attempts outlives it; a new one begins a file, and old files go with the events they speak of", async () => {
  const disk = new SimDisk();
  for (const first of [0, 5, 3, 9]) {
    const journal = await AttemptJournal.open("/a", disk);
    journal.note([{ first, count: 2 }], attempt(2));
    await journal.flush();
    disk.killProcess();
  }
  expect(await attemptsFor("/a", disk, 4)).toMatchObject([{ first: 3 }]);
  expect(await attemptsFor("/a", disk, 5)).toMatchObject([{ first: 5 }]);
  const journal = await AttemptJournal.open("/a", disk);
  await journal.retain(9);
  expect(await attemptsFor("/a", disk, 5)).toEqual([]);
  expect(await attemptsFor("/a", disk, 10)).toHaveLength(1);
});

test("attempts of events far apart, as strands make them, are found by position and go with the last of their events", async () => {
  const disk = new SimDisk();
  const journal = await AttemptJournal.open("/a", disk);
  const note = (first: number): void => journal.note([{ first, count: 2 }], attempt(2));
  // One strand is far ahead of the other, in every file.
  note(500_000);
  await journal.flush();
  for (let index = 0; index < 30_000; index++) {
    note(2 * index);
    note(500_002 + 2 * index);
    if (index % 1_000 === 0) await journal.flush();
  }
  await journal.flush();
  const files = disk.paths().filter((path) => path.startsWith("/a/"));
  expect(files.length).toBeGreaterThan(1);
  const positions = [0, 1, 30_001, 59_999, 500_000, 530_001, 560_001];
  for (const position of positions) expect(await attemptsFor("/a", disk, position), `${position}`).toHaveLength(1);
  // The next process knows what the dead one has left.
  disk.killProcess();
  const next = await AttemptJournal.open("/a", disk);
  for (const position of positions) expect(await attemptsFor("/a", disk, position), `${position}`).toHaveLength(1);
  await next.retain(500_000);
  for (const position of positions.filter((one) => one >= 500_000))
    expect(await attemptsFor("/a", disk, position), `${position}`).toHaveLength(1);
  next.note([{ first: 600_000, count: 1 }], attempt(1));
  await next.flush();
  await next.retain(600_000);
  expect(await attemptsFor("/a", disk, 560_001)).toEqual([]);
  expect(await attemptsFor("/a", disk, 600_000)).toHaveLength(1);
});

test("a file of attempts of an earlier version is read, and goes as before", async () => {
  const disk = new SimDisk();
  await disk.makeDirectory("/a");
  for (const [sequence, first] of [
    [1, 0],
    [2, 10],
    [3, 20],
  ] as const) {
    const journal = await AttemptJournal.open("/b", disk);
    journal.note([{ first, count: 10 }], attempt(10));
    await journal.flush();
    const [path] = disk.paths().filter((one) => /^\/b\/\d+-\d+\.attempts$/.test(one));
    await disk.rename(path as string, `/a/000000000${sequence}-${String(first).padStart(20, "0")}.attempts`);
    disk.killProcess();
  }
  const journal = await AttemptJournal.open("/a", disk);
  for (const position of [0, 15, 29]) expect(await attemptsFor("/a", disk, position)).toHaveLength(1);
  await journal.retain(10);
  expect(await attemptsFor("/a", disk, 5)).toEqual([]);
  expect(await attemptsFor("/a", disk, 15)).toHaveLength(1);
});

test("a full disk loses lines, counts them, and stops nothing", async () => {
  const disk = new SimDisk();
  disk.capacityBytes = 0;
  const journal = await AttemptJournal.open("/a", disk);
  journal.note([{ first: 0, count: 1 }], attempt(1));
  await journal.flush();
  expect(journal.failed).toBe(1);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  journal.note([{ first: 1, count: 1 }], attempt(1));
  await journal.flush();
  expect(await attemptsFor("/a", disk, 1)).toHaveLength(1);
});

const EVENTS = 20;
/** Every second of twenty events. */
async function* chosen(from: number): AsyncGenerator<Piece> {
  for (let first = 0; first < EVENTS; first += 2) {
    if (first < from) continue;
    const body = Buffer.from(`"${first}"`);
    const record: LogRecord = {
      first,
      count: 1,
      source: "s",
      receivedAtMs: 0,
      metadata: "",
      body,
      ends: Uint32Array.of(body.length),
      sizeBytes: body.length,
    };
    yield { record, start: 0, end: 1 };
  }
}

test("an attempt is found for the events that its request held, and for no other between them", async () => {
  const disk = new SimDisk();
  const journal = await AttemptJournal.open("/a", disk);
  const held = [
    { first: 7, count: 1 },
    { first: 9, count: 12 },
    { first: 40, count: 2 },
  ];
  journal.note(held, attempt(15));
  await journal.close();
  for (let position = 0; position < 50; position++) {
    const isHeld = held.some(({ first, count }) => first <= position && position < first + count);
    const found = await attemptsFor("/a", disk, position);
    expect(found, `position ${position}`).toHaveLength(isHeld ? 1 : 0);
    if (isHeld) expect(found[0]).toMatchObject({ first: 7, count: 15 });
  }
});

test("a replay goes on after a crash where it was, with the same batches under the same keys, and its ledger balances", async () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new SeededRandom(seed);
    const disk = new SimDisk();
    const open = async (): Promise<ReplayStore<ReplayState>> => {
      const state = await LaneState.open<ReplayState>(disk, "/r", "one", () => ({
        total: EVENTS / 2,
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
        tail: state.initial.fates ?? { from: 0, runs: [], before: NO_FATES },
      });
      return new ReplayStore({ name: "r", state, fates, pieces: chosen });
    };
    let store = await open();
    const sent = new Map<string, string>();
    for (let step = 0; step < 200 && !store.value.done; step++) {
      const batch = await store.lease({ maxEvents: 1 + random.below(4), maxBytes: 1_000 });
      if (batch !== undefined) {
        const text = Buffer.concat(batch.body as Buffer[]).toString();
        expect(sent.get(batch.key) ?? text).toBe(text);
        sent.set(batch.key, text);
        const outcomes = Array.from({ length: batch.count }, (): Outcome => {
          const roll = random.next();
          return roll < 0.7
            ? DELIVERED
            : roll < 0.8
              ? { status: "rejected", reason: "no" }
              : { status: "retryable", reason: "later" };
        });
        if (random.chance(0.7)) {
          await store.settle(batch, outcomes);
          expect(store.account().balanced).toBe(true);
          if (!random.chance(0.3)) continue;
        }
      }
      disk.killProcess();
      store = await open();
    }
    const { delivered, rejected, expired } = store.account();
    expect({ seed, total: delivered + rejected, expired }).toEqual({ seed, total: EVENTS / 2, expired: 0 });
    expect(store.pending().events).toBe(0);
  }
});

test("the events of a batch are found in any order, in few steps when in theirs", async () => {
  const pieces: Piece[] = [];
  for await (const piece of chosen(0)) pieces.push(piece);
  const batch = new LogBatch("x", pieces);
  const texts = Array.from({ length: batch.count }, (_, index) => Buffer.from(batch.event(index)).toString());
  expect(new Set(texts).size).toBe(batch.count);
  for (const index of [3, 0, batch.count - 1, 1, 1, 2, batch.count - 1, 0])
    expect(Buffer.from(batch.event(index)).toString()).toBe(texts[index]);
  expect(() => batch.event(batch.count)).toThrow(RangeError);
  expect(Buffer.from(batch.event(1)).toString()).toBe(texts[1]);

  let looks = 0;
  const counted = new Proxy(pieces, {
    get(target, name, receiver) {
      if (typeof name === "string" && /^\d+$/.test(name)) looks += 1;
      return Reflect.get(target, name, receiver) as unknown;
    },
  });
  const many = new LogBatch("x", counted);
  looks = 0;
  for (let index = 0; index < many.count; index++) many.event(index);
  expect(looks).toBeLessThanOrEqual(2 * (many.count + pieces.length));
});

test("dead letters of a batch: each with its own name, reason and mark; what their requests shared is kept once", async () => {
  const disk = new SimDisk();
  const open = (): Promise<DeadLetters> => DeadLetters.open("/dead", 1_000_000, { disk, clock: new VirtualClock() });
  const metadata = JSON.stringify({ context: { x: '"'.repeat(100_000) } });
  const texts = Array.from({ length: 3_000 }, (_, index) => `{"n":${index}}`);
  let end = -1;
  const ends = Uint32Array.from(texts, ({ length }) => (end += 1 + length));
  const record = {
    first: 500,
    count: 3_000,
    source: "s",
    receivedAtMs: 7,
    metadata,
    body: Buffer.from(texts.join(",")),
    ends,
    sizeBytes: 0,
  };
  const batch = new LogBatch("x", [{ record, start: 0, end: 3_000 }]);
  const outcomes = texts.map(
    (_, index): Outcome =>
      index % 3 === 0 ? DELIVERED : { status: "rejected", reason: `${index} ${"r".repeat(900)}` },
  );
  let deadLetters = await open();
  // Those of a part first, as after a crash: they are not kept twice.
  await deadLetters.keep(batch, outcomes.slice(0, 10));
  await deadLetters.keep(batch, outcomes);
  await deadLetters.mark([1, 700], "discarded");
  expect(disk.usedBytes).toBeLessThan(5_000_000);
  disk.crash();
  deadLetters = await open();
  await deadLetters.keep(batch, outcomes);
  expect(deadLetters.log.head).toBe(2_000);
  expect(deadLetters.counts()).toEqual({ waiting: 1_998, retried: 0, discarded: 2, damaged: 0 });
  let next = 0;
  for await (const { deadLetterId, position, reason, event, metadata: shared, source } of deadLetters.list()) {
    const index = position - 500;
    expect({ deadLetterId, index, source }).toEqual({
      deadLetterId: next,
      index: Math.floor(next / 2) * 3 + 1 + (next % 2),
      source: "s",
    });
    expect(reason.startsWith(`${index} rrr`)).toBe(true);
    expect(Buffer.from(event).toString()).toBe(texts[index]);
    expect(shared).toBe(metadata);
    next += 1;
  }
  expect(next).toBe(2_000);
  const some: number[] = [];
  for await (const { deadLetterId } of deadLetters.list({ state: "waiting" }, 698, 702)) some.push(deadLetterId);
  expect(some).toEqual([698, 699, 701]);
  expect(await deadLetters.forEvent(500 + 1_501)).toMatchObject({ deadLetterId: 1_000, state: "waiting" });
  expect(await deadLetters.forEvent(500 + 1_500)).toBeUndefined();
});

test("dead letters: what became of one outlives a power cut, and goes with it", async () => {
  const disk = new SimDisk();
  const clock = new VirtualClock();
  const open = (): Promise<DeadLetters> => DeadLetters.open("/dead", 100, { disk, clock });
  const deadLetters = await open();
  const pieces: Piece[] = [];
  for await (const piece of chosen(0)) pieces.push(piece);
  const batch = new LogBatch("x", pieces.slice(0, 3));
  await deadLetters.keep(batch, [
    { status: "rejected", reason: "Too Big" },
    DELIVERED,
    { status: "rejected", reason: "odd" },
  ]);
  await deadLetters.mark([1], "discarded");
  disk.crash(new SeededRandom(1));
  const again = await open();
  const listed: [number, string, string][] = [];
  for await (const { deadLetterId, state, reason } of again.list()) listed.push([deadLetterId, state, reason]);
  expect(listed).toEqual([
    [0, "waiting", "Too Big"],
    [1, "discarded", "odd"],
  ]);
  expect(again.counts()).toEqual({ waiting: 1, retried: 0, discarded: 1, damaged: 0 });
  expect((await again.forEvent(4))?.deadLetterId).toBe(1);
  expect(await again.forEvent(2)).toBeUndefined();
  const filtered: number[] = [];
  for await (const { deadLetterId } of again.list({ reason: "too big", state: "waiting" })) filtered.push(deadLetterId);
  expect(filtered).toEqual([0]);
});
