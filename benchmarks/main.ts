/**
 * `npm run bench -- <scenario> [--quick]`, or `compare --base COMMIT <scenario>`: the last line is
 * one JSON object; exit 1 when a promise is broken, 2 for a wrong call. Some scenarios have flags
 * of their own, which `--help` lists.
 */
import { type ParseArgsConfig, parseArgs } from "node:util";

import { COMPARED, compare } from "./compare.ts";
import * as faults from "./faults.ts";
import * as client from "./scenarios/client.ts";
import * as distance from "./scenarios/distance.ts";
import * as isolation from "./scenarios/isolation.ts";
import * as kafka from "./scenarios/kafka.ts";
import * as limits from "./scenarios/limits.ts";
import * as log from "./scenarios/log.ts";
import * as poison from "./scenarios/poison.ts";
import * as relay from "./scenarios/relay.ts";
import * as replay from "./scenarios/replay.ts";
import * as shutdown from "./scenarios/shutdown.ts";
import * as sizing from "./scenarios/sizing.ts";
import * as trace from "./scenarios/trace.ts";

type Flags = NonNullable<ParseArgsConfig["options"]>;
type Values = Readonly<Record<string, string | boolean | undefined>>;

interface Scenario<Size, Result> {
  readonly QUICK: Size;
  readonly FULL: Size;
  readonly run: (size: Size) => Promise<Result>;
  readonly failed: (result: Result) => boolean;
  /** Flags beside `--quick`, and how they are called. */
  readonly FLAGS?: Flags;
  readonly USAGE?: string;
  /** What the flags make of a size; `undefined` for a wrong call. */
  readonly withFlags?: (size: Size, values: Values) => Size | undefined;
}

interface Runnable {
  readonly usage: string;
  /** Whether it failed; `undefined` for a wrong call. */
  readonly start: (args: readonly string[]) => Promise<boolean> | undefined;
}

const runs = <Size, Result>(scenario: Scenario<Size, Result>): Runnable => ({
  usage: scenario.USAGE ?? "",
  start(args) {
    const size = sizeOf(scenario, args);
    return size === undefined ? undefined : scenario.run(size).then(scenario.failed);
  },
});

function sizeOf<Size, Result>(
  { QUICK, FULL, FLAGS = {}, withFlags = (size) => size }: Scenario<Size, Result>,
  args: readonly string[],
): Size | undefined {
  try {
    const options: Flags = { ...FLAGS, quick: { type: "boolean" } };
    const values = parseArgs({ args: [...args], options, allowPositionals: false }).values as Values;
    return withFlags(values["quick"] === true ? QUICK : FULL, values);
  } catch {
    return undefined;
  }
}

const scenarios = new Map([
  ["client", runs(client)],
  ["distance", runs(distance)],
  ["poison", runs(poison)],
  ["relay", runs(relay)],
  ["log", runs(log)],
  ["trace", runs(trace)],
  ["replay", runs(replay)],
  ["faults", runs(faults)],
  ["isolation", runs(isolation)],
  ["kafka", runs(kafka)],
  ["limits", runs(limits)],
  ["shutdown", runs(shutdown)],
  ["sizing", runs(sizing)],
]);

const [name = "", ...args] = process.argv.slice(2);
const running = scenarios.get(name)?.start(args);
if (running !== undefined) process.exitCode = (await running) ? 1 : 0;
else if (name === "compare" && isComparison(args))
  await compare(args[1] as string, args[2] as string, args[3] === "--quick");
else {
  const flagged = [...scenarios].filter(([, { usage }]) => usage !== "");
  const usage =
    `usage: npm run bench -- ${[...scenarios.keys()].join("|")} [--quick]\n` +
    flagged.map(([title, { usage: flags }]) => `       npm run bench -- ${title} [--quick] ${flags}\n`).join("") +
    `       npm run bench -- compare --base COMMIT ${COMPARED.join("|")} [--quick]\n`;
  const asked = name === "--help" || args.includes("--help");
  (asked ? process.stdout : process.stderr).write(usage);
  process.exitCode = asked ? 0 : 2;
}

function isComparison([flag, commit, what = "", size]: readonly string[]): boolean {
  return (
    flag === "--base" && commit !== undefined && COMPARED.includes(what) && (size === undefined || size === "--quick")
  );
}
