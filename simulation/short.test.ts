/** A short simulation; many seeds and the planted bugs are in simulation.heavy.test.ts. */
import { expect, test } from "vitest";
import { simulate } from "./simulate.ts";

const STEPS = 60;
const SEEDS = 3;

test("every promise holds for a few seeds", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violations } = await simulate(seed, STEPS);
    expect(violations, `repeat it with: npm run sim -- --seed ${seed} --steps ${STEPS}`).toEqual([]);
  }
});
