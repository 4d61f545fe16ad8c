/**
 * `npm run bench -- <scenario> [--quick]`, or `compare --base COMMIT <scenario>`: the last line is
 * one JSON object; exit 1 when a promise is broken, 2 for a wrong call.
 */

import { COMPARED, compare } from "./compare.ts";
import * as faults from "./faults.ts";
import * as client from "./scenarios/client.ts";
import * as isolation from "./scenarios/isolation.ts";
import * as log from "./scenarios/log.ts";
import * as relay from "./scenarios/relay.ts";
import * as replay from "./scenarios/replay.ts";
import * as shutdown from "./scenarios/shutdown.ts";
import * as trace from "./scenarios/trace.ts";

interface Scenario<Size, Result> {
  readonly QUICK: Size;
  readonly FULL: Size;
  readonly run: (size: Size) => Promise<Result>;
  readonly failed: (result: Result) => boolean;
}

const runs =
  <Size, Result>({ run, failed, QUICK, FULL }: Scenario<Size, Result>) =>
  async (quick: boolean) =>
    failed(await run(quick ? QUICK : FULL));

const scenarios = new Map([
  ["client", runs(client)],
  ["relay", runs(relay)],
  ["log", runs(log)],
  ["trace", runs(trace)],
  ["replay", runs(replay)],
  ["faults", runs(faults)],
  ["isolation", runs(isolation)],
  ["shutdown", runs(shutdown)],
]);

const [name = "", ...args] = process.argv.slice(2);
const scenario = scenarios.get(name);
if (scenario !== undefined && (args.length === 0 || (args.length === 1 && args[0] === "--quick")))
  process.exitCode = (await scenario(args[0] === "--quick")) ? 1 : 0;
else if (name === "compare" && isComparison(args))
  await compare(args[1] as string, args[2] as string, args[3] === "--quick");
else {
  const usage =
    `usage: npm run bench -- ${[...scenarios.keys()].join("|")} [--quick]\n` +
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
