import { expect, test } from "vitest";
import { HUNT_SEEDS, hunt } from "../hunt.ts";
import { CLUSTER_BUGS } from "./planted.ts";
import { simulateCluster } from "./simulate.ts";
import { CLUSTER_FAULT_KINDS } from "./steps.ts";

const STEPS = 60;
/** More take too long here; `npm run sim` runs as many as one likes. */
const SEEDS = 100;
/** Each bug is found within seconds of its own seed; where it is not, a hunt takes longer. */
const HUNT_TIMEOUT_MS = 600_000;

test("every promise holds for a hundred seeds, and every kind of fault was injected", {
  timeout: 600_000,
}, async () => {
  const faults = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await simulateCluster(seed, STEPS);
    const again = `repeat it with: npm run sim -- --engine kafka --seed ${seed} --steps ${STEPS}`;
    expect(result.violations, again).toEqual([]);
    for (const [kind, count] of Object.entries(result.faults)) if (count > 0) faults.add(kind);
  }
  expect(CLUSTER_FAULT_KINDS.filter((kind) => !faults.has(kind))).toEqual([]);
});

test("the same seed takes the same course", async () => {
  expect(await simulateCluster(7, STEPS)).toEqual(await simulateCluster(7, STEPS));
});

test.each(CLUSTER_BUGS.map((bug) => [bug.name, bug] as const))(
  "finds the planted bug %s",
  { timeout: HUNT_TIMEOUT_MS },
  async (_name, bug) => {
    const found = await hunt(bug, { simulate: simulateCluster, steps: STEPS });
    expect(found, `not found within ${HUNT_SEEDS} seeds: ${bug.what}`).toBeDefined();
  },
);
