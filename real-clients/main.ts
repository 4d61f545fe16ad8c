/**
 * `npm run -s real-clients [-- --json-line] [--no-install]`: every published SDK, unmodified,
 * through a relay that is killed and started again in the middle. A line for each SDK; with
 * `--json-line` the last line is one JSON object of figures instead. `--no-install` fetches
 * nothing and leaves out what is not there. Exit 1 when an event was lost or is there twice, when
 * an SDK failed or has no scenario, or when nothing was run.
 */
import { parseArgs } from "node:util";
import { findScenarios, type Outcome, obstacleOf, play, type Scenario } from "./scenario.ts";
import { installClients, installedVersion, SDKS } from "./setup.ts";
import { figuresOf, isGood, type Skipped, tableOf } from "./summary.ts";

const { values } = parseArgs({
  options: { "json-line": { type: "boolean", default: false }, "no-install": { type: "boolean", default: false } },
});
const missing = values["no-install"] ? undefined : await installClients();
if (missing !== undefined) progress(missing);
const scenarios = await findScenarios();
const skipped = scenarios.flatMap(skippedOf);
const outcomes: Outcome[] = [];
for (const scenario of scenarios) {
  if (obstacleOf(scenario) !== undefined) continue;
  progress(`${scenario.client}: ${scenario.how} …`);
  const outcome = await play(scenario);
  outcomes.push(outcome);
  if (outcome.failure !== undefined) progress(textOf(outcome.failure));
}
const forgotten = SDKS.filter((name) => !scenarios.some(({ client }) => client === name));
for (const { client, how, reason } of skipped) progress(`skipped: ${client}, ${how}: ${reason}`);
for (const name of forgotten) progress(`${name} is in the manifest and has no scenario in real-clients/clients`);
const isDone = isGood(outcomes) && forgotten.length === 0;
const result = values["json-line"] ? `${JSON.stringify(figuresOf(outcomes))}\n` : tableOf(outcomes, installedVersion);
// An SDK may keep timers and connections that would hold the process.
process.stdout.write(result, () => process.exit(isDone ? 0 : 1));

function skippedOf(scenario: Scenario): readonly Skipped[] {
  const reason = obstacleOf(scenario);
  return reason === undefined ? [] : [{ client: scenario.client, how: scenario.how, reason }];
}

/** For people who wait; the figures go to the standard output. */
function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

function textOf(failure: unknown): string {
  return failure instanceof Error ? (failure.stack ?? failure.message) : String(failure);
}
