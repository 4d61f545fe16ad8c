/** The attacks run, a part of them, on a real relay. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("dist/main.js", import.meta.url));
const RUN_MAX_MS = 120_000;

test("the quick cases are survived", { timeout: RUN_MAX_MS }, async () => {
  // Exit 1 is an answer too: a loaded machine blocks the event loop for longer than the goal.
  const options = { maxBuffer: 10_000_000 };
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "--quick"], options).catch(
    (error: unknown) => error as { readonly stdout: string },
  );
  const lines = stdout.trim().split("\n");
  const number = expect.any(Number) as number;
  const result = JSON.parse(lines.at(-1) ?? "") as { readonly cases: number; readonly survived: number };
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
