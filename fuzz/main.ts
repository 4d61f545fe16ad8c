/**
 * `npm run -s fuzz -- --minutes N [--seed S]`: damaged and hostile inputs for everything that
 * strangers, vendors, operators and disks send, N minutes for all targets together, two of them at
 * a time. The last line is one JSON object; exit 1 after a crash or a hang. `--target T` runs one
 * alone, `--at I` repeats one input, `--input FILE` runs a file.
 */
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { OPENING, Progress } from "./progress.ts";
import { TARGETS } from "./targets.ts";
import type { Crash, WorkerTask } from "./worker.ts";

const MINUTE_MS = 60_000;
const LOOK_EVERY_MS = 250;
/** No input needs so long for a few kilobytes, whatever else the machine does. */
const HANG_MS = 10_000;
/** To set a target up, or to take it down. */
const OPEN_MAX_MS = 60_000;
/** As many cores as it is meant for. */
const SLOTS = 2;
const REPORTED_MAX = 20;
const BASE64_SHOWN_MAX = 4_000;
/** A target whose worker dies again and again is not started for ever. */
const RESTARTS_MAX = 200;
/** How Node says that a promise will never settle. */
const NOTHING_LEFT = 13;
const MICROS_PER_MS = 1_000;

interface Result {
  inputs: number;
  slowestMs: number;
  slowestAt: number;
}

const { values: given } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    target: { type: "string" },
    at: { type: "string" },
    input: { type: "string" },
  },
});
const minutes = Number(given.minutes);
const seed = Number(given.seed);
const single = given.at !== undefined || given.input !== undefined;
if (
  !(minutes > 0) ||
  !Number.isInteger(seed) ||
  (given.target !== undefined && !Object.hasOwn(TARGETS, given.target)) ||
  (single && given.target === undefined)
) {
  process.stderr.write(
    `usage: npm run fuzz -- [--minutes N] [--seed S] [--target ${Object.keys(TARGETS).join("|")} [--at I | --input FILE]]\n`,
  );
  process.exit(2);
}

let crashes = 0;
let hangs = 0;
let peakRssMb = 0;
/** Crashes that look alike are shown once. */
const shown = new Set<string>();
const results = new Map<string, Result>();
const waiting = Object.keys(TARGETS).filter((name) => given.target === undefined || name === given.target);
const endsAtMs = performance.now() + minutes * MINUTE_MS;

await Promise.all(
  Array.from({ length: SLOTS }, async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      // What is left of the time, shared among those that this slot will still come to.
      const shareMs = Math.max(0, endsAtMs - performance.now()) / Math.ceil((waiting.length + 1) / SLOTS);
      await runTarget(name, performance.now() + shareMs);
    }
  }),
);
report();

/**
 * One target until its time is over. After a hang or a death of its worker it goes on after that
 * input.
 */
async function runTarget(name: string, untilMs: number): Promise<void> {
  const result: Result = { inputs: 0, slowestMs: 0, slowestAt: 0 };
  results.set(name, result);
  const first = Number(given.at ?? "0");
  const to = single ? first + 1 : Number.MAX_SAFE_INTEGER;
  for (let from = first, starts = 0; from < to && starts < RESTARTS_MAX; starts++) {
    const { progress, finished } = await runWorker(name, from, to, untilMs);
    result.inputs += progress.get("inputs");
    const slowestMs = progress.get("slowestMicros") / MICROS_PER_MS;
    if (slowestMs > result.slowestMs) Object.assign(result, { slowestMs, slowestAt: progress.get("slowestAt") });
    if (finished || progress.get("iteration") < 0) return;
    from = progress.get("iteration") + 1;
  }
}

function runWorker(
  name: string,
  from: number,
  to: number,
  untilMs: number,
): Promise<{ readonly progress: Progress; readonly finished: boolean }> {
  return new Promise((resolve) => {
    const progress = new Progress();
    progress.set("iteration", OPENING);
    const task: WorkerTask = { target: name, seed, progress: progress.shared, from, to, file: given.input };
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: task,
      execArgv: ["--no-warnings"],
    });
    let finished = true;
    let seenAt = OPENING;
    let seenAtMs = performance.now();
    const timer = setInterval(() => {
      peakRssMb = Math.max(peakRssMb, Math.round(process.memoryUsage.rss() / 1024 ** 2));
      const nowMs = performance.now();
      const at = progress.get("iteration");
      if (nowMs >= untilMs) progress.set("stop", 1);
      if (at !== seenAt) {
        seenAt = at;
        seenAtMs = nowMs;
      } else if (nowMs - seenAtMs > (at < 0 ? OPEN_MAX_MS : HANG_MS)) {
        finished = false;
        hangs += 1;
        say(`hang: ${name}, input ${at}; repeat it with ${repeat(name, at)}`);
        seenAtMs = Number.POSITIVE_INFINITY;
        void worker.terminate();
      }
    }, LOOK_EVERY_MS);
    worker.on("message", (crash: Crash) => showCrash(name, crash.iteration, crash.error, crash.input));
    worker.on("error", (error) => {
      finished = false;
      // Nobody caught it: what a callback or a promise threw, at this input or one shortly before.
      showCrash(name, progress.get("iteration"), `uncaught: ${error instanceof Error ? error.stack : String(error)}`);
    });
    worker.on("exit", (code) => {
      clearInterval(timer);
      if (code === NOTHING_LEFT && finished) {
        finished = false;
        hangs += 1;
        const at = progress.get("iteration");
        say(
          `hang: ${name}, input ${at} never ends and nothing is left to wait for; repeat it with ${repeat(name, at)}`,
        );
      } else if (code !== 0 && finished) {
        finished = false;
        showCrash(name, progress.get("iteration"), `the thread ended itself with ${code}`);
      }
      resolve({ progress, finished });
    });
  });
}

function showCrash(name: string, at: number, error: string, input = ""): void {
  crashes += 1;
  const alike = `${name} ${error.split("\n").slice(0, 3).join("\n").replaceAll(/\d+/g, "0")}`;
  if (shown.has(alike) || shown.size >= REPORTED_MAX) return;
  shown.add(alike);
  const bytes = input.length > BASE64_SHOWN_MAX ? `${input.slice(0, BASE64_SHOWN_MAX)}…` : input;
  say(`crash: ${name}, input ${at}; repeat it with ${repeat(name, at)}\n  base64 ${bytes}\n  ${error}`);
}

function repeat(name: string, at: number): string {
  if (at < 0) return `--seed ${seed} --target ${name}, ${at === OPENING ? "while it was set up" : "after its inputs"}`;
  return `--seed ${seed} --target ${name} --at ${at}`;
}

function report(): void {
  const all = [...results].map(([name, result]) => ({ name, ...result }));
  for (const { name, inputs, slowestMs, slowestAt } of all)
    say(
      `${name.padEnd(10)} ${inputs.toLocaleString("en").padStart(12)} inputs, slowest ${slowestMs.toFixed(1)} ms (--at ${slowestAt})`,
    );
  const slowest = all.toSorted((a, b) => b.slowestMs - a.slowestMs)[0];
  say(
    JSON.stringify({
      inputs: all.reduce((total, { inputs }) => total + inputs, 0),
      crashes,
      hangs,
      slowestMs: Number((slowest?.slowestMs ?? 0).toFixed(1)),
      slowest: slowest === undefined ? "" : repeat(slowest.name, slowest.slowestAt),
      minutes,
      perTarget: Object.fromEntries(all.map(({ name, inputs }) => [name, inputs])),
      peakRssMb,
    }),
  );
  process.exitCode = crashes + hangs > 0 ? 1 : 0;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
