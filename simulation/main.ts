/**
 * `npm run sim -- --seeds N [--steps M]`, `-- --seed S` or `-- --planted`, with `--engine kafka`
 * the relays before a cluster: the last line is one JSON object; exit 1 when a promise is broken,
 * or when a planted bug is not found.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { CLUSTER_BUGS } from "./cluster/planted.ts";
import { simulateCluster } from "./cluster/simulate.ts";
import { CLUSTER_FAULT_KINDS } from "./cluster/steps.ts";
import { type Found, HUNT_SEEDS, hunt } from "./hunt.ts";
import { PLANTED_BUGS } from "./planted.ts";
import { type Simulated, simulate } from "./simulate.ts";
import { FAULT_KINDS } from "./steps.ts";

/** Seeds a job takes at once, so that all jobs end at about the same time. */
const SEEDS_AT_ONCE = 50;
/** A planted bug is looked for from where it was found first, and from places further on. */
const HUNTS = "5";

interface Summary {
  events: number;
  tracesChecked: number;
  traceMismatches: number;
  orderViolations: number;
  readonly violations: { readonly seed: number; readonly what: readonly string[] }[];
  readonly faults: Record<string, number>;
}

/** Seeds that a process runs at once. */
interface Taken {
  readonly first: number;
  readonly count: number;
}

/** A bug, and how it is looked for. */
interface Hunted {
  readonly name: string;
  readonly what: string;
  readonly seed: number;
  readonly find: (first: number) => Promise<Found | undefined>;
}

interface Engine {
  readonly simulate: (seed: number, steps: number) => Promise<Simulated>;
  readonly faultKinds: readonly string[];
  readonly bugs: readonly Hunted[];
}

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "disk" },
    seed: { type: "string" },
    seeds: { type: "string", default: "1000" },
    first: { type: "string", default: "1" },
    steps: { type: "string", default: "60" },
    planted: { type: "boolean", default: false },
    hunts: { type: "string", default: HUNTS },
    jobs: { type: "string", default: String(availableParallelism()) },
  },
});
const steps = Number(values.steps);
const ENGINES: Readonly<Record<string, Engine>> = {
  disk: {
    simulate,
    faultKinds: FAULT_KINDS,
    bugs: PLANTED_BUGS.map((bug) => ({ ...bug, find: (first) => hunt(bug, { simulate, first, steps }) })),
  },
  kafka: {
    simulate: simulateCluster,
    faultKinds: CLUSTER_FAULT_KINDS,
    bugs: CLUSTER_BUGS.map((bug) => ({
      ...bug,
      find: (first) => hunt(bug, { simulate: simulateCluster, first, steps }),
    })),
  },
};
const engine = engineNamed(values.engine);

if (process.send !== undefined) serve();
else if (values.planted) await huntAll();
else if (values.seed !== undefined) report(await run(Number(values.seed), 1), 1, performance.now());
else await runAll(Number(values.first), Number(values.seeds));

function engineNamed(name: string): Engine {
  const found = ENGINES[name];
  if (found === undefined) throw new Error(`--engine is one of ${Object.keys(ENGINES).join(", ")}`);
  return found;
}

/** A child: runs the seeds that its parent sends. */
function serve(): void {
  process.on("message", ({ first, count }: Taken) => {
    void run(first, count).then((summary) => process.send?.(summary));
  });
}

async function run(first: number, count: number): Promise<Summary> {
  const summary = newSummary();
  for (let seed = first; seed < first + count; seed++) {
    const { violations: what, ...result } = await engine.simulate(seed, steps);
    add(summary, { ...result, violations: what.length > 0 ? [{ seed, what }] : [] });
  }
  return summary;
}

function newSummary(): Summary {
  return { events: 0, tracesChecked: 0, traceMismatches: 0, orderViolations: 0, violations: [], faults: {} };
}

function add(total: Summary, more: Readonly<Summary>): void {
  total.events += more.events;
  total.tracesChecked += more.tracesChecked;
  total.traceMismatches += more.traceMismatches;
  total.orderViolations += more.orderViolations;
  total.violations.push(...more.violations);
  for (const [kind, times] of Object.entries(more.faults)) total.faults[kind] = (total.faults[kind] ?? 0) + times;
}

/** Shares the seeds among processes. */
async function runAll(first: number, count: number): Promise<void> {
  const startedAt = performance.now();
  const total = newSummary();
  let next = first;
  const end = first + count;
  const work = async (): Promise<void> => {
    const child = fork(process.argv[1] as string, ["--engine", values.engine, "--steps", values.steps], {
      execArgv: process.execArgv,
    });
    const ended = endOf(child);
    for (; next < end; ) {
      const taken: Taken = { first: next, count: Math.min(SEEDS_AT_ONCE, end - next) };
      next += taken.count;
      child.send(taken);
      add(total, await Promise.race([answerOf(child), ended]));
    }
    child.disconnect();
    await ended.catch(() => undefined);
  };
  await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, work));
  report(total, count, startedAt);
}

async function answerOf(child: ChildProcess): Promise<Summary> {
  const [summary] = (await once(child, "message")) as [Summary];
  return summary;
}

async function endOf(child: ChildProcess): Promise<never> {
  await once(child, "exit");
  throw new Error("a process of the simulation ended amid its seeds");
}

function report(
  { events, tracesChecked, traceMismatches, orderViolations, violations, faults }: Summary,
  seeds: number,
  startedAt: number,
): void {
  const how = values.engine === "disk" ? "" : `--engine ${values.engine} `;
  for (const { seed, what } of violations) {
    say(`seed ${seed} breaks a promise; repeat it with: npm run sim -- ${how}--seed ${seed} --steps ${steps}`);
    for (const violation of what) say(`  ${violation}`);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const missing = engine.faultKinds.filter((kind) => (faults[kind] ?? 0) === 0);
  if (seeds >= 1_000 && missing.length > 0) say(`never injected: ${missing.join(", ")}`);
  say(
    JSON.stringify({
      seeds,
      steps: seeds * steps,
      events,
      violations: violations.length,
      tracesChecked,
      traceMismatches,
      orderViolations,
      faults,
      seconds: Number(seconds.toFixed(1)),
      seedsPerSecond: Number((seeds / seconds).toFixed(1)),
    }),
  );
  if (violations.length > 0) process.exitCode = 1;
}

/** Switches the planted bugs on, one at a time, and counts how many seeds it takes to see each. */
async function huntAll(): Promise<void> {
  const hunts = Number(values.hunts);
  const medianSeedsToFind: Record<string, number | null> = {};
  for (const bug of engine.bugs) {
    const needed: number[] = [];
    let seen = "";
    for (let place = 0; place < hunts; place++) {
      const found = await bug.find(bug.seed + place * HUNT_SEEDS);
      if (found === undefined) continue;
      needed.push(found.seeds);
      seen = found.violation;
    }
    needed.sort((a, b) => a - b);
    medianSeedsToFind[bug.name] = needed.length === hunts ? (needed[hunts >> 1] as number) : null;
    say(
      `${bug.name} (${bug.what}): ${needed.length === 0 ? "NOT FOUND" : `after ${needed.join(", ")} seeds: ${seen}`}`,
    );
  }
  const found = Object.values(medianSeedsToFind).filter((seeds) => seeds !== null).length;
  say(JSON.stringify({ planted: engine.bugs.length, found, medianSeedsToFind }));
  if (found < engine.bugs.length) process.exitCode = 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
