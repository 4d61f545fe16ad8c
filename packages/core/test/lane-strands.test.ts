/** A lane whose store gives many small batches, as one with strands does. */
import {
  type Attempt,
  type Batch,
  DELIVERED,
  OperatedLane,
  type SendContext,
  type Store,
  TextBatch,
} from "@waybill/core";
import { SeededRandom, settle, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const INTERVAL_MS = 1_000;
const ROUND_TRIP_MS = 50;

/** Each event is a batch. */
class SmallBatches implements Store {
  tail = 0;
  settledTo = 0;
  #leased = 0;
  readonly attempts: Attempt[] = [];

  pending(): { events: number; bytes: number; oldestAtMs: undefined } {
    return { events: this.tail - this.settledTo, bytes: 0, oldestAtMs: undefined };
  }

  lease(): Promise<Batch | undefined> {
    if (this.#leased === this.tail) return Promise.resolve(undefined);
    const key = `b${this.#leased++}`;
    return Promise.resolve(new TextBatch({ key, metadata: "", oldestAtMs: 0, texts: ["e"], sizes: [1] }));
  }

  attempted(attempt: Attempt): void {
    this.attempts.push(attempt);
  }

  settle(): Promise<void> {
    this.settledTo += 1;
    return Promise.resolve();
  }
}

interface World {
  readonly clock: VirtualClock;
  readonly store: SmallBatches;
  readonly lane: OperatedLane;
  readonly sentAt: number[];
  readonly contexts: SendContext[];
}

function setUp(width: number): World {
  const clock = new VirtualClock();
  const store = new SmallBatches();
  const sentAt: number[] = [];
  const contexts: SendContext[] = [];
  const lane = new OperatedLane({
    name: "test",
    store,
    sender: {
      async send(batch, context) {
        contexts.push(context);
        sentAt.push(clock.monotonic());
        await new Promise<void>((resolve) => clock.after(ROUND_TRIP_MS, resolve));
        const counts = { delivered: 1, retryable: 0, rejected: 0, halted: 0, events: 1, bytes: 1 };
        context.watch.attempted({ ...counts, atMs: 0, status: 200, durationMs: 1, reason: undefined }, batch);
        return [DELIVERED];
      },
    },
    runtime: { clock, random: new SeededRandom(1) },
    limits: { maxEvents: 100, maxBytes: 1_000 },
    trigger: { flushAt: 100, flushBytes: 1_000, flushIntervalMs: INTERVAL_MS },
    width: () => width,
  });
  return { clock, store, lane, sentAt, contexts };
}

test("after the interval all that is there goes, however many batches it makes", async () => {
  for (const width of [1, 4]) {
    const { clock, store, lane } = setUp(width);
    store.tail = 40;
    lane.notify();
    await clock.advance(INTERVAL_MS);
    await clock.advance((40 / width) * ROUND_TRIP_MS);
    expect(store.settledTo).toBe(40);
  }
});

test("what comes meanwhile waits for the next interval", async () => {
  const { clock, store, lane, sentAt } = setUp(1);
  store.tail = 3;
  lane.notify();
  await clock.advance(INTERVAL_MS);
  const begunAt = sentAt[0] as number;
  store.tail = 5;
  lane.notify();
  await clock.advance(10 * ROUND_TRIP_MS);
  expect(store.settledTo).toBe(3);
  await clock.advance(2 * INTERVAL_MS);
  expect(sentAt.slice(3).every((at) => at >= begunAt + (1 - 0.1) * INTERVAL_MS)).toBe(true);
  expect(store.settledTo).toBe(5);
});

test("the store learns of each request, and who waits for a delivery learns of it", async () => {
  const { clock, store, lane, contexts } = setUp(2);
  const called: string[] = [];
  store.tail = 1;
  void lane.flush();
  await settle();
  contexts[0]?.onceDelivered?.(() => called.push("first"));
  contexts[0]?.onceDelivered?.(() => called.push("forgotten"))();
  await clock.advance(ROUND_TRIP_MS);
  expect(store.attempts).toHaveLength(1);
  expect(called).toEqual(["first"]);
  store.tail = 2;
  void lane.flush();
  await clock.advance(ROUND_TRIP_MS);
  expect(store.attempts).toHaveLength(2);
  expect(called).toEqual(["first"]);
});
