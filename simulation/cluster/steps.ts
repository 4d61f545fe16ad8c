/** What can be done, and what can go wrong, in one step of the simulation of the cluster. */
import type { EmulatorFailure, SeededRandom } from "@waybill/testing";
import type { ChaosKind } from "@waybill/testing/kafka";
import { type ClusterStep, type ClusterWorld, REQUEST_FAULTS } from "./cluster-world.ts";
import { loseOffsets } from "./offsets-gone.ts";
import { cutOff, hide, killCoordinatorAndLeader, loseQuorum } from "./trouble.ts";

const REFUSED_MAX_MS = 4_000;

interface StepKind {
  readonly name: string;
  readonly weight: number;
  /** False when it was not possible. */
  readonly run: (world: ClusterWorld) => unknown;
}

const vendorFails = (name: string, weight: number, failure: (random: SeededRandom) => EmulatorFailure): StepKind => ({
  name,
  weight,
  run: (world) => world.pickVendor().fail(failure(world.random)),
});

const strikes = (name: string, weight: number, kind: ChaosKind): StepKind => ({
  name,
  weight,
  run: (world) => world.strike(kind),
});

const TRACK: StepKind = { name: "track", weight: 40, run: (world) => world.people.track() };
const BURST: StepKind = { name: "burst", weight: 8, run: (world) => world.people.burst() };
const FAULTS: readonly StepKind[] = [
  vendorFails("status5xx", 5, (random) => ({
    kind: "status",
    status: random.pick([500, 502, 503]),
    forMs: 1_000 + random.below(20_000),
  })),
  vendorFails("rateLimit429", 2, (random) => ({
    kind: "status",
    status: 429,
    retryAfter: String(1 + random.below(5)),
    times: 1 + random.below(3),
  })),
  vendorFails("resetBeforeActing", 2, (random) => ({ kind: "reset", times: 1 + random.below(3) })),
  vendorFails("resetAfterActing", 3, (random) => ({ kind: "resetAfter", times: 1 + random.below(3) })),
  vendorFails("hang", 2, () => ({ kind: "hang", times: 1 })),
  vendorFails("slow", 2, () => ({ kind: "slow", delayMs: 3_000, times: 2 })),
  vendorFails("partialRejection", 2, () => ({ kind: "partial", times: 1 })),
  { name: "hostileAnswer", weight: 3, run: (world) => world.pickVendor().answerOddly(world.random) },
  { name: "poisonousEvent", weight: 3, run: (world) => world.people.trackPoison() },
  { name: "credentialRotation", weight: 2, run: (world) => world.rotate() },
  { name: "configReload", weight: 3, run: (world) => world.reload() },
  { name: "pauseAndResume", weight: 3, run: (world) => world.pause() },
  { name: "timePasses", weight: 3, run: (world) => world.clock.advance(5_000 + world.random.below(50_000)) },
  { name: "network", weight: 4, run: (world) => world.toggleNetwork() },
  { name: "sentAgain", weight: 6, run: (world) => world.sendAgain() },
  { name: "relayKilled", weight: 5, run: (world) => world.killRelay() },
  { name: "relayLeaves", weight: 4, run: (world) => world.leave() },
  { name: "relayStoppedForLong", weight: 5, run: (world) => world.stopRelayForLong() },
  { name: "relayStopped", weight: 6, run: (world) => world.stopRelay() },
  { name: "hostileEvent", weight: 4, run: (world) => world.stranger.send() },
  { name: "hostileRequest", weight: 3, run: (world) => world.sendHostileRequest() },
  { name: "retentionOvertakes", weight: 4, run: (world) => world.retain() },
  { name: "crowdFails", weight: 1, run: (world) => world.crowd() },
  { name: "offsetsGone", weight: 3, run: (world) => loseOffsets(world, "gone") },
  { name: "offsetsOverwritten", weight: 1, run: (world) => loseOffsets(world, "overwritten") },
  { name: "commitAnswersLost", weight: 3, run: (world) => world.trouble("losesCommitAnswers") },
  { name: "sendsHang", weight: 3, run: (world) => world.trouble("hangsSends") },
  { name: "coordinatorAndLeaderKilled", weight: 3, run: killCoordinatorAndLeader },
  { name: "quorumLost", weight: 2, run: loseQuorum },
  {
    name: "relayCutOffFromBrokers",
    weight: 3,
    run: (world) => cutOff(world, world.random.pick(["silent", "refused"])),
  },
  { name: "relayHearsNothing", weight: 3, run: (world) => cutOff(world, "deaf") },
  { name: "relayCutOffFromClients", weight: 3, run: hide },
  strikes("relayIsolated", 5, "isolate"),
  strikes("brokerKilled", 4, "kill"),
  strikes("brokerLosesPower", 4, "power"),
  strikes("brokerStopped", 2, "stop"),
  strikes("brokerCutOff", 4, "cutOff"),
  strikes("brokerLags", 4, "lag"),
  strikes("brokerOlder", 3, "older"),
  strikes("leaderMoves", 5, "leader"),
  strikes("coordinatorMoves", 5, "coordinator"),
  strikes("memberExpelled", 5, "expel"),
  strikes("clusterFull", 2, "full"),
  strikes("requestsFail", 6, "requests"),
];
/** In the runs that have operators. */
const OPERATED: readonly StepKind[] = [
  { name: "replayBegins", weight: 24, run: (world) => world.operators?.begin() },
  { name: "replayCancelled", weight: 5, run: (world) => world.operators?.cancel() },
  { name: "forgetReplays", weight: 12, run: (world) => world.operators?.forget(world.clock.now()) },
  { name: "deadLettersRetried", weight: 24, run: (world) => world.operators?.retry() },
  { name: "deadLettersDiscarded", weight: 12, run: (world) => world.operators?.discard() },
  { name: "relayEndsAmidReplay", weight: 30, run: (world) => world.endAmidReplay() },
  { name: "eventsRefused", weight: 24, run: refuseEvents },
];

/** And until they are dead letters, if nothing is in the way. */
async function refuseEvents({ people, clock, random }: ClusterWorld): Promise<void> {
  people.trackInvalid();
  await clock.advance(random.below(REFUSED_MAX_MS));
}

/** In those that have callers. */
const CALLED: readonly StepKind[] = [{ name: "calls", weight: 50, run: (world) => world.call() }];
const STEPS: readonly StepKind[] = [TRACK, BURST, ...FAULTS];
/** What follows from the steps, and has to happen as well. */
const EFFECTS = [
  "tooFewInSync",
  "fencedCalls",
  "copiesInTheLog",
  "acceptedByAnotherRelay",
  "commitAnswerLost",
  "sendNeverSettles",
  "slowAcknowledgement",
  "expired",
  "longStates",
  "replayOfAll",
  "replayOfAPartition",
  "replayEndedByOperator",
  "replayForgotten",
  "replayHandedOver",
  "replayRequestSentAgain",
  "deadLettersToRetry",
  "deadLettersMarkedDiscarded",
  "callerAnswered",
  "callerAnsweredByAnotherRelay",
  "callerHearsStored",
  "callerNotAnsweredInTime",
];

const COUNTED = [...FAULTS, ...OPERATED, ...CALLED];

export const CLUSTER_FAULT_KINDS: readonly string[] = [
  ...COUNTED.map(({ name }) => name),
  ...EFFECTS,
  ...REQUEST_FAULTS.map((kind) => `request ${kind}`),
];

/** What happens next. */
export function nextClusterStep({ random, operators, callers }: ClusterWorld): ClusterStep {
  const steps = [...STEPS, ...(operators === undefined ? [] : OPERATED), ...(callers === undefined ? [] : CALLED)];
  let roll = random.next() * steps.reduce((total, { weight }) => total + weight, 0);
  const kind = steps.find(({ weight }) => (roll -= weight) < 0) ?? TRACK;
  return { name: kind.name, isFault: COUNTED.includes(kind), run: kind.run };
}
