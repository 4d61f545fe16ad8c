import { type Batch, type BatchLimits, DELIVERED, type Outcome, type Store } from "@waybill/core";
import { expect, test } from "vitest";

/** A store under test, and how events get into it. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Adds events, each a JSON text, in order. */
  push(texts: readonly string[]): Promise<void>;
}

const WIDE: BatchLimits = { maxEvents: 1_000, maxBytes: 1_000_000 };
const LATER: Outcome = { status: "retryable", reason: "later" };
const NEVER: Outcome = { status: "rejected", reason: "never" };

/** The contract of `Store`: a new one passes by this call. */
export function testStore(name: string, make: () => Promise<StoreUnderTest>): void {
  const events = (count: number, from = 0): string[] =>
    Array.from({ length: count }, (_, index) => `{"n":${from + index}}`);

  test(`${name}: leases events in the order they came, and nothing when empty`, async () => {
    const { store, push } = await make();
    expect(await store.lease(WIDE)).toBeUndefined();
    await push(events(3));
    const batch = await lease(store);
    expect(textsOf(batch)).toEqual(events(3));
    expect(batch.count).toBe(3);
  });

  test(`${name}: a batch's body is its events with commas between, and its bytes are counted exactly`, async () => {
    const { store, push } = await make();
    await push(['{"n":"ä€😀"}', '{"n":1}']);
    const batch = await lease(store);
    const body = Buffer.concat(batch.body.map((chunk) => Buffer.from(chunk)));
    expect(body.toString()).toBe('{"n":"ä€😀"},{"n":1}');
    expect(batch.bytes).toBe(body.length);
    expect(String(Buffer.from(batch.event(0)))).toBe('{"n":"ä€😀"}');
  });

  test(`${name}: keeps within the limits of events and bytes`, async () => {
    const { store, push } = await make();
    await push(events(10));
    const three = await lease(store, { maxEvents: 3, maxBytes: 1_000 });
    expect(three.count).toBe(3);
    await settle(store, three, DELIVERED);
    const twoByBytes = await lease(store, { maxEvents: 100, maxBytes: 2 * '{"n":0}'.length + 1 });
    expect(textsOf(twoByBytes)).toEqual(events(2, 3));
  });

  test(`${name}: gives an event above the byte limit out alone`, async () => {
    const { store, push } = await make();
    await push([`{"n":"${"x".repeat(100)}"}`, '{"n":1}']);
    expect((await lease(store, { maxEvents: 10, maxBytes: 20 })).count).toBe(1);
  });

  test(`${name}: keeps what was not delivered in front, in order`, async () => {
    const { store, push } = await make();
    await push(events(4));
    const batch = await lease(store);
    await push(events(1, 4));
    await store.settle(batch, [DELIVERED, DELIVERED, LATER, LATER]);
    // A store may send what is left as a batch of its own, under its own key.
    expect(textsOf(await lease(store)).slice(0, 2)).toEqual(events(2, 2));
  });

  test(`${name}: a rejected event leaves the store`, async () => {
    const { store, push } = await make();
    await push(events(2));
    await store.settle(await lease(store), [NEVER, DELIVERED]);
    expect(await store.lease(WIDE)).toBeUndefined();
    expect(store.pending().events).toBe(0);
  });

  test(`${name}: counts what waits, leased events included`, async () => {
    const { store, push } = await make();
    expect(store.pending()).toMatchObject({ events: 0, oldestAtMs: undefined });
    await push(events(5));
    expect(store.pending().events).toBe(5);
    const batch = await lease(store, { maxEvents: 2, maxBytes: 1_000 });
    expect(store.pending().events).toBe(5);
    expect(store.pending().oldestAtMs).toBeTypeOf("number");
    await settle(store, batch, DELIVERED);
    expect(store.pending().events).toBe(3);
    expect(store.pending().bytes).toBeGreaterThan(0);
  });

  test(`${name}: slices are batches of their own, with the same bytes and another key`, async () => {
    const { store, push } = await make();
    await push(events(5));
    const batch = await lease(store);
    const middle = batch.slice(1, 4);
    expect(textsOf(middle)).toEqual(events(3, 1));
    expect(middle.key).not.toBe(batch.key);
    expect(middle.slice(1, 2).key).not.toBe(middle.key);
  });

  test(`${name}: one bad outcome in the middle loses and doubles nothing`, async () => {
    const { store, push } = await make();
    await push(events(6));
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
