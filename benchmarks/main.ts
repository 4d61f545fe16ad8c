/** `npm run bench -- <scenario> [--quick]`: the last line is one JSON object; exit 1 when a promise is broken, 2 for a wrong call. */
import * as client from "./client.ts";
import * as faults from "./faults.ts";
import * as isolation from "./isolation.ts";
import * as log from "./log.ts";
import * as relay from "./relay.ts";
import * as replay from "./replay.ts";
import * as trace from "./trace.ts";

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
]);

const [name = "", flag, ...more] = process.argv.slice(2);
const scenario = scenarios.get(name);
if (scenario !== undefined && (flag === undefined || flag === "--quick") && more.length === 0)
  process.exitCode = (await scenario(flag === "--quick")) ? 1 : 0;
else {
  const usage = `usage: npm run bench -- ${[...scenarios.keys()].join("|")} [--quick]\n`;
  const asked = name === "--help" || flag === "--help";
  (asked ? process.stdout : process.stderr).write(usage);
  process.exitCode = asked ? 0 : 2;
}
