import { expect, test } from "vitest";
import { budgetBytes, importedFiles, measure } from "./size.ts";

test("waybill alone is within its budget, and needs nothing else", async () => {
  const { clientBytes, browserBytes, runtimeDependencies, entries } = await measure();
  // Something was measured.
  for (const bytes of [browserBytes, ...Object.values(entries)]) expect(bytes).toBeGreaterThan(5_000);
  expect(clientBytes).toBeLessThanOrEqual(budgetBytes);
  expect(runtimeDependencies).toBe(0);
});

test("what the client imports needs no other package, whichever entry is imported", async () => {
  const files = await importedFiles();
  expect(files.length).toBeGreaterThan(50);
  expect(files.filter((file) => file.includes("node_modules/"))).toEqual([]);
});
