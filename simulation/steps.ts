/** What can be done, and what can go wrong, in one step of the simulation. */
import type { EmulatorFailure, SeededRandom } from "@waybill/testing";
import type { World, WorldStep } from "./world.ts";

/** Retention that a lane which is behind loses events to. */
const HARD_LIMIT_BYTES = 24_000;
const NEVER = { maxAgeMs: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY };

/** A kind of step: how often it is chosen beside the others, and what it does. */
export interface StepKind {
  readonly name: string;
  readonly weight: number;
  readonly run: (world: World) => void | Promise<void>;
}

const vendorFails = (name: string, weight: number, failure: (random: SeededRandom) => EmulatorFailure): StepKind => ({
  name,
  weight,
  run: (world) => world.pickVendor().fail(failure(world.random)),
});

const TRACK: StepKind = { name: "track", weight: 50, run: (world) => world.people.track() };
const FAULTS: readonly StepKind[] = [
  vendorFails("status5xx", 6, (random) => ({
    kind: "status",
    status: random.pick([500, 502, 503]),
    forMs: 1_000 + random.below(20_000),
  })),
  // Longer than an event may fail while others pass.
  vendorFails("longOutage", 2, (random) => ({ kind: "status", status: 503, forMs: 30_000 + random.below(150_000) })),
  { name: "poisonousEvent", weight: 6, run: (world) => world.people.trackPoison() },
  { name: "timePasses", weight: 2, run: (world) => world.clock.advance(5_000 + world.random.below(60_000)) },
  vendorFails("rateLimit429", 4, (random) => ({
    kind: "status",
    status: 429,
    retryAfter: String(1 + random.below(5)),
    times: 1 + random.below(3),
  })),
  vendorFails("resetBeforeActing", 3, (random) => ({ kind: "reset", times: 1 + random.below(3) })),
  vendorFails("resetAfterActing", 4, (random) => ({ kind: "resetAfter", times: 1 + random.below(3) })),
  vendorFails("hang", 2, () => ({ kind: "hang", times: 1 })),
  // Acts, and answers when nobody listens any more.
  vendorFails("slow", 2, () => ({ kind: "slow", delayMs: 3_000, times: 2 })),
  // Acts, then neither answers nor closes.
  vendorFails("halfClosed", 2, () => ({ kind: "slow", delayMs: 3_600_000, times: 1 })),
  vendorFails("partialRejection", 2, () => ({ kind: "partial", times: 1 })),
  { name: "credentialRotation", weight: 3, run: (world) => world.rotate() },
  { name: "processCrash", weight: 4, run: (world) => world.crash(() => world.disk.killProcess()) },
  { name: "powerCut", weight: 4, run: (world) => world.crash(() => world.disk.crash(world.random.fork())) },
  { name: "crashAtDiskOperation", weight: 4, run: (world) => world.crashSoon() },
  { name: "syncError", weight: 3, run: (world) => world.toggleSyncErrors() },
  { name: "fullDisk", weight: 3, run: (world) => world.toggleFullDisk() },
  { name: "bitRot", weight: 1, run: (world) => world.rot() },
  { name: "network", weight: 4, run: (world) => world.toggleNetwork() },
  { name: "clockJump", weight: 3, run: (world) => world.clock.jump(world.random.below(600_000) - 300_000) },
  { name: "configReload", weight: 3, run: (world) => world.reload() },
  { name: "pauseAndResume", weight: 3, run: (world) => world.pause() },
  {
    name: "retentionOvertakes",
    weight: 2,
    run: (world) => world.relay?.retain({ ...NEVER, hardMaxBytes: HARD_LIMIT_BYTES }),
  },
  { name: "hostileEvent", weight: 8, run: (world) => world.stranger.send() },
  { name: "hostileRequest", weight: 6, run: (world) => world.sendHostileRequest() },
  { name: "hostileAnswer", weight: 6, run: (world) => world.pickVendor().answerOddly(world.random) },
];
const BURST: StepKind = { name: "burst", weight: 8, run: (world) => world.people.burst() };
const STEPS: readonly StepKind[] = [TRACK, BURST, ...FAULTS];
const TOTAL_WEIGHT = STEPS.reduce((total, { weight }) => total + weight, 0);

/** Kinds of faults there are. */
export const FAULT_KINDS: readonly string[] = FAULTS.map(({ name }) => name);

/** What happens next. */
export function nextStep(random: SeededRandom): WorldStep {
  let roll = random.next() * TOTAL_WEIGHT;
  const kind = STEPS.find(({ weight }) => (roll -= weight) < 0) ?? TRACK;
  return { name: kind.name, isFault: FAULTS.includes(kind), run: kind.run };
}
