/**
 * `npm run -s fuzz -- --minutes N [--seed S]`: damaged inputs for every parser that looks at what strangers send, N minutes on each, side by side. The last line is one JSON
 * object; exit 1 after a crash or a hang. `--target T --at I` repeats one input.
 */
import { Worker } from "node:worker_threads";
import { TARGETS } from "./targets.ts";

const MINUTE_MS = 60_000;
const LOOK_EVERY_MS = 500;
/** No parser needs so long for a few kilobytes, whatever else the machine does. */
const HANG_MS = 10_000;
const REPORTED_MAX = 5;

interface Running {
  readonly name: string;
  readonly progress: SharedArrayBuffer;
  readonly worker: Worker;
  seenAt: bigint;
  seenAtMs: number;
}

const args = new Map<string, string>();
for (let index = 2; index < process.argv.length; index += 2)
  args.set(String(process.argv[index]).replace(/^--/, ""), process.argv[index + 1] ?? "");
const minutes = Number(args.get("minutes") ?? "1");
const seed = Number(args.get("seed") ?? "1");
const only = args.get("target");
const repeated = args.get("at");
if (!(minutes > 0) || !Number.isInteger(seed) || (only !== undefined && TARGETS[only] === undefined)) {
  process.stderr.write(
    `usage: npm run fuzz -- [--minutes N] [--seed S] [--target ${Object.keys(TARGETS).join("|")} [--at I]]\n`,
  );
  process.exit(2);
}

let crashes = 0;
let hangs = 0;
let peakRssMb = 0;
const from = Number(repeated ?? "0");
const to = repeated === undefined ? Number.MAX_SAFE_INTEGER : from + 1;
const names = Object.keys(TARGETS).filter((name) => only === undefined || name === only);
const running = new Map(names.map((name) => [name, start(name, from)] as const));
const inputs: Record<string, number> = {};
const endsAtMs = performance.now() + minutes * MINUTE_MS;

const timer = setInterval(() => {
  peakRssMb = Math.max(peakRssMb, Math.round(process.memoryUsage.rss() / 1024 ** 2));
  const nowMs = performance.now();
  for (const [name, one] of running) {
    const at = iterationOf(one);
    if (at !== one.seenAt) {
      one.seenAt = at;
      one.seenAtMs = nowMs;
    } else if (nowMs - one.seenAtMs > HANG_MS) {
      hangs += 1;
      process.stdout.write(`hang: ${name}, input ${at}; repeat with --seed ${seed} --target ${name} --at ${at}\n`);
      void one.worker.terminate();
      running.set(name, start(name, Number(at) + 1));
    }
  }
  if (nowMs >= endsAtMs || running.size === 0) finish();
}, LOOK_EVERY_MS);

function start(name: string, first: number): Running {
  const progress = new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT);
  const worker = new Worker(new URL("./worker.js", import.meta.url), {
    workerData: { target: name, seed, progress, from: first, to },
  });
  worker.on("message", ({ iteration, input, error }: { iteration: number; input: string; error: string }) => {
    crashes += 1;
    if (crashes <= REPORTED_MAX)
      process.stdout.write(`crash: ${name}, input ${iteration} (base64 ${input}): ${error}\n`);
  });
  worker.on("error", (error) => {
    crashes += 1;
    process.stdout.write(`crash: ${name}: ${error.stack}\n`);
  });
  worker.on("exit", () => {
    const one = running.get(name);
    if (one?.worker !== worker) return;
    inputs[name] = Number(iterationOf(one)) + 1 - from;
    running.delete(name);
  });
  return { name, progress, worker, seenAt: -1n, seenAtMs: performance.now() };
}

function iterationOf({ progress }: Running): bigint {
  return Atomics.load(new BigInt64Array(progress), 0);
}

function finish(): void {
  clearInterval(timer);
  for (const one of running.values()) inputs[one.name] = Number(iterationOf(one)) - from;
  for (const one of running.values()) Atomics.store(new BigInt64Array(one.progress), 1, 1n);
  for (const [name, count] of Object.entries(inputs))
    process.stdout.write(`${name.padEnd(10)} ${count.toLocaleString("en")} inputs\n`);
  process.stdout.write(`${JSON.stringify({ minutes, inputs, crashes, hangs, peakRssMb })}\n`, () =>
    process.exit(crashes + hangs > 0 ? 1 : 0),
  );
}
