import { type Batch, type BatchLimits, DELIVERED, type Outcome, type Store } from "@waybill/core";
import { expect, test } from "vitest";

/** A store under test, and how more events get into it. */
export interface StoreUnderTest {
  readonly store: Store;
  /**
   * Adds events, each a JSON text, in order. Absent where a store has all its events from its
   * start.
   */
  push?(texts: readonly string[]): Promise<void>;
}

/** A store that holds these events, each a JSON text, in order. */
export type MakeStore = (texts: readonly string[]) => Promise<StoreUnderTest>;

const WIDE: BatchLimits = { maxEvents: 1_000, maxBytes: 1_000_000 };
const LATER: Outcome = { status: "retryable", reason: "later" };
const NEVER: Outcome = { status: "rejected", reason: "never" };

export interface StoreKind {
  /**
   * It has all its events from its start, and learns by a lease alone how many bytes they have, or
   * that there are none. Default false.
   */
  readonly isFixed?: boolean;
}

/** The contract of `Store`: a new one passes by this call. */
export function testStore(name: string, make: MakeStore, { isFixed = false }: StoreKind = {}): void {
  if (!isFixed) testGrowth(name, make);
  testBatches(name, make);
  testOutcomes(name, make);
  testCounts(name, make, isFixed);
}

function testBatches(name: string, make: MakeStore): void {
  test(`${name}: leases events in the order they came, and nothing when empty`, async () => {
    const { store } = await make(events(3));
    const batch = await lease(store);
    expect(textsOf(batch)).toEqual(events(3));
    expect(batch.count).toBe(3);
    await settle(store, batch, DELIVERED);
    expect(await store.lease(WIDE)).toBeUndefined();
    expect(await (await make([])).store.lease(WIDE)).toBeUndefined();
  });

  test(`${name}: a batch's body is its events with commas between, and its bytes are counted exactly`, async () => {
    const { store } = await make(['{"n":"ä€😀"}', '{"n":1}']);
    const batch = await lease(store);
    const body = Buffer.concat(batch.body.map((chunk) => Buffer.from(chunk)));
    expect(body.toString()).toBe('{"n":"ä€😀"},{"n":1}');
    expect(batch.bytes).toBe(body.length);
    expect(String(Buffer.from(batch.event(0)))).toBe('{"n":"ä€😀"}');
  });

  test(`${name}: keeps within the limits of events and bytes`, async () => {
    const { store } = await make(events(10));
    const three = await lease(store, { maxEvents: 3, maxBytes: 1_000 });
    expect(three.count).toBe(3);
    await settle(store, three, DELIVERED);
    const twoByBytes = await lease(store, { maxEvents: 100, maxBytes: 2 * '{"n":0}'.length + 1 });
    expect(textsOf(twoByBytes)).toEqual(events(2, 3));
  });

  test(`${name}: gives an event above the byte limit out alone`, async () => {
    const { store } = await make([`{"n":"${"x".repeat(100)}"}`, '{"n":1}']);
    expect((await lease(store, { maxEvents: 10, maxBytes: 20 })).count).toBe(1);
  });
}

function testOutcomes(name: string, make: MakeStore): void {
  test(`${name}: keeps what was not delivered in front, in order`, async () => {
    const { store } = await make(events(5));
    const batch = await lease(store, { maxEvents: 4, maxBytes: 1_000 });
    await store.settle(batch, [DELIVERED, DELIVERED, LATER, LATER]);
    // A store may send what is left as a batch of its own, under its own key.
    expect(textsOf(await lease(store)).slice(0, 2)).toEqual(events(2, 2));
  });

  test(`${name}: a rejected event leaves the store`, async () => {
    const { store } = await make(events(2));
    await store.settle(await lease(store), [NEVER, DELIVERED]);
    expect(await store.lease(WIDE)).toBeUndefined();
    expect(store.pending().events).toBe(0);
  });

  test(`${name}: slices are batches of their own, with the same bytes and another key`, async () => {
    const { store } = await make(events(5));
    const batch = await lease(store);
    const middle = batch.slice(1, 4);
    expect(textsOf(middle)).toEqual(events(3, 1));
    expect(middle.key).not.toBe(batch.key);
    expect(middle.slice(1, 2).key).not.toBe(middle.key);
  });

  test(`${name}: one bad outcome in the middle loses and doubles nothing`, async () => {
    const { store } = await make(events(6));
    const got: string[] = [];
    for (let round = 0; round < 20; round++) {
      const batch = await store.lease({ maxEvents: 4, maxBytes: 1_000 });
      if (batch === undefined) break;
      const outcomes = Array.from({ length: batch.count }, (_, index) =>
        index === 1 && round % 2 === 0 ? LATER : DELIVERED,
      );
      const settled = outcomes.findIndex(({ status }) => status === "retryable");
      got.push(
        ...textsOf(batch).filter((_, index) => outcomes[index] === DELIVERED && (settled === -1 || index < settled)),
      );
      await store.settle(
        batch,
        settled === -1 ? outcomes : outcomes.map((outcome, index) => (index >= settled ? LATER : outcome)),
      );
    }
    expect(got).toEqual(events(6));
  });
}

function testCounts(name: string, make: MakeStore, isFixed: boolean): void {
  test(`${name}: counts what waits, leased events included`, async () => {
    const { store } = await make(events(5));
    expect(store.pending().events).toBe(5);
    const batch = await lease(store, { maxEvents: 2, maxBytes: 1_000 });
    expect(store.pending().events).toBe(5);
    expect(store.pending().oldestAtMs).toBeTypeOf("number");
    await settle(store, batch, DELIVERED);
    expect(store.pending().events).toBe(3);
    if (!isFixed) expect(store.pending().bytes).toBeGreaterThan(0);
    const rest = await lease(store);
    expect(store.pending()).toMatchObject({ events: 3, oldestAtMs: expect.any(Number) });
    expect(store.pending().bytes).toBeGreaterThanOrEqual(rest.bytes - rest.count + 1);
    await settle(store, rest, DELIVERED);
    expect(await store.lease(WIDE)).toBeUndefined();
    expect(store.pending()).toEqual({ events: 0, bytes: 0, oldestAtMs: undefined });
  });
}

function testGrowth(name: string, make: MakeStore): void {
  test(`${name}: what comes later is leased after what was there, also by a store that was empty`, async () => {
    const { store, push } = await make([]);
    expect(store.pending()).toMatchObject({ events: 0, oldestAtMs: undefined });
    expect(await store.lease(WIDE)).toBeUndefined();
    await push?.(events(2));
    await push?.(events(1, 2));
    expect(store.pending().events).toBe(3);
    expect(textsOf(await lease(store))).toEqual(events(3));
  });

  test(`${name}: what comes during a lease comes after what has to go again`, async () => {
    const { store, push } = await make(events(4));
    const batch = await lease(store);
    await push?.(events(1, 4));
    await store.settle(batch, [DELIVERED, DELIVERED, LATER, LATER]);
    // A store may send what is left as a batch of its own, under its own key.
    const texts: string[] = [];
    for (let next = await store.lease(WIDE); next !== undefined; next = await store.lease(WIDE)) {
      texts.push(...textsOf(next));
      await settle(store, next, DELIVERED);
    }
    expect(texts).toEqual(events(3, 2));
  });
}

function events(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `{"n":${from + index}}`);
}

async function lease(store: Store, limits: BatchLimits = WIDE): Promise<Batch> {
  const batch = await store.lease(limits);
  if (batch === undefined) throw new Error("the store is empty");
  return batch;
}

function settle(store: Store, batch: Batch, outcome: Outcome): Promise<void> {
  return store.settle(batch, new Array<Outcome>(batch.count).fill(outcome));
}

function textsOf(batch: Batch): string[] {
  return Array.from({ length: batch.count }, (_, index) => Buffer.from(batch.event(index)).toString());
}
