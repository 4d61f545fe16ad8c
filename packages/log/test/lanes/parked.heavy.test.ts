/** When a parked event is tried again and given up: only time in which others passed counts. */
import { type BatchLimits, DELIVERED, isOpen, type Outcome } from "@waybill/core";
import {
  DeadLetters,
  LaneState,
  type LaneStateValue,
  type Log,
  type LogBatch,
  type LogRecord,
  LogStore,
  newLaneState,
  type OrderHashes,
  openLog,
  parseLaneState,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const LIMITS: BatchLimits = { maxEvents: 10, maxBytes: 10_000 };
const SECOND_MS = 1_000;
const GIVE_UP_MS = 60_000;
const SEGMENT_BYTES = 500;
const PARKED: Outcome = { status: "parked", reason: "500" };
/** What the vendor answers: 500 to a request with a poisonous event also when it is well. */
type Weather = "well" | "500" | "429" | "401";
/** A poisonous event of user 1, a good one of the same, one of somebody else. */
const POISON = 11;
const GOOD = 10;
const OTHER = 20;

const isPoison = (event: number): boolean => event % 10 === 1;
const userOf = (event: number): number => Math.floor(event / 10);

/** An event is a number. */
function orderOf({ body, ends }: LogRecord): OrderHashes {
  const texts = Buffer.from(body).toString().split(",");
  return { hashes: Uint32Array.from(ends, (_, at) => userOf(Number(texts[at]))), ties: undefined };
}

class World {
  readonly disk = new SimDisk();
  readonly clock = new VirtualClock();
  log!: Log;
  store!: LogStore;
  deadLetters!: DeadLetters;
  /** When a parked event was tried. */
  readonly tries: number[] = [];
  /** When there was one dead letter more. */
  readonly givenUp: number[] = [];
  weather: Weather = "well";

  static async with(...events: readonly number[]): Promise<World> {
    const world = new World();
    await world.open();
    await world.push(...events);
    return world;
  }

  async open(): Promise<void> {
    const { disk, clock } = this;
    const runtime = { disk, clock };
    this.log = await openLog({ directory: "/log", segmentMaxBytes: SEGMENT_BYTES }, runtime);
    const state = await LaneState.open<LaneStateValue>(
      disk,
      "/lanes",
      "a",
      (damaged) => newLaneState(this.log, damaged),
      parseLaneState,
    );
    this.deadLetters = await DeadLetters.open("/dead", this.log.head, runtime, state.initial.dead);
    this.store = new LogStore({
      name: "a",
      log: this.log,
      state,
      deadLetters: this.deadLetters,
      clock,
      delivery: { durableLease: false, order: "user", orderOf, maxInFlight: () => 4, giveUpAfterMs: GIVE_UP_MS },
    });
  }

  async push(...events: readonly number[]): Promise<void> {
    const texts = events.map(String);
    let end = -1;
    const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
    await this.log.append({ source: "s", receivedAtMs: 7, metadata: "", body: [Buffer.from(texts.join(","))], ends });
  }

  /** What is due is sent. */
  async work(): Promise<void> {
    for (;;) {
      const batch = (await this.store.lease(LIMITS)) as LogBatch | undefined;
      if (this.dead > this.givenUp.length) this.givenUp.push(this.clock.monotonic());
      if (batch === undefined) return;
      await this.store.plan(batch);
      const outcomes = this.#send(batch);
      await this.store.settle(batch, outcomes);
      if (outcomes.some(isOpen)) return;
    }
  }

  #send(batch: LogBatch): readonly Outcome[] {
    const { weather } = this;
    const events = Array.from({ length: batch.count }, (_, index) =>
      Number(Buffer.from(batch.event(index)).toString()),
    );
    if (batch.parked) this.tries.push(this.clock.monotonic());
    if (weather === "well" && !events.some(isPoison)) return this.#answered(batch, DELIVERED, 200);
    if (weather === "401") return this.#answered(batch, { status: "halted", reason: weather }, 401);
    const later: Outcome = { status: "retryable", reason: weather };
    const failed = this.#answered(batch, later, weather === "429" ? 429 : 500);
    if (weather === "429" || (weather === "500" && !batch.parked)) return failed;
    if (batch.parked) return events.map(() => PARKED);
    // Halves have found it.
    const parked = new Set<number>();
    const outcomes = events.map((event) => {
      if (isPoison(event)) parked.add(userOf(event));
      return parked.has(userOf(event)) ? PARKED : DELIVERED;
    });
    if (outcomes.includes(DELIVERED)) this.#answered(batch, DELIVERED, 200);
    return outcomes;
  }

  #answered(batch: LogBatch, outcome: Outcome, status: number): readonly Outcome[] {
    const counts = { delivered: 0, retryable: 0, rejected: 0, halted: 0, [outcome.status]: batch.count };
    const sizes = { events: batch.count, bytes: batch.bytes, durationMs: 1 };
    this.store.attempted({ ...counts, ...sizes, atMs: 0, status, reason: undefined }, batch);
    return new Array<Outcome>(batch.count).fill(outcome);
  }

  /** Time passes; each second an event of another user comes. */
  async seconds(count: number, { others = true }: { readonly others?: boolean } = {}): Promise<void> {
    for (let second = 0; second < count; second++) {
      await this.clock.advance(SECOND_MS);
      if (others) await this.push(OTHER);
      await this.work();
    }
  }

  get dead(): number {
    return this.store.account().rejected;
  }

  get parkedEvents(): number {
    return this.store.shape.parkedEvents;
  }
}

/** A wait between two tries. */
const LAST_WAIT_MS = 30_000;

test("what fails while others pass is given up in time; the later events of its user go at once", async () => {
  const world = await World.with(POISON, OTHER, GOOD, GOOD);
  await world.seconds(59);
  expect(world).toMatchObject({ dead: 0, parkedEvents: 3 });
  await world.seconds(40);
  expect(world).toMatchObject({ dead: 1, parkedEvents: 0 });
  expect(world.store.account()).toMatchObject({ pending: 0, rejected: 1 });
  expect(world.givenUp[0]).toBeLessThanOrEqual(GIVE_UP_MS + LAST_WAIT_MS + 2 * SECOND_MS);
});

test("each poisonous event of a user has the whole time, from its own first failure on", async () => {
  const world = await World.with(POISON, GOOD, POISON, OTHER);
  await world.seconds(250);
  expect(world.dead).toBe(2);
  const [first = 0, second = 0] = world.givenUp;
  expect(second - first).toBeGreaterThanOrEqual(GIVE_UP_MS);
});

test.each(["running", "stopped"])(
  "what retention took of a user, of a lane that is %s, leaves no failures behind",
  async (lane) => {
    const world = await World.with(POISON, OTHER);
    await world.seconds(55);
    await world.push(POISON);
    await world.work();
    if (lane === "stopped") await world.store.sync();
    await world.log.removeBefore(50);
    if (lane === "stopped") await world.open();
    const removedAt = world.clock.monotonic();
    expect(world).toMatchObject({ dead: 0 });
    await world.seconds(150);
    expect(world.store.account()).toMatchObject({ expired: 1, rejected: 1, pending: 0 });
    expect((world.givenUp[0] ?? 0) - removedAt).toBeGreaterThanOrEqual(GIVE_UP_MS);
  },
);

test("what retention takes while it is read to be tried again is expired, not damaged", async () => {
  const world = await World.with(POISON, OTHER);
  await world.seconds(20);
  await world.push(GOOD);
  await world.work();
  const open = world.disk.open.bind(world.disk);
  world.disk.open = async (path, options) => {
    world.disk.open = open;
    await world.log.removeBefore(20);
    return open(path, options);
  };
  world.store.retryParked();
  await world.work();
  await world.seconds(2);
  const { expired, pending, dropped } = world.store.account();
  expect({ expired, pending, dropped }).toEqual({ expired: 1, pending: 0, dropped: {} });
});

test.each<Weather>(["500", "429", "401"])("an outage of %s counts for nothing, also at its edges", async (weather) => {
  const world = await World.with(POISON, OTHER);
  await world.seconds(50);
  world.weather = weather;
  await world.seconds(3_000);
  expect(world.dead).toBe(0);
  world.weather = "well";
  const endedAt = world.clock.monotonic();
  const triesBefore = world.tries.length;
  await world.seconds(100);
  expect(world.dead).toBe(1);
  // Not by the outage, and not without having failed again when others passed.
  expect(world.tries.length).toBeGreaterThan(triesBefore);
  expect(world.givenUp[0]).toBeGreaterThan(endedAt + SECOND_MS);
});

test("outages with a moment in between in which something passes add up to nothing", async () => {
  const world = await World.with(POISON, OTHER);
  for (let count = 0; count < 100; count++) {
    world.weather = "500";
    await world.seconds(100);
    world.weather = "well";
    await world.seconds(1);
  }
  expect(world.dead).toBe(0);
});

test("what has failed for long enough is given up only once something else has passed", async () => {
  const world = await World.with(POISON, OTHER);
  while (world.tries.length < 6) await world.seconds(1);
  // It has failed for longer than a minute, and that was the last that happened.
  expect(world.dead).toBe(0);
  await world.seconds(600, { others: false });
  world.weather = "500";
  await world.seconds(600);
  expect(world.dead).toBe(0);
  world.weather = "well";
  await world.seconds(70);
  expect(world.dead).toBe(1);
});

test("time in which nothing else was sent counts for little", async () => {
  const world = await World.with(POISON, OTHER);
  for (let count = 0; count < 8; count++) {
    await world.seconds(500, { others: false });
    await world.seconds(1);
  }
  expect(world.dead).toBe(0);
  for (let count = 0; count < 8; count++) {
    await world.seconds(500, { others: false });
    await world.seconds(1);
  }
  expect(world.dead).toBe(1);
});

test("after an outage who was parked in it is tried at once", async () => {
  const world = await World.with(POISON, OTHER);
  await world.work();
  world.weather = "500";
  // Long before its next try.
  await world.seconds(280);
  world.weather = "well";
  world.tries.length = 0;
  await world.seconds(1);
  await world.work();
  expect(world.tries).toEqual([world.clock.monotonic()]);
});

test("after a restart the time is kept, and it has to fail again", async () => {
  const world = await World.with(POISON, OTHER);
  while (world.tries.length < 5) await world.seconds(1);
  await world.store.close();
  await world.log.close();
  await world.open();
  const tries = world.tries.length;
  await world.seconds(5);
  expect(world.dead).toBe(0);
  expect(world.tries.length).toBeGreaterThan(tries);
  await world.seconds(60);
  expect(world.dead).toBe(1);
});
