import { SeededRandom } from "@waybill/testing";
import { Distance } from "./distance.ts";
import { pause, USERS } from "./load.ts";
import { Scene, type Tally } from "./scene.ts";

export interface KillsResult extends Tally {
  readonly kills: number;
  readonly seed: number;
  readonly roundTripMs: number;
  readonly users: number;
  /** Requests on their way when the relay was killed: at most, and on average. */
  readonly mostInFlight: number;
  readonly meanInFlight: number;
  /** More than that must not come twice: what was in flight, or had no good answer. */
  readonly twiceAtMost: number;
}

/** Time between a start and the next kill. */
const LIFE_MIN_MS = 50;
const LIFE_MAX_MS = 800;
const ROUND_TRIP_MS = 50;
/** What a dead relay had sent has arrived by then. */
const ON_THE_WIRE_MS = 10;
/** Small, so that it takes several requests at once to keep up with the load. */
const BATCH_EVENTS = 50;

/**
 * SIGKILL at random moments under load, with several requests on their way to a vendor some way
 * off; the relay is started again each time.
 */
export async function runKills(kills: number, seed: number): Promise<KillsResult> {
  const random = new SeededRandom(seed);
  const distance = new Distance(ROUND_TRIP_MS);
  const scene = await Scene.open({
    distance,
    destination: (url) => ({ url, writeKey: "bench", batch: { maxEvents: BATCH_EVENTS } }),
  });
  await scene.start();
  scene.load(random);
  for (let kill = 0; kill < kills; kill++) {
    await pause(LIFE_MIN_MS + random.next() * (LIFE_MAX_MS - LIFE_MIN_MS));
    // The vendor has its own troubles meanwhile.
    if (random.chance(0.3))
      scene.emulator.fail({ kind: random.pick(["resetAfter", "reset", "status"] as const), times: 2 });
    distance.cut();
    await scene.relay.stop("SIGKILL");
    await pause(ON_THE_WIRE_MS);
    distance.restarted();
    await scene.start();
  }
  await pause(LIFE_MAX_MS);
  const tally = await scene.finish();
  scene.clear(tally);
  return {
    kills,
    ...tally,
    seed,
    roundTripMs: ROUND_TRIP_MS,
    users: USERS,
    mostInFlight: distance.mostAtOnce,
    meanInFlight: distance.meanAtCuts,
    twiceAtMost: distance.againAtMost,
  };
}
