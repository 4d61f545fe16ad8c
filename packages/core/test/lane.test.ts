import {
  Account,
  type Batch,
  type LaneMode,
  OperatedLane,
  type Outcome,
  type SendContext,
  type Sender,
  type Store,
  TextBatch,
} from "@waybill/core";
import { SeededRandom, settle, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const DELIVERED: Outcome = { status: "delivered" };
const LATER: Outcome = { status: "retryable", reason: "busy" };
const HALTED: Outcome = { status: "halted", reason: "401" };

/** A store as simple as can be: the obvious model. */
class ListStore implements Store {
  readonly texts: string[] = [];
  settledTo = 0;

  get tail(): number {
    return this.settledTo + this.texts.length;
  }

  leased = 0;
  failing = 0;

  pending(): { events: number; bytes: number; oldestAtMs: number | undefined } {
    return { events: this.texts.length, bytes: this.texts.join("").length, oldestAtMs: undefined };
  }

  async lease(limits: { maxEvents: number }): Promise<Batch | undefined> {
    if (this.failing > 0) {
      this.failing -= 1;
      throw new Error("disk");
    }
    expect(this.leased).toBe(0);
    const texts = this.texts.slice(0, limits.maxEvents);
    this.leased = texts.length;
    return texts.length === 0
      ? undefined
      : new TextBatch({ key: "k", metadata: "", oldestAtMs: 0, texts, sizes: texts.map(({ length }) => length) });
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    expect(batch.count).toBe(this.leased);
    this.leased = 0;
    const before = this.texts.length;
    this.texts.splice(
      0,
      batch.count,
      ...this.texts
        .slice(0, batch.count)
        .filter((_, index) => !["delivered", "rejected"].includes(outcomes[index]?.status ?? "")),
    );
    this.settledTo += before - this.texts.length;
  }
}

interface World {
  readonly clock: VirtualClock;
  readonly store: ListStore;
  readonly lane: OperatedLane;
  readonly sent: string[][];
  readonly modes: LaneMode[];
  push(...texts: string[]): void;
  /** What the next sends answer; delivered when the list is empty. */
  readonly answers: (Outcome | "never")[];
}

function setUp(): World {
  const clock = new VirtualClock();
  const store = new ListStore();
  const sent: string[][] = [];
  const modes: LaneMode[] = [];
  const answers: (Outcome | "never")[] = [];
  const sender: Sender = {
    async send(batch: Batch, context: SendContext) {
      sent.push(Array.from({ length: batch.count }, (_, index) => String(batch.event(index))));
      const answer = answers.shift() ?? DELIVERED;
      if (answer === "never")
        await new Promise<void>((resolve) => context.now.addEventListener("abort", () => resolve()));
      return new Array<Outcome>(batch.count).fill(answer === "never" ? LATER : answer);
    },
  };
  const lane = new OperatedLane({
    name: "test",
    store,
    sender,
    runtime: { clock, random: new SeededRandom(1) },
    limits: { maxEvents: 3, maxBytes: 1_000 },
    trigger: { flushAt: 2, flushBytes: 100, flushIntervalMs: 1_000 },
    probeMs: 30_000,
    onModeChange: (mode) => modes.push(mode),
  });
  const push = (...texts: string[]): void => {
    for (const text of texts) {
      store.texts.push(text);
      lane.notify();
    }
  };
  return { clock, store, lane, sent, modes, push, answers };
}

test("sends when enough events wait, at once", async () => {
  const { sent, push } = setUp();
  push("a");
  await settle();
  expect(sent).toEqual([]);
  push("b");
  await settle();
  expect(sent).toEqual([["a", "b"]]);
});

test("sends when enough bytes wait", async () => {
  const { sent, push } = setUp();
  push("x".repeat(100));
  await settle();
  expect(sent).toHaveLength(1);
});

test("sends a lonely event after the interval, at most a tenth earlier", async () => {
  const { clock, sent, push } = setUp();
  push("a");
  await clock.advance(899);
  expect(sent).toEqual([]);
  await clock.advance(101);
  expect(sent).toEqual([["a"]]);
});

test("sends one batch after another, in order, within the limits", async () => {
  const { clock, sent, push, lane } = setUp();
  push("a", "b", "c", "d", "e", "f", "g");
  await clock.advance(2_000);
  expect(sent.flat()).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
  expect(Math.max(...sent.map(({ length }) => length))).toBeLessThanOrEqual(3);
  expect(lane.snapshot().mode).toBe("idle");
});

test("flush is a barrier over what was there, also below every trigger", async () => {
  const { clock, sent, push, lane } = setUp();
  push("a");
  let flushed = false;
  void lane.flush().then(() => {
    flushed = true;
  });
  await clock.advance(0);
  expect(flushed).toBe(true);
  expect(sent).toEqual([["a"]]);
  await lane.flush();
});

test("a close that drains probes a halted lane once, any other does not", async () => {
  for (const [drain, answer, left] of [
    [true, DELIVERED, []],
    [true, HALTED, ["a", "b", "c", "d"]],
    [false, DELIVERED, ["a", "b", "c", "d"]],
  ] as const) {
    const { clock, store, push, lane, sent, answers } = setUp();
    answers.push(HALTED, answer);
    push("a", "b");
    await settle();
    push("c", "d");
    await lane.flush();
    expect(lane.snapshot().mode).toBe("halted");
    expect(sent).toHaveLength(1);
    let closed = false;
    void lane.close(60_000, { drain }).then(() => {
      closed = true;
    });
    await settle();
    expect(closed).toBe(true);
    expect(store.texts).toEqual(left);
    expect(sent.length).toBe(1 + Number(drain) + Number(left.length === 0));
    expect(clock.timers).toBe(0);
  }
});

test("halts on a refused credential, keeps the events, probes, and goes on when one is taken", async () => {
  const { clock, store, push, lane, answers } = setUp();
  answers.push(HALTED, HALTED);
  push("a", "b");
  await settle();
  expect(lane.snapshot()).toMatchObject({ mode: "halted", reason: "401" });
  expect(store.texts).toEqual(["a", "b"]);
  await lane.flush();
  await clock.advance(30_000);
  expect(lane.snapshot().mode).toBe("halted");
  await clock.advance(30_000);
  expect(lane.snapshot().mode).toBe("idle");
  expect(store.texts).toEqual([]);
});

test("a new sender ends a halt at once", async () => {
  const { lane, push, answers, store } = setUp();
  answers.push(HALTED);
  push("a", "b");
  await settle();
  lane.reconfigure({ sender: { send: async (batch) => new Array<Outcome>(batch.count).fill(DELIVERED) } });
  await settle();
  expect(store.texts).toEqual([]);
});

test("pause finishes the attempt in flight and keeps what comes; resume goes on", async () => {
  const { clock, lane, push, store, sent } = setUp();
  push("a", "b");
  lane.pause("maintenance");
  await settle();
  expect(lane.snapshot()).toMatchObject({ mode: "paused", reason: "maintenance" });
  push("c", "d");
  await clock.advance(10_000);
  expect(store.texts).toEqual(["c", "d"]);
  lane.resume();
  await settle();
  expect(sent.flat()).toEqual(["a", "b", "c", "d"]);
});

test("close with drain delivers what is there, then is closed for good", async () => {
  const { clock, lane, push, store, sent } = setUp();
  push("a");
  const closed = lane.close(1_000, { drain: true });
  await clock.advance(0);
  await closed;
  expect(sent).toEqual([["a"]]);
  push("b");
  await clock.advance(10_000);
  expect(store.texts).toEqual(["b"]);
  expect(lane.snapshot().mode).toBe("closed");
});

test("close aborts at its deadline what does not end, and the events stay in the store", async () => {
  const { clock, lane, push, store, answers } = setUp();
  answers.push("never");
  push("a", "b");
  let closed = false;
  void lane.close(1_000, { drain: true }).then(() => {
    closed = true;
  });
  await clock.advance(999);
  expect(closed).toBe(false);
  await clock.advance(2);
  expect(closed).toBe(true);
  expect(store.texts).toEqual(["a", "b"]);
});

test("what is leased after the deadline of close is given back and not sent", async () => {
  const { clock, lane, push, store } = setUp();
  const lease = store.lease.bind(store);
  let goOn: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  store.lease = (limits) => held.then(() => lease(limits));
  let sends = 0;
  // It waits until it is interrupted, as where a destination has no room.
  const send = async ({ count }: Batch, { soon }: SendContext): Promise<readonly Outcome[]> => {
    sends += 1;
    await new Promise((resolve) => soon.addEventListener("abort", resolve));
    return new Array<Outcome>(count).fill(LATER);
  };
  lane.reconfigure({ sender: { send } });
  push("a", "b");
  let closed = false;
  void lane.close(1_000, { drain: false }).then(() => {
    closed = true;
  });
  await clock.advance(2_000);
  expect(closed).toBe(false);
  goOn();
  await settle();
  expect({ closed, sends, texts: store.texts, leased: store.leased }).toEqual({
    closed: true,
    sends: 0,
    texts: ["a", "b"],
    leased: 0,
  });
});

test("a store that fails is tried again, and shown as waiting", async () => {
  const { clock, lane, push, store, modes } = setUp();
  store.failing = 2;
  push("a", "b");
  await settle();
  expect(lane.snapshot()).toMatchObject({ mode: "waiting", lastError: expect.stringContaining("disk") as string });
  await clock.advance(5_000);
  expect(store.texts).toEqual([]);
  expect(modes.slice(0, 4)).toEqual(["sending", "waiting", "sending", "waiting"]);
});

test("an account balances when every event has ended or waits, and says so when one is missing", () => {
  const account = new Account();
  account.accept(10);
  for (let events = 0; events < 4; events++) account.settle(DELIVERED);
  account.settle({ status: "rejected", reason: "a fault" });
  account.drop("queue_full", 2);
  account.expire(1);
  expect(account.view(2)).toMatchObject({ accepted: 10, droppedTotal: 2, pending: 2, balanced: true });
  expect(account.view(1).balanced).toBe(false);
  expect(new Account(account.state()).view(2)).toEqual(account.view(2));
});
