/**
 * Runs one target's inputs. Shared memory tells which one is at hand, so that a hang can be
 * repeated.
 */
import { readFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { SeededRandom } from "@waybill/testing";
import { readCorpus } from "./corpus.ts";
import { mutate } from "./mutate.ts";
import { CLOSING, Progress } from "./progress.ts";
import type { Target } from "./target.ts";
import { TARGETS } from "./targets.ts";

/** However short the time: so many generated inputs after the corpus. */
const MADE_MIN = 20;
const MICROS_PER_MS = 1_000;

export interface WorkerTask {
  readonly target: string;
  readonly seed: number;
  readonly progress: SharedArrayBuffer;
  readonly from: number;
  readonly to: number;
  /** One input, from a file, instead of made ones. */
  readonly file?: string | undefined;
}

export interface Crash {
  readonly iteration: number;
  /** Base64. */
  readonly input: string;
  readonly error: string;
}

const { target: name, seed, progress: shared, from, to, file } = workerData as WorkerTask;
const target = TARGETS[name] as Target;
const corpus = readCorpus(name);
const seeds = target.seeds?.(corpus) ?? corpus;
const progress = new Progress(shared);
const enough = file === undefined ? Math.min(to, seeds.length + MADE_MIN) : 1;
const opened = await target.open();

for (let iteration = from; iteration < to; iteration++) {
  if (progress.get("stop") !== 0 && iteration >= enough) break;
  progress.set("iteration", iteration);
  const input = file === undefined ? inputOf(iteration) : readFileSync(file);
  const startedAt = performance.now();
  try {
    const running = opened.run(input);
    if (running !== undefined) await running;
  } catch (error) {
    crashed(iteration, input, error);
  }
  const micros = (performance.now() - startedAt) * MICROS_PER_MS;
  progress.set("inputs", progress.get("inputs") + 1);
  if (micros > progress.get("slowestMicros")) {
    progress.set("slowestMicros", micros);
    progress.set("slowestAt", iteration);
  }
}
progress.set("iteration", CLOSING);
try {
  await opened.close?.();
} catch (error) {
  crashed(CLOSING, Buffer.alloc(0), error);
}
// What a failed end left behind must not keep the thread.
parentPort?.close();
process.exit(0);

function crashed(iteration: number, input: Buffer, error: unknown): void {
  const crash: Crash = {
    iteration,
    input: input.toString("base64"),
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  };
  parentPort?.postMessage(crash);
}

/** The corpus first, as it is; then what is made of it. */
function inputOf(iteration: number): Buffer {
  const kept = seeds[iteration];
  if (kept !== undefined) return kept;
  const random = new SeededRandom(seed + iteration);
  return target.make?.(random, seeds) ?? mutate(random, seeds, target.dictionary);
}
