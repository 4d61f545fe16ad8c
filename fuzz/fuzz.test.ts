/** The fuzzer repeats an input, and knows a corpus for each target. */
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

interface Result {
  readonly inputs: number;
  readonly perTarget: Readonly<Record<string, number>>;
}

const run = async (...args: readonly string[]): Promise<Result> => {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], { maxBuffer: 10_000_000 });
  return JSON.parse(stdout.trim().split("\n").at(-1) as string) as Result;
};

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
