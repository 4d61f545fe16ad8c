/** Runs one target's inputs. Shared memory tells which one is at hand, so that a hang can be repeated. */
import { parentPort, workerData } from "node:worker_threads";
import { SeededRandom } from "@waybill/testing";
import { mutate } from "./mutate.ts";
import { TARGETS } from "./targets.ts";

const {
  target: name,
  seed,
  progress,
  from,
  to,
} = workerData as {
  readonly target: string;
  readonly seed: number;
  readonly progress: SharedArrayBuffer;
  readonly from: number;
  readonly to: number;
};
const target = TARGETS[name];
if (target === undefined) throw new Error(`no target ${name}`);
const at = new BigInt64Array(progress);

for (let iteration = from; iteration < to; iteration++) {
  Atomics.store(at, 0, BigInt(iteration));
  const input = mutate(new SeededRandom(seed + iteration), target.corpus, target.dictionary);
  try {
    const running = target.run(input);
    if (running !== undefined) await running;
  } catch (error) {
    parentPort?.postMessage({
      iteration,
      input: input.toString("base64"),
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  }
  if (Atomics.load(at, 1) !== 0n) break;
}
