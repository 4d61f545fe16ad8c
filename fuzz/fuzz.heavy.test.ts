/**
 * The fuzzer runs, shortly, on everything; and what it once found, which its corpus keeps, stays
 * fixed.
 */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("dist/main.js", import.meta.url));
const CORPUS = fileURLToPath(new URL("corpus", import.meta.url));
const NAMES = readdirSync(CORPUS).toSorted((a, b) => a.localeCompare(b));
/** Inputs that each target must generate after its corpus, however short the time. */
const MADE_MIN = 20;

interface Result {
  readonly inputs: number;
  readonly perTarget: Readonly<Record<string, number>>;
}

test("a few seconds on each target find no crash and no hang", { timeout: 300_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "--minutes", "0.4"], { maxBuffer: 10_000_000 });
  const result = JSON.parse(stdout.trim().split("\n").at(-1) as string) as Result;
  const number = expect.any(Number) as number;
  expect(result).toMatchObject({
    minutes: 0.4,
    inputs: number,
    crashes: 0,
    hangs: 0,
    slowestMs: number,
    peakRssMb: number,
  });
  expect(Object.keys(result.perTarget).toSorted((a, b) => a.localeCompare(b))).toEqual(NAMES);
  for (const [name, inputs] of Object.entries(result.perTarget))
    expect(inputs, name).toBeGreaterThanOrEqual(readdirSync(`${CORPUS}/${name}`).length + MADE_MIN);
  expect(result.inputs).toBe(Object.values(result.perTarget).reduce((total, inputs) => total + inputs, 0));
});
