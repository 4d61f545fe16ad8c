/** `npm run sim -- --seeds N [--steps M]` or `-- --seed S`: the last line is one JSON object; exit 1 when a promise is broken. */
import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "1000" },
    steps: { type: "string", default: "60" },
  },
});
const steps = Number(values.steps);
const first = Number(values.seed ?? 1);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const startedAt = performance.now();
const faults: Record<string, number> = {};
let violations = 0;
let events = 0;
for (let seed = first; seed < first + count; seed++) {
  const result = await simulate(seed, steps);
  events += result.events;
  for (const [kind, times] of Object.entries(result.faults)) faults[kind] = (faults[kind] ?? 0) + times;
  if (result.violations.length === 0) continue;
  violations += 1;
  process.stdout.write(
    `seed ${seed} breaks a promise; repeat it with: npm run sim -- --seed ${seed} --steps ${steps}\n`,
  );
  for (const violation of result.violations) process.stdout.write(`  ${violation}\n`);
}
const seconds = (performance.now() - startedAt) / 1_000;
process.stdout.write(
  `${JSON.stringify({ seeds: count, steps, events, violations, faults, seconds: Number(seconds.toFixed(1)), seedsPerSecond: Number((count / seconds).toFixed(1)) })}\n`,
);
if (violations > 0) process.exitCode = 1;
