/** How much of the topic of what operators asked for a relay keeps in memory. */
import { expect, test } from "vitest";
import { DesiredState } from "../../src/cluster/desired-state.ts";

const MAX = 100_000;
const LANES = { environment: "test", destination: "segment" };
const replay = (number: number): string => `replay/test/0198c0de-7a11-7c3e-9f00-${String(number).padStart(12, "0")}`;

test("of a flood of keys the first ones are kept, and hold", () => {
  const state = new DesiredState(undefined);
  state.note("pause/test/segment", "{}");
  for (let number = 1; number < MAX; number++) state.note(`pause/flood/${number}`, "{}");
  expect(state.hasLeftOut).toBe(false);
  for (const key of ["pause/flood/more", "rotation/destination flood/more", replay(1), `${replay(1)}/0`])
    expect(state.note(key, "{}"), key).toEqual({ type: "left out" });
  expect(state.hasLeftOut).toBe(true);
  expect(state.holdOf({ environment: "flood", destination: "more" })).toBeUndefined();
  expect(state.rotations).toEqual([]);
  expect(state.replays.forgottenKeys("test")).toEqual([]);
  expect(state.holdOf(LANES)).toBe("paused by an operator");
  // Those that are kept may have something else.
  expect(state.note("pause/test/segment", '{"by":"me"}')).toMatchObject({ type: "pause" });
  expect(state.note("reload", "{}")).toEqual({ type: "reload" });
  expect(state.hasRoomFor("reload", "{}")).toBe(true);
});

test("what is taken back makes room, and a rotation, which never is, does not", () => {
  const state = new DesiredState(undefined);
  for (let number = 0; number < MAX / 2; number++) {
    state.note(`pause/flood/${number}`, "{}");
    state.note(`rotation/flood ${number}`, "{}");
  }
  expect(state.faults).toHaveLength(MAX / 2);
  for (let number = 0; number < MAX / 2; number++) state.note(`rotation/flood ${number}`, "");
  expect(state.note("pause/test/segment", "{}")).toEqual({ type: "left out" });
  state.note("pause/flood/0", "");
  expect(state.note("pause/test/segment", "{}")).toMatchObject({ type: "pause" });
  expect(state.note("pause/flood/0", "{}")).toEqual({ type: "left out" });
});

test("replays are put in order once for all lanes, until something of them changes", () => {
  const state = new DesiredState(undefined);
  const request = JSON.stringify({
    destination: "segment",
    choice: { log: {} },
    createdAtMs: 1,
    parts: [[0, 0, 9, 9]],
  });
  const ledger = JSON.stringify({ total: 9, delivered: 9, rejected: 0, expired: 0, dropped: {} });
  for (const number of [2, 1]) state.note(replay(number), request);
  const both = state.replays.of("test");
  expect(both.map(({ id }) => id.at(-1))).toEqual(["1", "2"]);
  expect(state.replays.of("test")).toBe(both);
  state.note(replay(3).replace("test", "other"), request);
  expect(state.replays.of("test")).toBe(both);
  state.note(`${replay(1)}/cancel`, "{}");
  expect(state.replays.of("test").map(({ isCancelled }) => isCancelled)).toEqual([true, false]);
  state.note(`${replay(2)}/0`, ledger);
  expect(state.replays.of("test").map(({ ended }) => ended.size)).toEqual([0, 1]);
  state.note(replay(1), "");
  expect(state.replays.of("test")).toHaveLength(1);
});

test("keys and values together have a limit too", () => {
  const state = new DesiredState(undefined);
  const large = "x".repeat(1024 * 1024);
  let kept = 0;
  while (state.note(`rotation/${kept}`, large)?.type === "unopened") kept += 1;
  expect(kept).toBe(31);
  expect(state.note("rotation/0", "x".repeat(2 * large.length))).toEqual({ type: "left out" });
  expect(state.note("rotation/0", "x")).toMatchObject({ type: "unopened" });
  expect(state.note("rotation/0", large)).toMatchObject({ type: "unopened" });
  expect(state.note(`pause/${large}/x`, "{}")).toEqual({ type: "left out" });
});
