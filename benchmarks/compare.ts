/**
 * `npm run bench -- compare --base COMMIT SCENARIO`: the scenario of this checkout and of another
 * commit in five pairs; who goes first alternates, so that neither always has the warmer machine. A
 * pair's ratio is the geometric mean over the scenario's figures, this checkout's divided by the
 * commit's; above 1 this one is faster.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { say } from "./lib/result.ts";
import { round, summarise } from "./lib/statistics.ts";

const PAIRS = 5;
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024;
const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));
const RUNNER: string = fileURLToPath(new URL("./children/scenario.js", import.meta.url));

const execute = promisify(execFile);

type Json = Readonly<Record<string, unknown>>;
/** Names and values of what a result measured: more is better. */
type Figures = ReadonlyMap<string, number>;

const numbersOf = (source: Json, names: readonly string[], prefix = ""): (readonly [string, number])[] =>
  names.map((name) => [prefix + name, source[name] as number] as const);

/** What is compared of each scenario. */
const FIGURES: ReadonlyMap<string, (result: Json) => Figures> = new Map([
  [
    "relay",
    ({ cases }: Json) =>
      new Map(
        (cases as readonly Json[]).flatMap((one) =>
          numbersOf(
            one,
            ["requestsPerSecond", "endToEndEventsPerSecond"],
            // A commit of before a protocol had several cases names it alone.
            `${String(one["case"] ?? one["protocol"])} ${String(one["eventsPerRequest"])} `,
          ),
        ),
      ),
  ],
  [
    "isolation",
    (result: Json) =>
      new Map(["with", "without"].flatMap((name) => numbersOf(result[name] as Json, ["eventsPerSecond"], `${name} `))),
  ],
  ["client", (result: Json) => new Map(numbersOf(result, ["eventsPerSecond"]))],
  ["log", (result: Json) => new Map(numbersOf(result, ["megabytesPerSecond"]))],
  ["replay", (result: Json) => new Map(numbersOf(result, ["eventsPerSecond"]))],
]);

/** The scenarios that can be compared. */
export const COMPARED: readonly string[] = [...FIGURES.keys()];

/** `quick`: one short pair, which shows that it works and not how fast. */
export async function compare(base: string, scenario: string, quick: boolean): Promise<void> {
  const figuresOf = FIGURES.get(scenario);
  if (figuresOf === undefined) throw new Error(`compare knows ${COMPARED.join(", ")}, not ${scenario}`);
  const folder = mkdtempSync(join(tmpdir(), "waybill-compare-"));
  try {
    const commit = await checkOut(base, folder);
    say(`npm installs the packages of ${commit.slice(0, 7)}, some 500 MB on the disk, for as long as it is compared`);
    say("what npm has in its cache is not fetched; with WAYBILL_NO_INSTALL nothing is");
    const cache = process.env["WAYBILL_NO_INSTALL"] === undefined ? "--prefer-offline" : "--offline";
    await execute("npm", ["ci", "--no-audit", "--no-fund", cache], { cwd: folder });
    say(`building ${commit.slice(0, 7)}`);
    await execute("npm", ["run", "-s", "build"], { cwd: folder });
    const measure = async (root: string): Promise<Figures> => figuresOf(await measureOnce(root, scenario, quick));
    const ratios: number[] = [];
    const byFigure = new Map<string, number[]>();
    const pairs = quick ? 1 : PAIRS;
    for (let pair = 0; pair < pairs; pair++) {
      const roots = pair % 2 === 0 ? [ROOT, folder] : [folder, ROOT];
      const measured = new Map<string, Figures>();
      for (const root of roots) measured.set(root, await measure(root));
      const [here, there] = [measured.get(ROOT), measured.get(folder)] as [Figures, Figures];
      let logarithms = 0;
      // An older commit has not all cases.
      const common = [...here].filter(([name]) => there.has(name));
      for (const [name, value] of common) {
        const ratio = value / (there.get(name) as number);
        byFigure.set(name, [...(byFigure.get(name) ?? []), ratio]);
        logarithms += Math.log(ratio) / common.length;
      }
      ratios.push(Math.exp(logarithms));
      say(`pair ${pair + 1} of ${pairs}: ${round(ratios.at(-1) as number)}`);
    }
    const { median, spread } = summarise(ratios);
    const figures = Object.fromEntries([...byFigure].map(([name, list]) => [name, round(summarise(list).median)]));
    process.stdout.write(
      `${JSON.stringify({ scenario, ratio: round(median), spread: round(spread), base: commit, figures })}\n`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function checkOut(base: string, folder: string): Promise<string> {
  const git = async (...args: readonly string[]): Promise<string> =>
    (await execute("git", args, { cwd: ROOT })).stdout.trim();
  const commit = await git("rev-parse", "--verify", `${base}^{commit}`);
  await git("clone", "--quiet", "--shared", "--no-checkout", ROOT, folder);
  await git("-C", folder, "checkout", "--quiet", commit);
  return commit;
}

async function measureOnce(root: string, scenario: string, quick: boolean): Promise<Json> {
  const { stdout } = await execute(process.execPath, [RUNNER, root, scenario, ...(quick ? ["quick"] : [])], {
    maxBuffer: OUTPUT_MAX_BYTES,
  });
  return JSON.parse(stdout.trim().split("\n").at(-1) as string) as Json;
}
