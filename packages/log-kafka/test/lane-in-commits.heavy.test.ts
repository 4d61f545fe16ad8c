/** A lane whose logs are partitions and whose state is in commits: as over a disk, and fenced. */
import { type Batch, DELIVERED, type Outcome, outcomesOf } from "@waybill/core";
import { DeadLetters, Fates, fatesOf, LogStore } from "@waybill/log";
import { settle, VirtualClock } from "@waybill/testing";
import { testStore } from "@waybill/testing/suites";
import { expect, test } from "vitest";
import { runStrands } from "../../log/test/lib/strands-model.ts";
import { LaneInCommits } from "./lib/lane-in-commits.ts";

const WIDE = { maxEvents: 4, maxBytes: 1_000_000 };
const NEVER: Outcome = { status: "rejected", reason: "never" };

interface Opened {
  readonly store: LogStore;
  readonly deadLetters: DeadLetters;
  readonly errors: unknown[];
}

async function openStore(lane: LaneInCommits, clock: VirtualClock): Promise<Opened> {
  const { log, openLog, openState } = await lane.open();
  const runtime = { clock, openLog };
  const state = await openState();
  const deadLetters = await DeadLetters.open("/dead", log.head, runtime, state.initial.dead);
  const fates = await Fates.open({ directory: "/fates", runtime, ...fatesOf(state.initial, log), tailMaxRuns: 2 });
  const errors: unknown[] = [];
  const onStateError = (error: unknown): void => void errors.push(error);
  const store = new LogStore({ name: "a", log, state, fates, deadLetters, clock, onStateError });
  return { store, deadLetters, errors };
}

testStore("log store with its state in commits", async (texts) => {
  const clock = new VirtualClock();
  const lane = new LaneInCommits(clock);
  const { store } = await openStore(lane, clock);
  if (texts.length > 0) await lane.append(texts);
  return { store, push: (more) => lane.append(more) };
});

test("strands, parked users, retention and deaths with the state in commits: each event has one outcome", () =>
  runStrands(8, {
    mayFatesFail: false,
    makeLogs: () => {
      let lane: LaneInCommits | undefined;
      return {
        open: async (clock) => {
          await lane?.close();
          return (lane ??= new LaneInCommits(clock)).open();
        },
        append: async (texts) => lane?.append(texts),
        close: async () => lane?.close(),
      };
    },
  }));

async function lease(store: LogStore): Promise<Batch> {
  const batch = await store.lease(WIDE);
  if (batch === undefined) throw new Error("nothing to lease");
  return batch;
}

test("taken over with a batch on its way: it goes again under its key, and the one before may do nothing more", async () => {
  const clock = new VirtualClock();
  const lane = new LaneInCommits(clock);
  const before = await openStore(lane, clock);
  await lane.append(Array.from({ length: 12 }, (_, index) => `{"n":${index}}`));
  const first = await lease(before.store);
  await before.store.plan(first);
  await before.store.settle(first, [NEVER, ...outcomesOf(3, DELIVERED)]);
  const second = await lease(before.store);
  await before.store.plan(second);

  const after = await openStore(lane, clock);
  const again = await lease(after.store);
  expect(again.key).toBe(second.key);
  expect(again.count).toBe(4);
  const { commits } = lane;
  await after.store.plan(again);
  // Though it was planned before: whose the lane is shows a commit.
  expect(lane.commits).toBe(commits + 1);
  await after.store.settle(again, outcomesOf(4, DELIVERED));

  // A zombie, as after SIGCONT: its batch was answered meanwhile, and refused.
  await expect(before.store.settle(second, outcomesOf(4, NEVER))).rejects.toMatchObject({ code: "fenced" });
  await settle();
  expect(await before.store.lease(WIDE)).toBeUndefined();
  await expect(before.store.plan(second)).rejects.toMatchObject({ code: "WAYBILL_CLOSED", reason: "fenced" });
  // Who has lost its lane reports that alone, not each write.
  expect(before.errors).toEqual([]);
  expect(after.deadLetters.log.head).toBe(1);

  const last = await lease(after.store);
  await after.store.plan(last);
  await after.store.settle(last, outcomesOf(4, DELIVERED));
  expect(after.store.account()).toMatchObject({ accepted: 12, delivered: 11, rejected: 1, pending: 0, balanced: true });
  await after.store.close();
  const third = await openStore(lane, clock);
  expect(third.store.account()).toMatchObject({ delivered: 11, rejected: 1, pending: 0, balanced: true });
  expect((await third.store.fateAt(0)).status).toBe("rejected");
  expect((await third.store.fateAt(5)).status).toBe("delivered");
});
