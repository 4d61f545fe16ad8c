/** What dead letters are known of after a crash, and what was known of them before. */
import { DELIVERED, type Outcome } from "@waybill/core";
import { DeadLetters, type Position } from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { openStore } from "../lib/log-store.ts";

const WIDE = { maxEvents: 1_000, maxBytes: 1_000_000 };
const NEVER: Outcome = { status: "rejected", reason: "never" };

async function openFour(disk: SimDisk): Promise<DeadLetters> {
  const opened = await DeadLetters.open("/dead", 10, { disk, clock: new VirtualClock() });
  for (let id = opened.log.head; id < 4; id++)
    await opened.adopt({
      deadLetterId: id,
      position: id,
      source: "web",
      receivedAtMs: 1,
      rejectedAtMs: 2,
      reason: "never",
      metadata: "",
      state: "waiting",
      event: Buffer.from("{}"),
    });
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
