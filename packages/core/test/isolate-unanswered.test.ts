import { type Batch, isolating, type Outcome, persist, type SendContext, type Sender, TextBatch } from "@waybill/core";
import { SeededRandom, settle, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

/** Sends four events of four users to a vendor that never answers well; others pass. */
async function sizesOf(status: number | undefined, byEvent: boolean, attempts: number): Promise<readonly number[]> {
  const clock = new VirtualClock();
  const sizes: number[] = [];
  const next: Sender = {
    send(batch, { watch }) {
      sizes.push(batch.count);
      const none = { delivered: 0, retryable: batch.count, rejected: 0, halted: 0 };
      const attempt = {
        atMs: 0,
        status,
        events: batch.count,
        bytes: batch.bytes,
        durationMs: 1,
        reason: "no",
        ...none,
      };
      watch.attempted(attempt, batch);
      return Promise.resolve(new Array<Outcome>(batch.count).fill({ status: "retryable", reason: "no" }));
    },
  };
  const never = new AbortController().signal;
  const context: SendContext = {
    soon: never,
    now: never,
    watch: { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined },
    deliveredAt: () => clock.monotonic(),
    parked: new Set(),
  };
  const source: Batch = Object.assign(
    new TextBatch({ key: "k", metadata: "", oldestAtMs: 0, texts: ["1", "2", "3", "4"], sizes: [1, 1, 1, 1] }),
    {
      orderHash: (index: number) => index + 1,
    },
  );
  const batch = new TextBatch({
    key: "t",
    metadata: "",
    oldestAtMs: 0,
    texts: ["1", "2", "3", "4"],
    sizes: [1, 1, 1, 1],
    source: { batch: source, indexes: [0, 1, 2, 3] },
  });
  const options = { backoff: () => 1_000, maxAttempts: Number.POSITIVE_INFINITY };
  void persist(isolating({ byEvent }))(options, { clock, random: new SeededRandom(1) }, next).send(batch, context);
  for (let second = 0; second < 100 && sizes.length < attempts; second++) {
    await settle();
    await clock.advance(1_000);
  }
  return sizes.slice(0, attempts);
}

test("a batch without an answer goes whole for longer where its parts might be there twice", async () => {
  expect(await sizesOf(500, false, 3)).toEqual([4, 4, 2]);
  expect(await sizesOf(undefined, true, 3)).toEqual([4, 4, 2]);
  expect(await sizesOf(undefined, false, 11)).toEqual([...new Array<number>(10).fill(4), 2]);
});

test("a batch that a rate limit refuses goes whole, however often", async () => {
  expect(await sizesOf(429, true, 20)).toEqual(new Array<number>(20).fill(4));
});
