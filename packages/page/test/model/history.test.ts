import { expect, test } from "vitest";
import type { History } from "../../src/api/types.ts";
import { hourOf, summaryOf } from "../../src/model/history.ts";

const columns = { delivered: [20, 40], failedAttempts: [0, 10], p50Ms: [null, 12.5], p99Ms: [null, 80] };
const history: History = {
  stepMs: 10_000,
  from: 1_000_000,
  steps: 2,
  environments: [
    {
      name: "production",
      accepted: [10, 30],
      ...columns,
      destinations: [{ name: "a", ...columns, delivered: [1, 2] }],
    },
  ],
};

test("counts of a step become rates, with the second at which each step began", () => {
  expect(hourOf(history, "production", "")).toEqual({
    seconds: [1_000, 1_010],
    accepted: [1, 3],
    delivered: [2, 4],
    failedAttempts: [0, 1],
    p50Ms: [null, 12.5],
    p99Ms: [null, 80],
  });
});

test("of one destination everything but ingest is its own", () => {
  expect(hourOf(history, "production", "a")).toMatchObject({ accepted: [1, 3], delivered: [0.1, 0.2] });
  expect(hourOf(history, "production", "gone")).toBeUndefined();
  expect(hourOf(history, "gone", "")).toBeUndefined();
});

test("the summary skips steps without a value", () => {
  expect(summaryOf([5, null, 3, null])).toEqual({ last: 3, highest: 5 });
  expect(summaryOf([null])).toEqual({ last: undefined, highest: undefined });
});
