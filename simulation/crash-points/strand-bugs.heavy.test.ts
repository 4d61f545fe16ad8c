import { expect, test } from "vitest";
import { STRAND_ORDER_BUGS } from "./strand-bugs.ts";
import { tryStrandPoints } from "./strand-points.ts";

const STEPS = 60;
const SUBSETS_MAX = 3;
/** One that knows duplicates by the keys of batches is among them. */
const SEEDS = [1, 2, 4, 8];
const BUGS = STRAND_ORDER_BUGS.map((bug) => [bug.name, bug] as const);

test.each(BUGS)("finds that %s", { timeout: 120_000 }, async (_name, { wrap, patch }) => {
  const undo = patch?.();
  try {
    for (const seed of SEEDS) {
      const options = { seed, steps: STEPS, subsetsMax: SUBSETS_MAX };
      const { failures } = await tryStrandPoints(wrap === undefined ? options : { ...options, wrap });
      if (failures.length > 0) return;
    }
    expect.fail("no crash point shows it");
  } finally {
    undo?.();
  }
});
