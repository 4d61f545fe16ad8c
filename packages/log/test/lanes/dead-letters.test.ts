/** What dead letters are known of after a crash, and what was known of them before. */
import { DELIVERED, type Outcome, WaybillError } from "@waybill/core";
import { DeadLetters, type LaneRuntime, type Log, openLog, type Position } from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { openStore, push } from "../lib/log-store.ts";

const WIDE = { maxEvents: 1_000, maxBytes: 1_000_000 };
const NEVER: Outcome = { status: "rejected", reason: "never" };

const LETTER = {
  source: "web",
  receivedAtMs: 1,
  rejectedAtMs: 2,
  reason: "never",
  metadata: "",
  state: "waiting" as const,
  event: Buffer.from("{}"),
};

async function openFour(disk: SimDisk): Promise<DeadLetters> {
  const opened = await DeadLetters.open("/dead", 10, { disk, clock: new VirtualClock() });
  for (let id = opened.log.head; id < 4; id++) await opened.adopt({ ...LETTER, deadLetterId: id, position: id });
  return opened;
}

/** A lane that has kept the only event as a dead letter, and died before it could count it. */
async function diedAmidSettling(): Promise<SimDisk> {
  const { disk, log, store, dead } = await openStore({});
  const body = Buffer.from("{}");
  await log.append({ source: "web", receivedAtMs: 7, metadata: "", body: [body], ends: Uint32Array.of(2) });
  const batch = await store.lease(WIDE);
  const before = disk.onOperation;
  disk.onOperation = (operation, path) => {
    if (operation === "write" && path.includes("/lanes/")) throw new Error("died");
  };
  await store.settle(batch as never, [NEVER]);
  expect(dead.head).toBe(1);
  disk.onOperation = before;
  disk.killProcess();
  return disk;
}

test("a dead letter whose event is delivered after a crash waits no longer", async () => {
  const disk = await diedAmidSettling();
  const second = await openStore({ disk });
  await second.store.settle((await second.store.lease(WIDE)) as never, [DELIVERED]);
  expect(second.store.account()).toMatchObject({ accepted: 1, delivered: 1, rejected: 0, balanced: true });
  await second.store.close();
  const opened = await DeadLetters.open("/dead", 10, { disk, clock: new VirtualClock() });
  expect(opened.counts()).toMatchObject({ waiting: 0, retried: 1 });
});

test("a dead letter is kept once, however often the lane ends before it has counted it", async () => {
  const disk = await diedAmidSettling();
  // It writes a state, and has settled nothing.
  const second = await openStore({ disk });
  await second.store.close();
  await second.log.close();
  const third = await openStore({ disk });
  const again = await third.store.lease(WIDE);
  await third.store.settle(again as never, [NEVER]);
  expect(third.dead.head).toBe(1);
  expect(third.store.account()).toMatchObject({ accepted: 1, rejected: 1, pending: 0, balanced: true });
  // Once it is counted, the next one need not look for it.
  await third.store.close();
  await third.log.close();
  const known: (Position | undefined)[] = [];
  await openStore({
    disk,
    changed: (state) => {
      known.push(state.dead);
      return state;
    },
  });
  expect(known).toEqual([1]);
});

test("dead letters are listed as they were when there were so many marks, also after a restart", async () => {
  const disk = new SimDisk();
  const deadLetters = await openFour(disk);
  await deadLetters.mark([1], "discarded");
  const { marks } = deadLetters;
  await deadLetters.mark([2], "discarded");
  await deadLetters.mark([3], "retried");
  await deadLetters.close();
  const opened = await openFour(disk);
  for (const one of [deadLetters, opened]) {
    expect(one.marks).toBe(3);
    expect([0, 1, 2, 3].map((id) => one.stateOf(id))).toEqual(["waiting", "discarded", "discarded", "retried"]);
  }
  const waiting = async (asOf?: number): Promise<readonly Position[]> => {
    const ids: Position[] = [];
    for await (const { deadLetterId } of opened.list({ state: "waiting" }, 0, undefined, asOf)) ids.push(deadLetterId);
    return ids;
  };
  expect(await waiting()).toEqual([0]);
  expect(await waiting(marks)).toEqual([0, 2, 3]);
  expect(await waiting(0)).toEqual([0, 1, 2, 3]);
  expect(await waiting(3)).toEqual([0]);
});

/** Two dead letters; `marks` is appended to by others as well, and tells that they came first. */
async function shared(): Promise<{ readonly dead: DeadLetters; readonly marks: Log; overtake(): void }> {
  const disk = new SimDisk();
  const clock = new VirtualClock();
  let marks: Log | undefined;
  const runtime: LaneRuntime = {
    clock,
    openLog: async (options) => {
      const log = await openLog(options, { disk, clock });
      if (options.directory.endsWith("/marks")) marks = log;
      return log;
    },
  };
  const dead = await DeadLetters.open("/dead", 10, runtime);
  for (const position of [0, 1]) await dead.adopt({ ...LETTER, deadLetterId: position, position });
  if (marks === undefined) throw new Error("no marks");
  const log = marks;
  const overtake = (): void => {
    const append = log.append.bind(log);
    log.append = async () => {
      log.append = append;
      await push(log, ['{"letter":0,"state":"discarded","atMs":1}']);
      throw new WaybillError("WAYBILL_LOG_UNAVAILABLE", "another writer came first", { reason: "overtaken" });
    };
  };
  return { dead, marks, overtake };
}

test("a mark of another owner is known once it is read, and a later one counts", async () => {
  const { dead, marks } = await shared();
  await push(marks, ['{"letter":0,"state":"discarded","atMs":1}']);
  await dead.mark([1], "retried");
  expect(dead.marks).toBe(2);
  expect(dead.counts()).toMatchObject({ waiting: 0, retried: 1, discarded: 1 });
  await dead.mark([0], "waiting");
  expect(dead.counts()).toMatchObject({ waiting: 1, retried: 1, discarded: 0 });
});

test("what a retry has delivered is not discarded after that, also for who reads it anew", async () => {
  const { dead, marks } = await shared();
  await dead.mark([0], "retried");
  await dead.mark([0, 1], "discarded");
  expect([dead.stateOf(0), dead.stateOf(1), dead.marks, marks.head]).toEqual(["retried", "discarded", 3, 3]);
  expect(dead.counts()).toMatchObject({ waiting: 0, retried: 1, discarded: 1 });
  // What was given up may be delivered all the same, where it was on its way.
  await dead.mark([1], "retried");
  expect(dead.counts()).toMatchObject({ waiting: 0, retried: 2, discarded: 0 });
});

test("where another owner's marks come first, it is shown again whose the lane is", async () => {
  const { dead, marks, overtake } = await shared();
  let shown = 0;
  dead.confirm = async () => void (shown += 1);
  overtake();
  await dead.mark([0], "retried");
  expect(shown).toBe(3);
  expect([dead.stateOf(0), dead.marks]).toEqual(["retried", 2]);
  dead.confirm = () => (marks.head === 2 ? Promise.resolve() : Promise.reject(new Error("fenced")));
  overtake();
  await expect(dead.mark([1], "retried")).rejects.toThrow("fenced");
  expect(marks.head).toBe(3);
});
