import { expect, test } from "vitest";
import { type StrandPointsResult, tryStrandPoints } from "./strand-points.ts";

const STEPS = 60;
const SUBSETS_MAX = 3;
/** One that knows duplicates by the keys of batches is among them. */
const SEEDS = [1, 2, 4, 8, 14];

async function tryAll(options: Partial<Parameters<typeof tryStrandPoints>[0]>): Promise<readonly StrandPointsResult[]> {
  const results: StrandPointsResult[] = [];
  for (const seed of SEEDS)
    results.push(await tryStrandPoints({ seed, steps: STEPS, subsetsMax: SUBSETS_MAX, ...options }));
  return results;
}

test("at every crash point of a lane with strands no event is lost, sent out of order, in another batch or counted twice", {
  timeout: 120_000,
}, async () => {
  const results = await tryAll({});
  expect(results.flatMap(({ failures }) => failures)).toEqual([]);
  for (const { operations, points } of results) expect(points).toBe(operations + 1);
  const sum = (field: keyof StrandPointsResult["most"]): number =>
    results.reduce((total, { most }) => total + most[field], 0);
  // All that has to be tried was there.
  expect(Math.max(...results.map(({ most }) => most.strands))).toBeGreaterThan(8);
  for (const field of ["parkedUsers", "ahead", "removedBeyond", "joins", "givenUp"] as const)
    expect(sum(field), field).toBeGreaterThan(0);
});
