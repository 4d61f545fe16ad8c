import { SeededRandom } from "@waybill/testing";
import { pause } from "./load.ts";
import { Scene, type Tally } from "./scene.ts";

export interface TwoRelaysResult extends Tally {
  readonly rounds: number;
  /** The most, and the least, that ran of those that were started together. */
  readonly mostTogether: number;
  readonly leastTogether: number;
  /** Relays that came later, while one ran, and ran all the same. */
  readonly intruders: number;
  readonly seed: number;
}

const TOGETHER = 3;
const LIFE_MIN_MS = 50;
const LIFE_MAX_MS = 500;

/**
 * Several relays are started together on one data directory, again and again after a kill, with
 * requests to whichever run: one alone may.
 */
export async function runTwoRelays(rounds: number, seed: number): Promise<TwoRelaysResult> {
  const random = new SeededRandom(seed);
  const scene = await Scene.open();
  let mostTogether = 0;
  let leastTogether = TOGETHER;
  let intruders = 0;
  for (let round = 0; round < rounds; round++) {
    // From the second round on they find the lock of one that was killed.
    const running = await scene.startTogether(TOGETHER);
    mostTogether = Math.max(mostTogether, running);
    leastTogether = Math.min(leastTogether, running);
    if (running === 0) break;
    if (round === 0) scene.load(random);
    await pause(LIFE_MIN_MS + random.next() * (LIFE_MAX_MS - LIFE_MIN_MS));
    if (random.chance(0.3)) {
      intruders += await scene.startTogether(1);
      await pause(LIFE_MIN_MS);
    }
    await scene.killAll();
  }
  await scene.start();
  await pause(LIFE_MAX_MS);
  const tally = await scene.finish();
  scene.clear(tally);
  return { rounds, ...tally, mostTogether, leastTogether, intruders, seed };
}
