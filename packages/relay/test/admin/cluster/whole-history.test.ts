/** The last hour over relays: steps that belong together, sums, and what stays when lanes move. */
import { expect, test } from "vitest";
import { wholeHistory } from "../../../src/admin/cluster/whole-history.ts";
import { PartitionedTrack } from "../../../src/admin/live/partitioned-track.ts";
import type { History } from "../../../src/admin/views.ts";
import { Durations } from "../../../src/delivery/lane-activity.ts";

const STEP = 10_000;

function hour(from: number, accepted: readonly number[], p99Ms: readonly (number | null)[] = []): History {
  const columns = {
    delivered: accepted.map((value) => value * 2),
    failedAttempts: accepted.map(() => 1),
    p50Ms: accepted.map(() => null),
    p99Ms: accepted.map((_, step) => p99Ms[step] ?? null),
  };
  return {
    stepMs: STEP,
    from,
    steps: accepted.length,
    environments: [{ name: "production", accepted, ...columns, destinations: [{ name: "segment", ...columns }] }],
  };
}

test("steps are added where they belong by their time, those of a relay that began earlier too", () => {
  const here = hour(100_000, [1, 2, 3], [5, null, 7]);
  const earlier = hour(79_000, [10, 20, 30, 40, 50], [9, 9, 9, 1]);
  const later = hour(121_000, [100, 200]);
  const whole = wholeHistory(here, [earlier, later], 360);
  expect([whole.from, whole.steps]).toEqual([80_000, 5]);
  const [{ accepted, delivered, failedAttempts, p99Ms, destinations } = hour(0, []).environments[0]!] =
    whole.environments;
  expect(accepted).toEqual([10, 20, 31, 42, 153]);
  expect(delivered).toEqual([20, 40, 62, 84, 306]);
  expect(failedAttempts).toEqual([1, 1, 2, 2, 3]);
  expect(p99Ms).toEqual([9, 9, 9, 1, 7]);
  expect(destinations).toMatchObject([{ name: "segment", delivered: [20, 40, 62, 84, 306] }]);
});

test("a relay that has just started shows what the others know, an hour at most", () => {
  const here = hour(200_000, []);
  const whole = wholeHistory(here, [hour(160_000, [1, 2, 3, 4])], 3);
  expect([whole.from, whole.steps, whole.environments[0]?.accepted]).toEqual([170_000, 3, [2, 3, 4]]);
});

test("what lanes did here stays when they have gone to another relay", () => {
  const track = new PartitionedTrack();
  const durations = new Durations();
  durations.note(20);
  track.add("segment", { delivered: 5, failedAttempts: 1 }, durations);
  track.add("segment", { delivered: 3, failedAttempts: 0 }, new Durations());
  track.add("crm", { delivered: 2, failedAttempts: 0 }, new Durations());
  track.write(0, 7);
  track.write(1, 7);
  expect(track.accepted.readTotals(2, 2)).toEqual([7, 0]);
  expect(track.columns.delivered.readTotals(2, 2)).toEqual([10, 0]);
  const segment = track.of("segment");
  expect(segment.delivered.readTotals(2, 2)).toEqual([8, 0]);
  expect(segment.failedAttempts.readTotals(2, 2)).toEqual([1, 0]);
  expect(segment.p50Ms.read(2, 2)).toEqual([expect.any(Number), null]);
});
