/**
 * The fuzzer runs, shortly, on everything; and what it once found, which its corpus keeps, stays
 * fixed.
 */
import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("dist/main.js", import.meta.url));
const CORPUS = fileURLToPath(new URL("corpus", import.meta.url));
const NAMES = [
  "answers",
  "config",
  "events",
  "files",
  "framing",
  "gzip",
  "headers",
  "pixel",
  "reload",
  "requests",
  "sockets",
];
/** Inputs that each target must generate after its corpus, however short the time. */
const MADE_MIN = 20;

interface Result {
  readonly inputs: number;
  readonly perTarget: Readonly<Record<string, number>>;
}

const run = async (...args: readonly string[]): Promise<Result> => {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], { maxBuffer: 10_000_000 });
  return JSON.parse(stdout.trim().split("\n").at(-1) as string) as Result;
};

test("a few seconds on each target find no crash and no hang", { timeout: 300_000 }, async () => {
  const result = await run("--minutes", "0.4");
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

test("the same seed makes the same input, which can be repeated alone or from a file", async () => {
  const [first, second] = await Promise.all([
    run("--target", "framing", "--seed", "7", "--at", "500"),
    run("--target", "framing", "--input", `${CORPUS}/framing/many-nan`),
  ]);
  expect(first).toMatchObject({ inputs: 1, crashes: 0, perTarget: { framing: 1 } });
  expect(second).toMatchObject({ inputs: 1, crashes: 0, perTarget: { framing: 1 } });
});

test("each target has a corpus, and no corpus is without its target", () => {
  expect(readdirSync(CORPUS).toSorted((a, b) => a.localeCompare(b))).toEqual(NAMES);
  expect(existsSync(MAIN), "built").toBe(true);
});
