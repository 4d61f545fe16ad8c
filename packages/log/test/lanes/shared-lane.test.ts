import { DELIVERED, type Outcome, WaybillError } from "@waybill/core";
import {
  DeadLetters,
  type DurableState,
  Fates,
  fateTailOf,
  type LaneStateValue,
  type Log,
  LogStore,
  newLaneState,
  type OpenLog,
  openLog,
  recordsFrom,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { push } from "../lib/log-store.ts";

const LIMITS = { maxEvents: 2, maxBytes: 1_000 };
const FILTERED: Outcome = { status: "dropped", reason: "filtered" };
const NEVER: Outcome = { status: "rejected", reason: "no" };

/** A state that others may take: each write waits until the test answers it. */
class SharedState implements DurableState<LaneStateValue> {
  readonly initial: LaneStateValue;
  readonly written: LaneStateValue[] = [];
  readonly waiting: { readonly value: LaneStateValue; readonly answer: (error?: Error) => void }[] = [];
  isLost = false;
  /** Answers each write at once. */
  isOpen = true;

  constructor(initial: LaneStateValue) {
    this.initial = initial;
  }
  fits(value: LaneStateValue): boolean {
    return JSON.stringify(value).length < 3_500;
  }
  write(value: LaneStateValue): Promise<void> {
    return new Promise((resolve, reject) => {
      const answer = (error?: Error): void => {
        if (error !== undefined) return reject(error);
        this.written.push(value);
        resolve();
      };
      if (this.isOpen) answer();
      else this.waiting.push({ value, answer });
    });
  }
  /** Refuses what waits, and all that comes. */
  refuse(): void {
    this.isLost = true;
    for (const { answer } of this.waiting.splice(0)) answer(new Error("fenced"));
  }
  isOurs(): boolean {
    return !this.isLost;
  }
  async sync(): Promise<void> {}
  async close(): Promise<void> {}
}

interface Opened {
  readonly store: LogStore;
  readonly state: SharedState;
  readonly dead: Log;
  /** Of its fates. */
  readonly blocks: Log;
  readonly opened: readonly string[];
  /** Writes that were reported as failed. */
  readonly reported: readonly unknown[];
}

async function open(texts: readonly string[], change: Partial<LaneStateValue> = {}): Promise<Opened> {
  const clock = new VirtualClock();
  const disk = new SimDisk();
  const log = await openLog({ directory: "/log" }, { disk, clock });
  const state = new SharedState({ ...newLaneState(log, false), ...change });
  await push(log, texts);
  const opened: string[] = [];
  const logs = new Map<string, Log>();
  const openOther: OpenLog = async (options) => {
    opened.push(options.directory);
    const own = await openLog({ ...options, directory: `/else${options.directory}` }, { disk, clock });
    logs.set(options.directory, own);
    return own;
  };
  const runtime = { clock, openLog: openOther };
  const deadLetters = await DeadLetters.open("/dead", log.head, runtime);
  const fates = await Fates.open({ directory: "/fates", runtime, tail: fateTailOf(state.initial) });
  const delivery = { maxInFlight: () => 4 };
  const reported: unknown[] = [];
  const onStateError = (error: unknown): void => void reported.push(error);
  const store = new LogStore({ name: "a", log, state, deadLetters, fates, clock, delivery, onStateError });
  return { store, state, dead: deadLetters.log, blocks: logs.get("/fates") as Log, opened, reported };
}

const events = (count: number): string[] => Array.from({ length: count }, (_, index) => `{"n":${index}}`);

/** Whether a promise has an outcome by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => void (settled = true);
  promise.then(note, note);
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  return settled;
}

async function lease(store: LogStore) {
  const batch = await store.lease(LIMITS);
  if (batch === undefined) throw new Error("nothing to lease");
  return batch;
}

test("a lane's own logs are opened by what the host gives", async () => {
  expect((await open(events(1))).opened).toEqual(["/dead", "/dead/marks", "/fates"]);
});

test("where a lane may be taken over a batch leaves only after a write that has its plan", async () => {
  const { store, state } = await open(events(2));
  state.isOpen = false;
  const batch = await lease(store);
  const planned = store.plan(batch);
  expect(await isSettled(planned)).toBe(false);
  expect(state.waiting[0]?.value).toMatchObject({ position: 0, leased: 2 });
  state.waiting.shift()?.answer();
  expect(await planned).toBe(true);
});

test("also a batch of one event, and one that was planned before the lane was opened", async () => {
  const { store, state } = await open(events(2), { leased: 2 });
  state.isOpen = false;
  const planned = store.plan(await lease(store));
  expect(await isSettled(planned)).toBe(false);
  state.refuse();
  await expect(planned).rejects.toThrow("fenced");

  const one = await open(events(1));
  one.state.isOpen = false;
  const alone = one.store.plan((await one.store.lease({ maxEvents: 1, maxBytes: 100 })) as never);
  expect(await isSettled(alone)).toBe(false);
});

test("a write that failed is reported while the lane is ours, and not once it is another's", async () => {
  const { store, state, reported } = await open(events(2));
  state.isOpen = false;
  const batch = await lease(store);
  const first = store.plan(batch);
  expect(await isSettled(first)).toBe(false);
  state.waiting.shift()?.answer(new Error("no answer"));
  await expect(first).rejects.toThrow("no answer");
  expect(reported).toEqual([new Error("no answer")]);

  const second = store.plan(batch);
  expect(await isSettled(second)).toBe(false);
  state.refuse();
  await expect(second).rejects.toThrow();
  expect(reported).toHaveLength(1);
});

test("a write without an answer keeps its batch; the next write that succeeds lets it go", async () => {
  const { store, state } = await open(events(2));
  state.isOpen = false;
  const batch = await lease(store);
  const first = store.plan(batch);
  expect(await isSettled(first)).toBe(false);
  state.waiting.shift()?.answer(new Error("no answer"));
  await expect(first).rejects.toThrow("no answer");
  state.isOpen = true;
  expect(await store.plan(batch)).toBe(true);
});

test("settled, its write under way, refused: nothing is leased, planned, kept or settled after that", async () => {
  const { store, state, dead } = await open(events(8));
  const first = await lease(store);
  await store.plan(first);
  state.isOpen = false;
  const settled = store.settle(first, [DELIVERED, DELIVERED]);
  expect(await isSettled(settled)).toBe(false);
  // The strand is free again before the write has an answer: the next batch may wait, not leave.
  const second = await lease(store);
  const planned = store.plan(second);
  expect(await isSettled(planned)).toBe(false);
  state.refuse();
  await expect(settled).rejects.toThrow("another process");
  await expect(planned).rejects.toThrow("another process");
  expect(await store.lease(LIMITS)).toBeUndefined();
  await expect(store.plan(second)).rejects.toMatchObject({ code: "WAYBILL_CLOSED", reason: "fenced" });
  await expect(store.settle(second, [NEVER, NEVER])).rejects.toThrow("another process");
  expect(dead.head).toBe(0);
  const { length } = state.written;
  await store.close();
  expect(state.written).toHaveLength(length);
});

test("known to be lost by its own clock while the write was acknowledged: the batch stays", async () => {
  const { store, state } = await open(events(2));
  state.isOpen = false;
  const planned = store.plan(await lease(store));
  expect(await isSettled(planned)).toBe(false);
  state.isLost = true;
  state.waiting.shift()?.answer();
  await expect(planned).rejects.toThrow("another process");
});

test("dead letters are kept only after a write that shows whose the lane is", async () => {
  const { store, state, dead } = await open(events(4));
  const first = await lease(store);
  await store.plan(first);
  const { length } = state.written;
  await store.settle(first, [NEVER, DELIVERED]);
  expect(state.written.length).toBe(length + 2);
  expect(dead.head).toBe(1);

  const second = await lease(store);
  await store.plan(second);
  state.isOpen = false;
  const settled = store.settle(second, [NEVER, NEVER]);
  expect(await isSettled(settled)).toBe(false);
  state.refuse();
  await expect(settled).rejects.toThrow("fenced");
  expect(dead.head).toBe(1);
});

test("a dead letter that its last owner has kept late is not kept once more", async () => {
  const before = await open(events(2));
  const { store, dead, state } = await open(events(2));
  const settleOn = async (lane: LogStore): Promise<void> => {
    const batch = await lease(lane);
    await lane.plan(batch);
    await lane.settle(batch, [NEVER, NEVER]);
  };
  await settleOn(before.store);
  for await (const { body, ...record } of recordsFrom(before.dead, 0)) await dead.append({ ...record, body: [body] });
  // It is not counted yet: who goes on after this state must find it.
  store.deliversTo("vendor");
  await store.sync();
  expect(state.written.at(-1)).toMatchObject({ dead: 0, vendors: [{ name: "vendor" }] });
  await settleOn(store);
  expect(dead.head).toBe(before.dead.head);
  expect(store.account()).toMatchObject({ rejected: 2, pending: 0, balanced: true });
  expect(state.written.at(-1)).toMatchObject({ dead: 2 });
});

/** Its outcomes make a block, and while that is being written another process's comes first. */
async function overtaken(): Promise<Opened & { readonly settled: Promise<void> }> {
  const lane = await open(events(200));
  const { store, state, blocks } = lane;
  const batch = await store.lease({ maxEvents: 200, maxBytes: 100_000 });
  if (batch === undefined) throw new Error("nothing to lease");
  await store.plan(batch);
  const append = blocks.append.bind(blocks);
  blocks.append = async () => {
    blocks.append = append;
    await push(blocks, ["another's"]);
    state.isOpen = false;
    throw new WaybillError("WAYBILL_LOG_UNAVAILABLE", "another writer came first", { reason: "overtaken" });
  };
  const outcomes = events(200).map((_, index): Outcome => (index % 2 === 0 ? DELIVERED : FILTERED));
  const settled = store.settle(batch, outcomes);
  void settled.catch(() => undefined);
  expect(await isSettled(settled)).toBe(false);
  return { ...lane, settled };
}

test("a block of outcomes that was overtaken is written once a write has shown again whose the lane is", async () => {
  const { state, blocks, reported, settled } = await overtaken();
  expect(blocks.head).toBe(1);
  state.isOpen = true;
  state.waiting.shift()?.answer();
  await settled;
  expect(blocks.head).toBe(2);
  expect(state.written.at(-1)).toMatchObject({ position: 200, fates: { from: 200, runs: [], blocksTo: 2 } });
  expect(reported).toEqual([]);
});

test("and not at all where that write is refused", async () => {
  const { state, blocks, settled } = await overtaken();
  state.refuse();
  expect(await isSettled(settled)).toBe(false);
  // Of the state itself, which goes without the block.
  state.refuse();
  await expect(settled).rejects.toThrow("another process");
  expect(blocks.head).toBe(1);
});
