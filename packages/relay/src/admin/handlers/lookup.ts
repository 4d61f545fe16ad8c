import type { Destination } from "../../delivery/destination.ts";
import type { Environment } from "../../environment.ts";
import { problem } from "../../intake/answers.ts";
import { invalid, quoted, Refusal, unknown } from "../refusal.ts";
import type { AdminView } from "../view.ts";

/** Of an environment, over or not: each has files open until retention takes it. */
const REPLAYS_MAX = 200;

export function chosenEnvironment(view: AdminView, name: string): Environment {
  const environment = view.environment(name);
  if (environment !== undefined) return environment;
  const partitions = view.peers?.()?.partitions;
  if (partitions === undefined || view.plan().every((one) => one.environment !== name))
    throw unknown("unknown_environment", `There is no environment ${quoted(name)}.`);
  const message = `${quoted(name)} is in ${partitions} partitions: name one, ${quoted(name)}/0 to ${quoted(name)}/${partitions - 1}.`;
  throw invalid(message);
}

export interface ChosenLane {
  readonly environment: Environment;
  readonly destination: Destination;
}

interface LaneNames {
  readonly environment: string;
  readonly destination: string;
}

/** `undefined` as long as the lane is here. */
export function whyNotHere(
  view: AdminView,
  { environment, destination }: LaneNames,
  lane: ChosenLane,
): string | undefined {
  if (view.environment(environment)?.destination(destination) === lane.destination) return undefined;
  const where = view.peers?.() === undefined ? "is not configured any more" : "is not at this relay any more";
  return `${environment}/${destination} ${where}.`;
}

export function chosenLane(view: AdminView, params: LaneNames): ChosenLane {
  const environment = chosenEnvironment(view, params.environment);
  const destination = environment.destination(params.destination);
  if (destination === undefined)
    throw unknown("unknown_lane", `There is no destination ${environment.name}/${quoted(params.destination)}.`);
  return { environment, destination };
}

/** Refuses one more replay when there are as many as may be. */
export function checkRoomForReplay(kept: number): void {
  if (kept < REPLAYS_MAX) return;
  const detail = `There are ${REPLAYS_MAX} replays already; those that are over are removed after retention.maxAge.`;
  throw new Refusal(problem(409, "too_many_replays", detail));
}
