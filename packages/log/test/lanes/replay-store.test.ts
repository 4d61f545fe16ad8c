/** What a replay's store does when reading fails, and where another process may take it over. */
import { DELIVERED, type Outcome, outcomesOf } from "@waybill/core";
import {
  type DurableState,
  Fates,
  type LogBatch,
  type LogRecord,
  NO_FATES,
  type Piece,
  ReplayStore,
  type Turn,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

type State = ConstructorParameters<typeof ReplayStore>[0]["state"]["initial"];

const LATER: Outcome = { status: "retryable", reason: "later" };
const LIMITS = { maxEvents: 3, maxBytes: 1_000 };
const FRESH = { cursor: 0, leased: 0, delivered: 0, rejected: 0, expired: 0, done: false };

/** One event in each record. */
function pieceAt(first: number): Piece {
  const body = Buffer.from(`{"n":${first}}`);
  const ends = Uint32Array.of(body.length);
  const record: LogRecord = { first, count: 1, source: "s", receivedAtMs: 1, metadata: "", body, ends, sizeBytes: 20 };
  return { record, start: 0, end: 1 };
}

interface Given {
  readonly state?: Partial<DurableState<State>>;
  readonly initial?: Partial<State>;
  /** Positions before which reading fails once. */
  readonly failsAt?: readonly number[];
  /** Positions that were marked, in order: they are not chosen any more. */
  readonly marked?: readonly number[];
  /** Retention has taken all before. Default 0. */
  readonly first?: number;
  readonly turn?: Turn;
}

async function open(total: number, { state = {}, initial = {}, failsAt = [], marked, first = 0, turn }: Given = {}) {
  const failing = new Set(failsAt);
  const written: State[] = [];
  const store = new ReplayStore<State>({
    name: "r",
    state: {
      initial: { total, ...FRESH, ...initial },
      fits: () => true,
      write: async (value) => void written.push(value),
      sync: async () => undefined,
      close: async () => undefined,
      ...state,
    },
    fates: await Fates.open({
      directory: "/fates",
      runtime: { disk: new SimDisk(), clock: new VirtualClock() },
      tail: { from: 0, runs: [], before: NO_FATES },
    }),
    async *pieces(from, marks) {
      for (let at = Math.max(first, from); at < total; at++) {
        if (failing.delete(at)) throw new Error(`cannot read ${at}`);
        if (marked?.slice(0, marks).includes(at) !== true) yield pieceAt(at);
      }
    },
    ...(turn && { turn }),
    ...(marked && { marks: { count: () => marked.length, isChosen: (position) => !marked.includes(position) } }),
  });
  return { store, written };
}

test("reading that fails goes on from the same place, and expires nothing", async () => {
  const { store } = await open(6, { failsAt: [0, 2, 5] });
  const delivered: number[] = [];
  for (let tries = 0; tries < 12 && !store.value.done; tries++) {
    const batch = await store.lease(LIMITS).catch(() => undefined);
    if (batch === undefined) continue;
    delivered.push(batch.count);
    await store.settle(batch, outcomesOf(batch.count, DELIVERED));
  }
  expect(delivered).toEqual([3, 3]);
  expect(store.account()).toMatchObject({ accepted: 6, delivered: 6, expired: 0, pending: 0, balanced: true });
});

test("a shared replay's batch is written down before it is sent, or not sent", async () => {
  let isRefused = false;
  const states: State[] = [];
  const write = async (value: State): Promise<void> => {
    if (isRefused) throw new Error("no answer");
    states.push(value);
  };
  const { store } = await open(5, { state: { isOurs: () => true, write } });
  const batch = await store.lease(LIMITS);
  expect(states).toEqual([]);
  isRefused = true;
  await expect(store.plan()).rejects.toThrow("no answer");
  isRefused = false;
  expect(await store.plan()).toBe(true);
  expect(states).toMatchObject([{ cursor: 0, leased: 3 }]);
  // Whoever takes over sends the same batch, whatever its own limits are.
  const { store: next } = await open(5, { initial: states[0] as State });
  expect((await next.lease({ maxEvents: 2, maxBytes: 1 }))?.key).toBe(batch?.key);
});

test("a batch that was written down stays as it is, whatever was marked since; what comes after it does not", async () => {
  const marked = [1];
  const states: State[] = [];
  const write = async (value: State): Promise<void> => void states.push(value);
  const shared = { isOurs: () => true, write };
  const { store } = await open(9, { state: shared, marked });
  // It has been read, and is marked before its turn.
  await store.lease({ maxEvents: 1, maxBytes: 1 }).then((one) => store.settle(one as never, [DELIVERED]));
  marked.push(3);
  const batch = await store.lease(LIMITS);
  await store.plan();
  expect(batch?.key).toBe("r-2-3-of-4");
  expect(states.at(-1)).toMatchObject({ cursor: 2, leased: 3, marks: 2 });
  marked.push(4, 6);
  const { store: next } = await open(9, { state: shared, initial: states.at(-1) as State, marked });
  const again = await next.lease(LIMITS);
  expect(again?.key).toBe(batch?.key);
  // Some of it comes back: the rest goes together as well.
  await next.settle(again as never, [DELIVERED, LATER, LATER]);
  expect((await next.lease(LIMITS))?.key).toBe("r-4-2");
  const { store: last } = await open(9, { state: shared, initial: states.at(-1) as State, marked });
  const rest = await last.lease(LIMITS);
  expect(rest?.key).toBe("r-4-2");
  await last.settle(rest as never, [DELIVERED, DELIVERED]);
  expect((await last.lease(LIMITS))?.key).toBe("r-7-2");
});

test("a replay that is another process's now plans nothing and leases nothing", async () => {
  let isOurs = true;
  const { store } = await open(5, { state: { isOurs: () => isOurs } });
  await store.lease(LIMITS);
  isOurs = false;
  await expect(store.plan()).rejects.toMatchObject({ code: "WAYBILL_CLOSED", reason: "fenced" });
  const { store: other } = await open(5, { state: { isOurs: () => false } });
  expect(await other.lease(LIMITS)).toBeUndefined();
});

test("a batch is chosen in the store's turn, which lasts until all of it is settled", async () => {
  let isFree = false;
  const calls: string[] = [];
  const turn: Turn = {
    take: () => {
      calls.push("take");
      return isFree;
    },
    end: () => void calls.push("end"),
  };
  const marked: number[] = [];
  const { store } = await open(3, { marked, turn });
  expect(await store.lease(LIMITS)).toBeUndefined();
  expect(store.value).toMatchObject({ cursor: 0, leased: 0, done: false });
  // What another one sent meanwhile is not chosen.
  marked.push(0);
  isFree = true;
  const batch = await store.lease(LIMITS);
  expect(batch?.key).toBe("r-1-2");
  await store.settle(batch as never, [DELIVERED, LATER]);
  expect(calls).toEqual(["take", "take"]);
  const rest = await store.lease(LIMITS);
  await store.settle(rest as never, [DELIVERED]);
  expect(calls).toEqual(["take", "take", "take", "end"]);
  expect(await store.lease(LIMITS)).toBeUndefined();
  expect(store.value.done).toBe(true);
  expect(calls.slice(4)).toEqual(["take", "end"]);
  calls.length = 0;
  await open(4, { turn });
  expect(calls).toEqual([]);
  await open(4, { turn, initial: { leased: 2 } });
  expect(calls).toEqual(["take"]);
});

const PLANNED = { cursor: 1, leased: 4, leasedTo: 5 };

async function batches(store: ReplayStore<State>): Promise<readonly (readonly number[])[]> {
  const found: number[][] = [];
  while (!store.value.done) {
    const batch = await store.lease(LIMITS);
    if (batch === undefined) continue;
    found.push(Array.from({ length: batch.count }, (_, index) => (batch as LogBatch).positionAt(index)));
    await store.settle(batch, outcomesOf(batch.count, DELIVERED));
  }
  return found;
}

test.each([
  {
    first: 1,
    expected: [
      [1, 2, 3, 4],
      [5, 6, 7],
    ],
  },
  {
    first: 3,
    expected: [
      [3, 4],
      [5, 6, 7],
    ],
  },
  { first: 5, expected: [[5, 6, 7]] },
])("what retention, having removed all before $first, has left of a planned batch goes alone", async (given) => {
  const { store } = await open(8, { ...given, initial: PLANNED });
  expect(await batches(store)).toEqual(given.expected);
  expect(store.account()).toMatchObject({ accepted: 8, expired: given.first, pending: 0, balanced: true });
});

test("so it is where a batch that was given back is removed while its replay waits", async () => {
  const { store, written } = await open(8, { initial: PLANNED });
  const batch = await store.lease(LIMITS);
  await store.settle(batch as never, outcomesOf(4, LATER));
  await store.expire(3, 2, store.progress());
  expect(written.at(-1)).toMatchObject({ cursor: 3, leasedTo: 5, expired: 2 });
  const again = await open(8, { first: 3, initial: written.at(-1) ?? {} });
  for (const one of [store, again.store]) expect((await batches(one))[0]).toEqual([3, 4]);
});

test("of a plan of before its end was noted, what retention has left is planned anew", async () => {
  const { store } = await open(8, { first: 3, initial: { cursor: 1, leased: 4 } });
  expect((await batches(store))[0]).toEqual([3, 4, 5]);
});
