/** The attacks run, a part of them, on a real relay. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("dist/main.js", import.meta.url));
const RUN_MAX_MS = 120_000;
/** Fetching Kafka, where it is the first time. */
const CLUSTER_MAX_MS = 500_000;

interface Result {
  readonly cases: number;
  readonly survived: number;
}

async function attack(...args: readonly string[]): Promise<{ readonly lines: string[]; readonly result: Result }> {
  // Exit 1 is an answer too: a loaded machine blocks the event loop for longer than the goal.
  const options = { maxBuffer: 10_000_000 };
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], options).catch(
    (error: unknown) => error as { readonly stdout: string },
  );
  const lines = stdout.trim().split("\n");
  return { lines, result: JSON.parse(lines.at(-1) ?? "") as Result };
}

test("the quick cases are survived", { timeout: RUN_MAX_MS }, async () => {
  const { lines, result } = await attack("--quick");
  const number = expect.any(Number) as number;
  const failed = lines.filter((line) => line.startsWith("FAIL"));
  expect(failed).toEqual([]);
  expect(result).toEqual({
    cases: lines.length - 1,
    survived: result.cases,
    failed: [],
    loopBlockedMsMax: number,
    peakRssMb: number,
    exits: 0,
  });
  expect(result.cases).toBeGreaterThan(20);
});

test("those of two relays before a Kafka are survived", { timeout: CLUSTER_MAX_MS }, async ({ skip }) => {
  const { lines, result } = await attack("--only", "cluster-");
  const skipped = lines.find((line) => line.startsWith("skip"));
  if (skipped !== undefined) skip(skipped);
  expect(lines.filter((line) => line.startsWith("FAIL"))).toEqual([]);
  expect(result).toMatchObject({ cases: 2, survived: 2, failed: [], exits: 0 });
});
