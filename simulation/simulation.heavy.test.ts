import { expect, test } from "vitest";
import { HUNT_SEEDS, hunt } from "./hunt.ts";
import { PLANTED_BUGS } from "./planted.ts";
import { simulate } from "./simulate.ts";
import { FAULT_KINDS } from "./steps.ts";

const STEPS = 60;
/** More take too long here; `npm run sim` runs as many as one likes. */
const SEEDS = 30;
/** Each bug is found at its own seed within seconds; where it is not, a hunt takes longer. */
const HUNT_TIMEOUT_MS = 300_000;

test("every promise holds for thirty seeds, and every kind of fault was injected", {
  timeout: 300_000,
}, async () => {
  const faults = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await simulate(seed, STEPS);
    expect(result.violations, `repeat it with: npm run sim -- --seed ${seed} --steps ${STEPS}`).toEqual([]);
    for (const [kind, count] of Object.entries(result.faults)) faults.set(kind, (faults.get(kind) ?? 0) + count);
  }
  expect([...faults.keys()].sort()).toEqual([...FAULT_KINDS].sort());
});

test("the same seed takes the same course", async () => {
  expect(await simulate(7, STEPS)).toEqual(await simulate(7, STEPS));
});

test.each(PLANTED_BUGS.map((bug) => [bug.name, bug] as const))(
  "finds the planted bug %s",
  { timeout: HUNT_TIMEOUT_MS },
  async (_name, bug) => {
    expect(
      await hunt(bug, { simulate, steps: STEPS }),
      `not found within ${HUNT_SEEDS} seeds: ${bug.what}`,
    ).toBeDefined();
  },
);
