import { expect, test } from "vitest";
import { timeOf } from "../src/times.ts";
import { runHere } from "./lib/command.ts";

const NOW = Date.parse("2026-03-02T12:00:00Z");

test.each([
  ["0", 0],
  ["1767225600000", 1_767_225_600_000],
  ["2026-03-01", Date.parse("2026-03-01")],
  ["2026-03-01T10:00Z", Date.parse("2026-03-01T10:00:00Z")],
  ["2026-03-01T10:00:00.5+02:00", Date.parse("2026-03-01T08:00:00.500Z")],
  ["0s", NOW],
  ["250ms", NOW - 250],
  ["30s", NOW - 30_000],
  ["10m", NOW - 600_000],
  ["1h", NOW - 3_600_000],
  ["1h30m", NOW - 5_400_000],
  ["2d", NOW - 172_800_000],
  ["1w", NOW - 604_800_000],
  // Longer ago than there are times: from the beginning.
  ["99999w", 0],
])("%s is a time", (text, expected) => {
  expect(timeOf(text, NOW)).toBe(expected);
});

test.each(["", "yesterday", "1", "-1", "1 h", "h", "1y", "1h ago", "2026-13-01", "9".repeat(20), "March 1 2026"])(
  "%j is a time only if it is a number of milliseconds",
  (text) => {
    expect(timeOf(text, NOW)).toBe(/^\d$/.test(text) ? Number(text) : undefined);
  },
);

test("a time that is not one, and a range without time in it, are refused before anything is asked", async () => {
  const lane = "production/segment";
  for (const args of [
    ["trace", "x"],
    ["replay", "start", lane],
    ["dead-letters", "list", lane],
    ["log", "dump", "/nowhere"],
  ]) {
    const wrong = await runHere([...args, "--until", "soon"]);
    expect({ args, code: wrong.code }).toEqual({ args, code: 2 });
    expect(wrong.err).toMatch(/argument 'soon' is invalid\. It is not a time\. Write it as 2026-03-01T00:00:00Z, .*1h/);
    if (args[0] === "log") continue;
    const empty = await runHere([...args, "--since", "1h", "--until", "2h", "--admin", "http://127.0.0.1:9"]);
    expect({ args, code: empty.code }).toEqual({ args, code: 1 });
    expect(empty.err).toContain("--since is not before --until\n  They are 20");
  }
});
