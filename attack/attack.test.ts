/**
 * What runs the attacks tells how they end; and what the security document says of them is true of
 * their names.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { Broken, Skipped } from "./lib/check.ts";
import { runAttacks } from "./lib/run.ts";
import { PLAIN } from "./lib/scenes.ts";
import type { Attack, Stage } from "./lib/stage.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MAIN = fileURLToPath(new URL("dist/main.js", import.meta.url));
const CASES_MIN = 50;
const LINE_MAX_CHARACTERS = 100;

interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Exit 1 is an answer too: a loaded machine blocks the event loop for longer than the goal. */
async function attack(...args: readonly string[]): Promise<Said> {
  try {
    const options = { maxBuffer: 10_000_000 };
    return { code: 0, ...(await promisify(execFile)(process.execPath, [MAIN, ...args], options)) };
  } catch (error) {
    return error as Said;
  }
}

async function names(...args: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await attack("--list", ...args);
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.slice(0, line.indexOf(":")));
}

test("a relay that ends by itself is the fault of its case, and the next case gets a new one", async () => {
  const lines: string[] = [];
  const pids: number[] = [];
  const play = (name: string, run: (stage: Stage) => void): Attack => ({
    name,
    holds: "",
    scene: PLAIN,
    run: async (stage) => {
      pids.push(stage.relay.pid);
      run(stage);
    },
  });
  const attacks = [
    play("lives", () => undefined),
    play("ends", ({ relay }) => process.kill(relay.pid, "SIGKILL")),
    play("lives-again", () => undefined),
    play("does-not-hold", () => {
      throw new Broken("seen");
    }),
    play("skips", () => {
      throw new Skipped("not here");
    }),
  ];
  const result = await runAttacks(attacks, (line) => lines.push(line));
  expect(result).toMatchObject({ cases: 4, survived: 2, failed: ["ends", "does-not-hold"], exits: 1 });
  expect(lines.map((line) => line.slice(0, 4).trim())).toEqual(["ok", "FAIL", "ok", "FAIL", "skip"]);
  expect(lines[1]).toContain("the relay ended by itself");
  expect(lines[3]).toContain(": seen");
  // One for the first two, one after the end, one after the failure.
  expect(new Set(pids).size).toBe(3);
});

test("cases have names of their own, one can be chosen, an unknown flag is refused", async () => {
  const all = await names();
  expect(all.length).toBeGreaterThanOrEqual(CASES_MIN);
  expect(new Set(all).size).toBe(all.length);
  for (const name of all) expect(name).toMatch(/^[a-z0-9]+(?:-[a-z0-9]+)*$/);
  expect(await names("--only", "vendor-status-0")).toEqual(["vendor-status-000", "vendor-status-099"]);
  expect((await attack("--onyl", "x")).code).toBe(2);
  expect((await attack("--only", "no such case")).code).toBe(2);
});

test("the security document names cases and files that exist, and keeps to its width", async () => {
  const text = readFileSync(`${ROOT}docs/operating/security.md`, "utf8");
  const known = new Set(await names());
  const quoted = [...text.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
  const shown = quoted.filter((name) => /^[a-z0-9]+(?:-[a-z0-9]+)+$|^[\w/-]+\/[\w.-]+\.ts$/.test(name));
  const missing = shown.filter((name) => !known.has(name) && !existsSync(`${ROOT}${name}`));
  expect(missing).toEqual([]);
  expect(shown.length).toBeGreaterThan(60);
  const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, path = ""]) => path);
  expect(links.filter((path) => !existsSync(`${ROOT}docs/operating/${path}`))).toEqual([]);
  expect(text.split("\n").filter((line) => line.length > LINE_MAX_CHARACTERS)).toEqual([]);
});
