/**
 * `npm run mutants [-- --only TEXT] [--list]`: puts one small defect after another into a copy of
 * the source and runs the tests nearest to it. A defect that no test notices has survived: the
 * behaviour it takes out is not tested. The last line is one JSON object; exit 1 when one survived,
 * 2 when the list is out of date.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MUTANTS } from "./mutants/list.ts";
import { type Mutant, type OutOfDate, outOfDateIn } from "./mutants/mutant.ts";

/** As many as there are cores in the machines that run it. */
const WORKERS = 2;
/** A defect that makes a loop endless is found by this. */
const TESTS_MAX_MS = 90_000;
/** Of all tests together, without a defect. */
const ALL_TESTS_MAX_MS = 900_000;
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024;
/** Of our own packages. */
const SCOPE = "@waybill";
const ROOT: string = fileURLToPath(new URL("..", import.meta.url));

type Verdict = "found" | "survived" | "does not compile" | OutOfDate;

const execute = promisify(execFile);
const [flag, only = ""] = process.argv.slice(2);
if (flag === "--list") for (const { name } of MUTANTS) process.stdout.write(`${name}\n`);
else if (flag === undefined || (flag === "--only" && only !== "")) process.exitCode = await main();
else {
  process.stderr.write("usage: npm run mutants [-- --only TEXT | --list]\n");
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const chosen = MUTANTS.filter(({ name }) => name.includes(only));
  const folders = Array.from({ length: WORKERS }, () => copyTree());
  try {
    const broken = await withoutDefect(folders[0] as string, chosen);
    if (broken !== undefined) {
      process.stderr.write(`the tests fail without any defect:\n${broken}\n`);
      return 2;
    }
    const verdicts = new Map<Mutant, Verdict>();
    const waiting = [...chosen];
    await Promise.all(
      folders.map(async (folder) => {
        for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
          const verdict = await judge(folder, mutant);
          verdicts.set(mutant, verdict);
          process.stdout.write(`${verdict.padEnd(9)} ${mutant.name}\n`);
        }
      }),
    );
    return report(verdicts);
  } finally {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
}

function report(verdicts: ReadonlyMap<Mutant, Verdict>): number {
  const named = (verdict: Verdict): string[] =>
    [...verdicts].flatMap(([{ name }, given]) => (given === verdict ? [name] : []));
  const [found, survived] = [named("found"), named("survived")];
  const stale = [...named("does not compile"), ...named("is not there exactly once"), ...named("its tests are gone")];
  if (stale.length > 0) process.stderr.write(`out of date, and not counted: ${stale.join("; ")}\n`);
  process.stdout.write(
    `${JSON.stringify({ mutants: found.length + survived.length, found: found.length, survived })}\n`,
  );
  if (stale.length > 0) return 2;
  return survived.length > 0 ? 1 : 0;
}

async function judge(folder: string, mutant: Mutant): Promise<Verdict> {
  const outOfDate = outOfDateIn(folder, mutant);
  if (outOfDate !== undefined) return outOfDate;
  const { file, find, replace, tests } = mutant;
  const path = join(folder, file);
  const original = readFileSync(path, "utf8");
  writeFileSync(
    path,
    original.replace(find, () => replace),
  );
  try {
    if (!(await compiles(folder, file))) return "does not compile";
    return (await failureOf(folder, tests)) === undefined ? "survived" : "found";
  } finally {
    writeFileSync(path, original);
  }
}

async function compiles(folder: string, file: string): Promise<boolean> {
  const project = file.split("/").slice(0, 2).join("/");
  try {
    await execute(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-b", project], { cwd: folder });
    return true;
  } catch {
    return false;
  }
}

/** `undefined` when the tests pass. */
async function failureOf(
  folder: string,
  tests: readonly string[],
  maxMs: number = TESTS_MAX_MS,
): Promise<string | undefined> {
  try {
    await execute(process.execPath, [join(ROOT, "node_modules/vitest/vitest.mjs"), "run", "--bail", "1", ...tests], {
      cwd: folder,
      timeout: maxMs,
      killSignal: "SIGKILL",
      maxBuffer: OUTPUT_MAX_BYTES,
      env: { ...process.env, CI: "true", NO_COLOR: "1" },
    });
    return undefined;
  } catch (error) {
    return (error as { readonly stdout?: string }).stdout ?? String(error);
  }
}

/** All tests together must pass, or a found defect says nothing. */
async function withoutDefect(folder: string, chosen: readonly Mutant[]): Promise<string | undefined> {
  return failureOf(folder, [...new Set(chosen.flatMap(({ tests }) => tests))], ALL_TESTS_MAX_MS);
}

/** The tracked files, with the packages of the copy where the original has its own. */
function copyTree(): string {
  const folder = mkdtempSync(join(tmpdir(), "waybill-mutants-"));
  for (const name of readdirSync(ROOT)) {
    if (["node_modules", ".git"].includes(name)) continue;
    cpSync(join(ROOT, name), join(folder, name), {
      recursive: true,
      filter: (path) => !/\/(?:node_modules|coverage)(?:\/|$)/.test(path.slice(ROOT.length - 1)),
    });
  }
  const own = new Map(
    readdirSync(join(ROOT, "packages")).map((name) => {
      const file = join(ROOT, "packages", name, "package.json");
      return [(JSON.parse(readFileSync(file, "utf8")) as { readonly name: string }).name, name] as const;
    }),
  );
  const modules = join(ROOT, "node_modules");
  for (const name of readdirSync(modules))
    if (name !== SCOPE && !own.has(name)) link(join(modules, name), join(folder, "node_modules", name));
  for (const [name, directory] of own) link(join(folder, "packages", directory), join(folder, "node_modules", name));
  return folder;
}

function link(target: string, at: string): void {
  mkdirSync(dirname(at), { recursive: true });
  symlinkSync(target, at);
}
