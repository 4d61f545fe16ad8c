/** A short simulation of the log on Kafka; more is in cluster.heavy.test.ts. */
import { expect, test } from "vitest";
import { simulateCluster } from "./simulate.ts";

const STEPS = 60;
const SEEDS = 3;

test("every promise holds for a few seeds of relays before a cluster", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violations } = await simulateCluster(seed, STEPS);
    expect(violations, `repeat it with: npm run sim -- --engine kafka --seed ${seed} --steps ${STEPS}`).toEqual([]);
  }
});
