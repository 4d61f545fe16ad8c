import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { MUTANTS } from "./mutants/list.ts";
import { outOfDateIn } from "./mutants/mutant.ts";

const ROOT: string = fileURLToPath(new URL("..", import.meta.url));

test("each defect that `npm run mutants` tries is in its file exactly once, and its tests are there", () => {
  expect(MUTANTS.length).toBeGreaterThan(300);
  const outOfDate = MUTANTS.map((mutant) => [mutant.name, outOfDateIn(ROOT, mutant)]);
  expect(outOfDate.filter(([, why]) => why !== undefined)).toEqual([]);
});
