/** A defect stops its lane and nothing else: the mode `failed`. */
import {
  type Attempt,
  type Batch,
  DELIVERED,
  type LaneMode,
  OperatedLane,
  type OperatedLaneOptions,
  type Outcome,
  outcomesOf,
  type SendContext,
  type Store,
  TextBatch,
  WaybillError,
} from "@waybill/core";
import { SeededRandom, settle, VirtualClock } from "@waybill/testing";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";

/** As strict as the log's: a batch is leased once, and settled before the next. */
class ListStore implements Store {
  readonly texts: string[] = [];
  settledTo = 0;

  get tail(): number {
    return this.settledTo + this.texts.length;
  }

  readonly settled: string[] = [];
  leased: Batch | undefined;
  /** Thrown by the next call of that name. */
  readonly throws = new Map<"pending" | "lease" | "settle", unknown>();

  #throw(name: "pending" | "lease" | "settle"): void {
    if (!this.throws.has(name)) return;
    const error = this.throws.get(name);
    this.throws.delete(name);
    throw error;
  }

  pending(): { events: number; bytes: number; oldestAtMs: number | undefined } {
    this.#throw("pending");
    return { events: this.texts.length, bytes: 0, oldestAtMs: undefined };
  }

  async lease({ maxEvents }: { readonly maxEvents: number }): Promise<Batch | undefined> {
    expect(this.leased).toBeUndefined();
    this.#throw("lease");
    const texts = this.texts.slice(0, maxEvents);
    if (texts.length === 0) return undefined;
    this.leased = new TextBatch({ key: "k", metadata: "", oldestAtMs: 0, texts, sizes: texts.map(() => 1) });
    return this.leased;
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    expect(batch).toBe(this.leased);
    this.#throw("settle");
    this.leased = undefined;
    const first = outcomes.findIndex(({ status }) => status === "retryable" || status === "halted");
    const count = first === -1 ? outcomes.length : first;
    this.settledTo += count;
    this.settled.push(...this.texts.splice(0, count));
  }
}

interface World {
  readonly clock: VirtualClock;
  readonly store: ListStore;
  readonly lane: OperatedLane;
  readonly modes: [LaneMode, string | undefined][];
  readonly sent: string[];
  push(...texts: string[]): void;
}

const watched = (context: SendContext, batch: Batch): void => {
  const counts = { events: batch.count, bytes: 0, delivered: batch.count, retryable: 0, rejected: 0, halted: 0 };
  context.watch.attempted({ atMs: 0, status: 200, durationMs: 1, reason: undefined, ...counts } as Attempt, batch);
};

function setUp(
  send: (batch: Batch, context: SendContext) => Promise<readonly Outcome[]> = async (batch, context) => {
    watched(context, batch);
    return outcomesOf(batch.count, DELIVERED);
  },
  options: Partial<OperatedLaneOptions> = {},
): World {
  const clock = new VirtualClock();
  const store = new ListStore();
  const modes: [LaneMode, string | undefined][] = [];
  const sent: string[] = [];
  const lane = new OperatedLane({
    name: "test",
    store,
    sender: {
      send(batch, context) {
        for (let index = 0; index < batch.count; index++) sent.push(String(batch.event(index)));
        return send(batch, context);
      },
    },
    runtime: { clock, random: new SeededRandom(1) },
    limits: { maxEvents: 3, maxBytes: 1_000 },
    trigger: { flushAt: 1, flushBytes: 100, flushIntervalMs: 1_000 },
    ...options,
    onModeChange: (mode, reason) => {
      modes.push([mode, reason]);
      options.onModeChange?.(mode, reason);
    },
  });
  const push = (...texts: string[]): void => {
    for (const text of texts) store.texts.push(text);
    lane.notify();
  };
  return { clock, store, lane, modes, sent, push };
}

/** No defect of a lane may reach the process. */
function noneUnhandled(): void {
  const seen: unknown[] = [];
  const note = (error: unknown): void => void seen.push(error);
  process.on("unhandledRejection", note);
  onTestFinished(() => {
    process.off("unhandledRejection", note);
    expect(seen).toEqual([]);
  });
}

const broken = (): never => {
  throw new TypeError("undefined is not a function");
};

const SENDERS: readonly [string, (batch: Batch, context: SendContext) => Promise<readonly Outcome[]>][] = [
  ["rejects", () => Promise.reject(new Error("a defect"))],
  ["throws at once", broken],
  ["rejects with nothing", () => Promise.reject(undefined)],
  ["gives too few outcomes", async () => []],
  ["gives too many outcomes", async ({ count }) => outcomesOf(count + 1, DELIVERED)],
  ["leaves one out", async ({ count }) => new Array<Outcome>(count)],
  ["gives none", async () => undefined as never],
  [
    "changes modes that it may not",
    async ({ count }, { watch }) => {
      watch.waiting(1, "x");
      watch.waiting(1, "x");
      return outcomesOf(count, DELIVERED);
    },
  ],
];

test.each(SENDERS)("a sender that %s: failed, reported, events kept, and resume tries again", async (_what, send) => {
  noneUnhandled();
  let good = false;
  const world = setUp((batch, context) =>
    good ? Promise.resolve(outcomesOf(batch.count, DELIVERED)) : send(batch, context),
  );
  const { clock, store, lane, modes, push } = world;
  push("a", "b");
  const flushed = lane.flush();
  await clock.advance(120_000);
  await flushed;
  expect(lane.snapshot()).toMatchObject({ mode: "failed", lastError: expect.any(String) });
  expect(modes.at(-1)).toEqual(["failed", lane.snapshot().reason]);
  // Nothing is tried by itself, and nothing is lost.
  expect(store.texts).toEqual(["a", "b"]);
  push("c");
  await clock.advance(120_000);
  expect(lane.snapshot().mode).toBe("failed");
  lane.resume();
  await clock.advance(10);
  expect(lane.snapshot().mode).toBe("failed");

  good = true;
  lane.resume();
  await clock.advance(10);
  expect(lane.snapshot().mode).toBe("idle");
  expect(store.settled).toEqual(["a", "b", "c"]);
});

test.each(["onAttempt", "onSettled", "onModeChange"] as const)(
  "%s that throws: the outcomes are settled first, then the lane has failed",
  async (name) => {
    noneUnhandled();
    let bad = true;
    const { clock, store, lane, push, sent } = setUp(undefined, { [name]: () => bad && broken() });
    push("a", "b", "c", "d");
    await clock.advance(10);
    expect(lane.snapshot().mode).toBe("failed");
    expect(lane.snapshot().reason).toContain("undefined is not a function");
    expect(store.leased).toBeUndefined();
    expect(store.settled).toEqual(sent);
    bad = false;
    lane.resume();
    await clock.advance(10);
    // Each was sent once.
    expect(store.settled).toEqual(["a", "b", "c", "d"]);
    expect(sent).toEqual(["a", "b", "c", "d"]);
  },
);

test("a defect of the store stops the lane; what was sent is settled before anything else is", async () => {
  for (const name of ["lease", "settle", "pending"] as const) {
    noneUnhandled();
    const { clock, store, lane, push, sent } = setUp();
    store.throws.set(name, new RangeError("Maximum call stack size exceeded"));
    push("a");
    await clock.advance(10);
    expect(lane.snapshot()).toMatchObject({ mode: "failed", reason: "Maximum call stack size exceeded" });
    lane.resume();
    await clock.advance(10);
    expect(store.settled).toEqual(["a"]);
    expect(sent).toEqual(["a"]);
  }
});

test("a disk that fails is not a defect: the lane waits and tries again", async () => {
  const { clock, store, lane, push } = setUp();
  store.throws.set("lease", new WaybillError("WAYBILL_DISK", "full", { reason: "ENOSPC" }));
  push("a");
  await settle();
  expect(lane.snapshot()).toMatchObject({ mode: "waiting", reason: "cannot read the next events: full" });
  await clock.advance(2_000);
  expect(store.settled).toEqual(["a"]);
});

test("a failed lane is paused, closed, and revived by another sender, as a halted one is", async () => {
  const paused = setUp(broken);
  paused.push("a");
  await settle();
  paused.lane.pause("maintenance");
  expect(paused.lane.snapshot().mode).toBe("paused");
  paused.lane.resume();
  await paused.clock.advance(10);
  expect(paused.lane.snapshot().mode).toBe("failed");

  paused.lane.reconfigure({ sender: { send: async (batch) => outcomesOf(batch.count, DELIVERED) } });
  await paused.clock.advance(10);
  expect(paused.store.settled).toEqual(["a"]);

  const closed = setUp(broken);
  closed.push("a");
  await settle();
  await closed.lane.close(1_000, { drain: true });
  expect(closed.lane.snapshot().mode).toBe("closed");
  expect(closed.store.texts).toEqual(["a"]);
});

test("close resolves although everything throws", async () => {
  noneUnhandled();
  const { clock, store, lane, push } = setUp(broken, { onModeChange: broken, onAttempt: broken, onSettled: broken });
  push("a");
  const closed = lane.close(1_000, { drain: true });
  store.throws.set("pending", new TypeError("no"));
  await clock.advance(2_000);
  await closed;
  expect(lane.snapshot().mode).toBe("closed");
});

test("another sender takes over after the attempt in flight, although that one would try for ever", async () => {
  let attempts = 0;
  const { clock, store, lane, push } = setUp(async (batch, context) => {
    while (!context.soon.aborted) {
      attempts += 1;
      await new Promise<void>((resolve) => clock.after(100, resolve));
    }
    return outcomesOf(batch.count, { status: "retryable", reason: "interrupted" });
  });
  push("a");
  await clock.advance(50);
  lane.reconfigure({ sender: { send: async (batch) => outcomesOf(batch.count, DELIVERED) } });
  await clock.advance(100);
  expect(attempts).toBe(1);
  expect(store.settled).toEqual(["a"]);
});

test("whatever throws whenever, nothing escapes, nothing is lost or settled twice, and it can be revived", async () => {
  noneUnhandled();
  const call = fc.constantFrom("push", "flush", "pause", "resume", "replace", "advance" as const);
  const fault = fc.constantFrom(
    "send",
    "onAttempt",
    "onSettled",
    "onModeChange",
    "pending",
    "lease",
    "settle",
    "none" as const,
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(call, fault), { maxLength: 25 }), async (steps) => {
      let now = "none";
      const hit = (name: string): void => {
        if (now === name) broken();
      };
      const send = async (batch: Batch, context: SendContext): Promise<readonly Outcome[]> => {
        watched(context, batch);
        hit("send");
        return outcomesOf(batch.count, DELIVERED);
      };
      const { clock, store, lane, push } = setUp(send, {
        onAttempt: () => hit("onAttempt"),
        onSettled: () => hit("onSettled"),
        onModeChange: () => hit("onModeChange"),
      });
      let pushed = 0;
      for (const [step, at] of steps) {
        now = at;
        store.throws.clear();
        if (at === "pending" || at === "lease" || at === "settle") store.throws.set(at, new TypeError(at));
        if (step === "push") push(String(pushed++));
        else if (step === "flush") void lane.flush();
        else if (step === "pause") lane.pause("maintenance");
        else if (step === "resume") lane.resume();
        else if (step === "replace") lane.reconfigure({ sender: { send } });
        await clock.advance(step === "advance" ? 2_000 : 1);
      }
      now = "none";
      store.throws.clear();
      for (let tries = 0; tries < 3; tries++) {
        lane.resume();
        await clock.advance(5_000);
      }
      await lane.flush();
      expect(store.settled).toEqual(Array.from({ length: pushed }, (_, index) => String(index)));
      await lane.close(1_000, { drain: true });
      expect(lane.snapshot().mode).toBe("closed");
    }),
    { numRuns: 200 },
  );
});
