/** The fuzzer runs, shortly, on every parser; and what it once found stays fixed. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("a few seconds on each parser find no crash and no hang", { timeout: 120_000 }, async () => {
  const main = fileURLToPath(new URL("dist/main.js", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [main, "--minutes", "0.1"], { maxBuffer: 10_000_000 });
  const number = expect.any(Number) as number;
  const result = JSON.parse(stdout.trim().split("\n").at(-1) as string) as { readonly inputs: Record<string, number> };
  expect(result).toMatchObject({ minutes: 0.1, crashes: 0, hangs: 0, peakRssMb: number });
  expect(Object.keys(result.inputs).toSorted((a, b) => a.localeCompare(b))).toEqual([
    "config",
    "framing",
    "gzip",
    "headers",
    "pixel",
  ]);
  for (const inputs of Object.values(result.inputs)) expect(inputs).toBeGreaterThan(100);
});
