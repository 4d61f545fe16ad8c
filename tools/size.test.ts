import { expect, test } from "vitest";
import { budgetBytes, measure } from "./size.ts";

test("waybill alone is within its budget, and needs nothing else", async () => {
  const { clientBytes, browserBytes, runtimeDependencies, entries } = await measure();
  // Something was measured.
  for (const bytes of [browserBytes, ...Object.values(entries)]) expect(bytes).toBeGreaterThan(5_000);
  expect(clientBytes).toBeLessThanOrEqual(budgetBytes);
  expect(runtimeDependencies).toBe(0);
});
