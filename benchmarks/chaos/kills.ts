import { SeededRandom } from "@waybill/testing";
import { pause, Scene, type Tally } from "./scene.ts";

export interface KillsResult extends Tally {
  readonly kills: number;
  readonly seed: number;
}

/** Time between a start and the next kill. */
const LIFE_MIN_MS = 50;
const LIFE_MAX_MS = 800;

/** SIGKILL at random moments under load; the relay is started again each time. */
export async function runKills(kills: number, seed: number): Promise<KillsResult> {
  const random = new SeededRandom(seed);
  const scene = await Scene.open();
  await scene.start();
  scene.load(random);
  for (let kill = 0; kill < kills; kill++) {
    await pause(LIFE_MIN_MS + random.next() * (LIFE_MAX_MS - LIFE_MIN_MS));
    // The vendor has its own troubles meanwhile.
    if (random.chance(0.3))
      scene.emulator.fail({ kind: random.pick(["resetAfter", "reset", "status"] as const), times: 2 });
    await scene.relay.stop("SIGKILL");
    await scene.start();
  }
  await pause(LIFE_MAX_MS);
  const tally = await scene.finish();
  scene.clear(tally);
  return { kills, ...tally, seed };
}
