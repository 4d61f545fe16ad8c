import { expect, test } from "vitest";
import type { OverviewReplay } from "../../src/api/types.ts";
import { isOver, orderedReplays, progressOf, replayBody } from "../../src/model/replay.ts";

const replay = (fields: Partial<OverviewReplay> = {}): OverviewReplay =>
  ({ id: "r", createdAtMs: 1, state: "running", account: { accepted: 100, pending: 25 }, ...fields }) as OverviewReplay;

test("progress is what is settled, and the time left follows from the rate", () => {
  expect(progressOf(replay(), 5)).toEqual({ settled: 75, total: 100, share: 0.75, remainingMs: 5_000 });
  expect(progressOf(replay(), 0).remainingMs).toBeUndefined();
});

test("a replay of nothing is complete", () => {
  const nothing = replay({ account: { accepted: 0, pending: 0 } as OverviewReplay["account"] });
  expect(progressOf(nothing, 1)).toMatchObject({ share: 1, remainingMs: undefined });
});

test("what is not filled in is not sent", () => {
  expect(replayBody({ destination: "a", since: "", user: "x", userId: "u1", eventsPerSecond: "" })).toEqual({
    destination: "a",
    userId: "u1",
  });
  expect(replayBody({ destination: "a", eventsPerSecond: "50" }).eventsPerSecond).toBe(50);
});

test("replays that run are first, then the newest", () => {
  const given = [
    replay({ id: "old", state: "done", createdAtMs: 1 }),
    replay({ id: "new", state: "cancelled", createdAtMs: 9 }),
    replay({ id: "runs", createdAtMs: 5 }),
  ];
  expect(orderedReplays(given).map(({ id }) => id)).toEqual(["runs", "new", "old"]);
  expect(given.map(isOver)).toEqual([true, true, false]);
});
