/**
 * `npm run crashpoints -- [--workloads N] [--appends M] [--strands N] [--steps M]`: the last line
 * is one JSON object; exit 1 when a recovery breaks a promise.
 */
import { parseArgs } from "node:util";
import { tryCorruption } from "./corruption.ts";
import { SUBSETS_MAX, tryCrashPoints } from "./crash-points.ts";
import { tryStrandPoints } from "./strand-points.ts";

const FAILURES_SHOWN = 20;
/** A lane that recovers has all its events to send again: fewer states of a point are tried. */
const STRAND_SUBSETS_MAX = 8;

const { values } = parseArgs({
  options: {
    workloads: { type: "string", default: "20" },
    appends: { type: "string", default: "60" },
    strands: { type: "string", default: "20" },
    steps: { type: "string", default: "80" },
  },
});
const appends = Number(values.appends);
const total = { operations: 0, points: 0, states: 0, recoveries: 0, failures: 0, sampled: 0, subsetsMax: SUBSETS_MAX };
const failures: string[] = [];
for (let seed = 1; seed <= Number(values.workloads); seed++) {
  const result = await tryCrashPoints({ seed, appends });
  for (const field of ["operations", "points", "states", "recoveries", "sampled"] as const)
    total[field] += result[field];
  failures.push(...result.failures);
}
const corruption = await tryCorruption(1, 20);
failures.push(...corruption.failures);
total.recoveries += corruption.bytes;
const strands = { workloads: Number(values.strands), operations: 0, points: 0, states: 0, failures: 0 };
const most = { strands: 0, parkedUsers: 0, givenUp: 0, removedBeyond: 0, flights: 0 };
for (let seed = 1; seed <= strands.workloads; seed++) {
  const result = await tryStrandPoints({ seed, steps: Number(values.steps), subsetsMax: STRAND_SUBSETS_MAX });
  for (const field of ["operations", "points", "states"] as const) strands[field] += result[field];
  strands.failures += result.failures.length;
  for (const field of Object.keys(most) as (keyof typeof most)[])
    most[field] = Math.max(most[field], result.most[field]);
  failures.push(...result.failures);
}
total.failures = failures.length;
for (const failure of failures.slice(0, FAILURES_SHOWN)) process.stdout.write(`${failure}\n`);
process.stdout.write(
  `${values.workloads} workloads of ${appends} appends; all subsets of up to ${Math.log2(SUBSETS_MAX)} effects that were not synced, ${SUBSETS_MAX} sampled ones at ${total.sampled} points with more; a bit turned in each of ${corruption.bytes} bytes; ${strands.workloads} workloads of a lane with strands\n`,
);
process.stdout.write(
  `${JSON.stringify({ ...total, corruptedBytes: corruption.bytes, strands: { ...strands, subsetsMax: STRAND_SUBSETS_MAX, most } })}\n`,
);
if (failures.length > 0) process.exitCode = 1;
