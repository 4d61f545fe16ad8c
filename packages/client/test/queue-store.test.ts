/** The queue in memory with several batches leased: order per key, ties, counts, work per event. */
import { type Batch, DELIVERED, isFinal, type Outcome } from "@waybill/core";
import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { type Queued, QueueStore } from "../src/queue-store.ts";

const LATER: Outcome = { status: "retryable", reason: "busy" };
const REFUSED: Outcome = { status: "rejected", reason: "a fault" };
const LIMITS = { maxEvents: 3, maxBytes: 1_000 };

interface Item extends Queued {
  readonly ordinal: number;
}

/** The obvious model beside the store: each event that is not settled, in order, with its batch. */
class World {
  readonly open = new Map<Item, Batch | undefined>();
  readonly settled: Item[] = [];
  readonly store: QueueStore<Item>;
  readonly batches = new Map<Batch, readonly Item[]>();
  pushed = 0;
  #keys = 0;

  constructor(shared = { over: false }) {
    this.store = new QueueStore<Item>({
      makeKey: () => `batch-${++this.#keys}`,
      metadata: "",
      shared,
      onSettled: (item) => {
        this.open.delete(item);
        this.settled.push(item);
      },
    });
  }

  push(key?: string, tie?: string): Item {
    const ordinal = this.pushed++;
    const text = `"event ${ordinal}"`;
    const item: Item = { ordinal, text, bytes: text.length, atMs: ordinal, key, tie };
    this.open.set(item, undefined);
    this.store.push(item);
    return item;
  }

  /** Leases, and checks that nothing in the batch should have waited. */
  async lease(limits: { maxEvents: number; maxBytes: number } = LIMITS): Promise<readonly Item[] | undefined> {
    const batch = await this.store.lease(limits);
    if (batch === undefined) return undefined;
    const texts = (batch.body[0] as string).split(",");
    const items = [...this.open.keys()].filter(({ text }) => texts.includes(text));
    expect(items.map(({ text }) => text)).toEqual(texts);
    expect([batch.count, batch.oldestAtMs]).toEqual([items.length, items[0]?.atMs]);
    expect(this.batches.has(batch)).toBe(false);
    for (const item of items) expect(this.open.get(item)).toBeUndefined();
    for (const item of items) this.open.set(item, batch);
    for (const item of items) for (const before of this.waitsFor(item)) expect(this.open.get(before)).toBe(batch);
    this.batches.set(batch, items);
    return items;
  }

  async settle(items: readonly Item[], outcomeOf: (item: Item) => Outcome): Promise<void> {
    const batch = this.open.get(items[0] as Item) as Batch;
    const outcomes = items.map(outcomeOf);
    this.batches.delete(batch);
    for (const item of items) this.open.set(item, undefined);
    await this.store.settle(batch, outcomes);
    for (const [index, item] of items.entries()) expect(this.open.has(item)).toBe(!isFinal(outcomes[index] as Outcome));
  }

  dropOldest(): Item | undefined {
    const oldest = [...this.open].find(([, batch]) => batch === undefined)?.[0];
    expect(this.store.dropOldest()).toBe(oldest);
    if (oldest !== undefined) this.open.delete(oldest);
    return oldest;
  }

  /** Events that are not settled, came before it and have its key, or that of its tie. */
  waitsFor({ ordinal, key, tie }: Item): Item[] {
    return [...this.open.keys()].filter(
      (before) => before.ordinal < ordinal && before.key !== undefined && [key, tie].includes(before.key),
    );
  }

  /** Whether the store's own numbers are those of the model. */
  check(): void {
    const items = [...this.open.keys()];
    const bytes = items.reduce((total, item) => total + item.bytes, 0);
    const oldest = items.reduce<number | undefined>(
      (least, { ordinal }) => Math.min(least ?? ordinal, ordinal),
      undefined,
    );
    const { store } = this;
    expect(store.pending()).toMatchObject({ events: items.length, bytes });
    expect(store.pending().oldestAtMs).toBe(oldest);
    expect([store.tail, store.settledTo]).toEqual([this.pushed, oldest ?? this.pushed]);
  }

  /**
   * When there is nothing to lease, each event that waits follows one that does not move yet; or
   * that was dropped, until a batch is settled. One with a tie may also wait for a later event.
   */
  checkBlocked(mayHaveDropped = false): void {
    if (mayHaveDropped && this.batches.size > 0) return;
    const leased = new Set([...this.batches.values()].flat().map(({ key }) => key));
    for (const [item, batch] of this.open)
      if (batch === undefined && !(item.tie !== undefined && leased.has(item.tie)))
        expect(this.waitsFor(item)).not.toEqual([]);
    if (this.batches.size === 0) expect(this.open.size).toBe(0);
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
  "whatever comes, is leased, fails and is given up: each key is in order, nothing waits without a reason (seed %i)",
  async (seed) => {
    const random = new SeededRandom(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)] as T;
    const world = new World();
    const drops = seed % 2 === 0;
    const keys = ["a", "b", "c", "d", undefined];
    for (let step = 0; step < 1_500; step++) {
      const chance = random.next();
      if (chance < 0.45) {
        const key = pick(keys);
        world.push(key, key !== undefined && random.next() < 0.2 ? pick(keys) : undefined);
      } else if (chance < 0.7) {
        if ((await world.lease({ maxEvents: pick([1, 2, 5]), maxBytes: pick([15, 1_000]) })) === undefined)
          world.checkBlocked(drops);
      } else if (chance < 0.97 && world.batches.size > 0) {
        const fails = pick([0, 0, 0.5, 1]);
        await world.settle(pick([...world.batches.values()]), () =>
          random.next() < fails ? LATER : pick([DELIVERED, REFUSED]),
        );
      } else if (drops && chance >= 0.97) world.dropOldest();
      world.check();
    }
    for (;;) {
      for (const items of world.batches.values()) await world.settle(items, () => DELIVERED);
      if ((await world.lease()) === undefined) break;
    }
    world.checkBlocked();
    world.check();
    expect(new Set(world.settled).size).toBe(world.settled.length);
  },
);

test("a second batch has no event of a user who is in the first one, and the next of them once that is settled", async () => {
  const world = new World();
  for (const key of ["u", "u", "v", "u", "w", "v"]) world.push(key);
  const ordinals = (items: readonly Item[] | undefined): number[] | undefined => items?.map(({ ordinal }) => ordinal);
  const first = (await world.lease({ ...LIMITS, maxEvents: 2 })) as readonly Item[];
  expect(ordinals(first)).toEqual([0, 1]);
  const second = (await world.lease()) as readonly Item[];
  expect(ordinals(second)).toEqual([2, 4, 5]);
  expect(await world.lease()).toBeUndefined();
  expect(world.store.settledTo).toBe(0);
  await world.settle(second, () => DELIVERED);
  expect(world.store.settledTo).toBe(0);
  expect(await world.lease()).toBeUndefined();
  await world.settle(first, ({ ordinal }) => (ordinal === 0 ? DELIVERED : LATER));
  expect(world.store.settledTo).toBe(1);
  expect(ordinals(await world.lease())).toEqual([1, 3]);
});

test("an identify waits for what its anonymous id did before, and its user's events wait with it", async () => {
  const world = new World();
  world.push("anonymous");
  const first = (await world.lease()) as readonly Item[];
  world.push("anonymous");
  world.push("u", "anonymous");
  world.push("u");
  world.push("v");
  const second = (await world.lease()) as readonly Item[];
  expect(second.map(({ key }) => key)).toEqual(["v"]);
  await world.settle(second, () => DELIVERED);
  expect(await world.lease()).toBeUndefined();
  // Given up while it waits: the user's later event waits no longer than the anonymous one.
  await world.settle(first, () => LATER);
  expect((await world.lease())?.map(({ ordinal }) => ordinal)).toEqual([0, 1, 2]);
});

test("what is dropped while others are leased is the oldest that waits, and nothing waits for it any more", async () => {
  const world = new World();
  world.push("anonymous");
  const first = (await world.lease()) as readonly Item[];
  world.push("u", "anonymous");
  world.push("u");
  expect(await world.lease()).toBeUndefined();
  expect(world.dropOldest()?.ordinal).toBe(1);
  world.check();
  await world.settle(first, () => DELIVERED);
  expect((await world.lease())?.map(({ ordinal }) => ordinal)).toEqual([2]);
  expect(world.dropOldest()).toBeUndefined();
});

test("events without a key are in one batch each, and wait for nothing", async () => {
  const world = new World();
  for (let index = 0; index < 5; index++) world.push();
  expect((await world.lease())?.length).toBe(3);
  expect((await world.lease())?.length).toBe(2);
});

test("once over, an answer changes nothing, and is not counted", async () => {
  const shared = { over: false };
  const world = new World(shared);
  world.push("u");
  await world.lease();
  shared.over = true;
  const [batch] = world.batches.keys();
  await world.store.settle(batch as Batch, [DELIVERED]);
  expect(world.settled).toEqual([]);
  world.check();
});

test("with 100,000 events of one user waiting, a capture costs the queue nothing of them", async () => {
  let reads = 0;
  const store = new QueueStore({ makeKey: () => "key", metadata: "", onSettled: () => undefined });
  const push = (key: string): void => {
    const event = { text: "1", bytes: 1, atMs: 0 };
    store.push({
      ...event,
      get key() {
        reads += 1;
        return key;
      },
    });
  };
  for (let index = 0; index < 100_000; index++) push("hot");
  const hot = (await store.lease({ maxEvents: 500, maxBytes: 100_000 })) as Batch;
  expect(await store.lease({ maxEvents: 500, maxBytes: 100_000 })).toBeUndefined();
  expect(reads).toBeGreaterThan(99_000);
  reads = 0;
  for (let index = 0; index < 1_000; index++) {
    push("hot");
    expect(await store.lease({ maxEvents: 500, maxBytes: 100_000 })).toBeUndefined();
    // Others pass by, and what they settle frees nothing of the hot user.
    push(`other ${index}`);
    const batch = (await store.lease({ maxEvents: 500, maxBytes: 100_000 })) as Batch;
    expect(batch.count).toBe(1);
    await store.settle(batch, [DELIVERED]);
  }
  expect(reads).toBeLessThan(20_000);
  await store.settle(hot, new Array<Outcome>(hot.count).fill(DELIVERED));
  expect((await store.lease({ maxEvents: 500, maxBytes: 100_000 }))?.count).toBe(500);
});

test("one batch that does not end lets the others overtake it by a million events, no further", async () => {
  const world = new World();
  const { store } = world;
  world.push("slow");
  await world.lease();
  const others = 1_100_000;
  for (let index = 0; index < others; index++) store.push({ ordinal: 0, text: "1", bytes: 1, atMs: 0 });
  let passed = 0;
  for (;;) {
    const batch = await store.lease({ maxEvents: 50_000, maxBytes: 100_000 });
    if (batch === undefined) break;
    passed += batch.count;
    await store.settle(batch, new Array<Outcome>(batch.count).fill(DELIVERED));
  }
  expect(passed).toBe(1_048_575);
  expect(store.settledTo).toBe(0);
});
