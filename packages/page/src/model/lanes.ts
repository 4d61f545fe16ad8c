/** Which destinations are shown first, and how wide their flow is drawn. */
import type { Overview, OverviewDestination, OverviewEnvironment, RelayProblem } from "../api/types.ts";

/** Modes in which somebody has to act. */
const NEEDS_SOMEBODY = new Set(["failed", "halted", "paused"]);
/** Widths of a flow: none, up to 1, 10, 100, 1,000 events a second, and more. */
const FLOW_STEPS = [0, 1, 10, 100, 1_000] as const;

/** Those that need somebody first, then by name; only those whose name or vendor has the text. */
export function orderedDestinations(
  destinations: readonly OverviewDestination[],
  text: string,
): readonly OverviewDestination[] {
  const wanted = text.toLowerCase();
  const chosen = destinations.filter(({ name, vendor }) => `${name} ${vendor}`.toLowerCase().includes(wanted));
  const rank = ({ mode }: OverviewDestination): number => (NEEDS_SOMEBODY.has(mode) ? 0 : 1);
  return chosen.sort((one, other) => rank(one) - rank(other) || compare(one.name, other.name));
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

/**
 * A lane that delivers is idle for a moment between two requests: shown as it is, it would flicker.
 */
export function shownMode({ mode, eventsPerSecondOut }: OverviewDestination): OverviewDestination["mode"] {
  return mode === "idle" && eventsPerSecondOut > 0 ? "sending" : mode;
}

/** From 0, nothing flows, to 5. */
export function flowWidth(eventsPerSecond: number): number {
  return FLOW_STEPS.filter((step) => eventsPerSecond > step).length;
}

export function totalRefused(byReason: Readonly<Record<string, number>>): number {
  return Object.values(byReason).reduce((sum, value) => sum + value, 0);
}

/** `production/3` is a partition of an environment whose log is on Kafka. */
export function placeOf(name: string): { readonly environment: string; readonly partition: number | undefined } {
  const [, environment = name, partition] = /^([^/]+)\/(\d+)$/.exec(name) ?? [];
  return { environment, partition: partition === undefined ? undefined : Number(partition) };
}

/** As a reader knows it: `production`, `production, partition 3`. */
export function placeText(name: string): string {
  const { environment, partition } = placeOf(name);
  return partition === undefined ? environment : `${environment}, partition ${partition}`;
}

/** The relay that has the lane of a partition. */
export function relayOf(
  { cluster }: Overview,
  { environment: name, destination }: { readonly environment: string; readonly destination: string },
): string | undefined {
  const { environment, partition } = placeOf(name);
  const lane = cluster?.lanes.find(
    (one) => one.environment === environment && one.partition === partition && one.destination === destination,
  );
  return cluster?.relays.find(({ id }) => id === lane?.relay)?.name;
}

/** A destination, or its lane of one partition. */
export function destinationOf(
  { environments }: Overview,
  { environment: name, destination }: { readonly environment: string; readonly destination: string },
): OverviewDestination | undefined {
  const { environment, partition } = placeOf(name);
  const found = environments
    .find((one) => one.name === environment)
    ?.destinations.find((one) => one.name === destination);
  if (found === undefined || partition === undefined) return found;
  const { vendor, sources, partitions = [] } = found;
  const lane = partitions.find((one) => one.partition === partition);
  return lane && { ...lane, name: destination, vendor, ...(sources === undefined ? {} : { sources }) };
}

/** Names of logs: of environments, or of the partitions that they are in. */
export function logNames(environments: readonly OverviewEnvironment[]): readonly string[] {
  return environments.flatMap(({ name, destinations: [any] }) => {
    const { partitions, missingPartitions = [] } = any ?? {};
    if (partitions === undefined) return [name];
    const all = [...partitions.map(({ partition }) => partition), ...missingPartitions];
    return all.sort((one, other) => one - other).map((partition) => `${name}/${partition}`);
  });
}

/** Those that `name` stands for: itself, or the partitions of the environment. */
export function logsOf(environments: readonly OverviewEnvironment[], name: string): readonly string[] {
  const environment = environments.find((one) => one.name === name);
  return environment === undefined ? [name] : logNames([environment]);
}

/** The same, and of environments over all of their partitions, which come first. */
export function logsAndParts(environments: readonly OverviewEnvironment[]): readonly string[] {
  return environments.flatMap((environment) => [...new Set([environment.name, ...logNames([environment])])]);
}

/** Whether a problem is one of a destination: of a lane that is in it, or of all its lanes. */
export function concerns(
  problem: RelayProblem,
  { environment, destination }: { readonly environment: string; readonly destination: string },
): boolean {
  const [one, other] = [placeOf(problem.environment ?? ""), placeOf(environment)];
  const isAlike = one.partition === undefined || other.partition === undefined || one.partition === other.partition;
  return problem.destination === destination && one.environment === other.environment && isAlike;
}

/** No event has ever come, as far as this process and its log know. */
export function isFresh({ environments }: Overview): boolean {
  return environments.every(
    ({ sources, destinations }) =>
      sources.every(({ acceptedTotal, duplicatesTotal }) => acceptedTotal + duplicatesTotal === 0) &&
      destinations.every(({ account }) => account.accepted === 0),
  );
}

/** The same problem has the same key while it lasts. */
export function problemKey({
  code,
  environment = "",
  source = "",
  destination = "",
  relay = "",
}: RelayProblem): string {
  return [code, environment, source, destination, relay].join("\n");
}

/** What is read aloud when the list of problems changes; nothing while it does not. */
export function announcementOf(before: readonly RelayProblem[], after: readonly RelayProblem[]): string {
  const known = new Set(before.map(problemKey));
  const left = new Set(after.map(problemKey));
  const added = after.filter((one) => !known.has(problemKey(one)));
  const solved = before.filter((one) => !left.has(problemKey(one)));
  if (added.length > 0) return added.map(({ what, doThis }) => `${what} ${doThis}`).join(" ");
  if (solved.length === 0) return "";
  return after.length === 0 ? "Nothing is wrong any more." : `Solved: ${solved.map(({ what }) => what).join(" ")}`;
}
