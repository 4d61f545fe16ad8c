/** What the light tests have to have, so that they are few in time but not in what they show. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { pathsUnder } from "./tidy/tree.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CONFIG = readFileSync(join(ROOT, "vitest.config.ts"), "utf8");
/** As `vitest.config.ts` has them. */
const ROOMS = [...(/const ROOMS = \[([^\]]+)\]/.exec(CONFIG)?.[1] ?? "").matchAll(/"([\w-]+)"/g)].map(
  ([, room]) => room as string,
);
const tests = ROOMS.flatMap((room) => pathsUnder(ROOT, room)).filter((path) => path.endsWith(".test.ts"));
const light = tests.filter((path) => !path.endsWith(".heavy.test.ts"));
const textOf = (path: string): string => readFileSync(join(ROOT, path), "utf8");

test("every folder with tests is one that vitest looks into", () => {
  const folders = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() && !/^\.|^(?:node_modules|build|coverage|docs|tools)$/.test(entry.name) ? [entry.name] : [],
  );
  const tested = folders.filter((folder) => pathsUnder(ROOT, folder).some((path) => path.endsWith(".test.ts")));
  expect(ROOMS.toSorted()).toEqual(tested.toSorted());
});

test("most files are light, and each package has some", () => {
  expect(tests.length - light.length).toBeGreaterThan(10);
  expect(light.length / tests.length).toBeGreaterThan(0.7);
  for (const name of readdirSync(join(ROOT, "packages")))
    expect(light.filter((path) => path.startsWith(`packages/${name}/`)).length, name).toBeGreaterThan(2);
});

test("each contract suite, each model, a simulation and a relay in a process of its own are light", () => {
  const helpers = pathsUnder(ROOT, "packages").filter((path) => /\/test\/lib\/.*\.ts$/.test(path));
  const texts = [...light, ...helpers].map(textOf);
  const suites = readdirSync(join(ROOT, "packages/testing/src/suites"))
    .filter((name) => name.startsWith("test-"))
    .map((name) => name.replace(/\.ts$/, "").replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase()));
  expect(suites.length).toBeGreaterThan(6);
  for (const suite of [...suites, "simulate", "runStrands"])
    expect(
      texts.filter((text) => new RegExp(`\\b${suite}\\(`).test(text)),
      suite,
    ).not.toEqual([]);
  expect(light.filter((path) => path.endsWith(".model.test.ts")).length).toBeGreaterThan(2);
  expect(textOf("packages/cli/test/cli.test.ts")).toMatch(/\bstart\(\["relay"\]/);
});
