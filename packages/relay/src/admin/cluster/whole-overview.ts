/**
 * The overviews of all relays as one. In each of them an environment has its sources as that relay
 * counts them, and its destinations with the lanes that the relay has.
 */
import type { EnvironmentConfig } from "../../config/types.ts";
import type { Overview, OverviewDestination, OverviewPartition, OverviewReplay, OverviewSource } from "../views.ts";
import { overLanes } from "./over-lanes.ts";
import type { OthersReports } from "./reports.ts";
import { grouped, rounded, sumOf, sumOfCounts } from "./sums.ts";
import { wholeProblems } from "./whole-problems.ts";

type OverviewEnvironment = Overview["environments"][number];

interface WholeParts {
  readonly partitions: number;
  readonly replays: readonly OverviewReplay[];
}

export function wholeOverview(
  here: Overview,
  others: OthersReports<Overview>,
  { partitions, replays }: WholeParts,
): Overview {
  const all = [here, ...others.found.map(({ value }) => value)];
  const environments = [
    ...grouped(
      all.flatMap((one) => one.environments),
      ({ name }) => name,
    ).values(),
  ].map((parts) => wholeEnvironment(parts, partitions));
  return {
    ...here,
    environments,
    unknownSourceRequestsByReason: sumOfCounts(all.map((one) => one.unknownSourceRequestsByReason)),
    problems: wholeProblems({ here, others, environments }),
    replays,
  };
}

function wholeEnvironment(parts: readonly OverviewEnvironment[], partitions: number): OverviewEnvironment {
  const byName = ({ name }: { readonly name: string }): string => name;
  const sources = grouped(
    parts.flatMap((one) => one.sources),
    byName,
  );
  const destinations = grouped(
    parts.flatMap((one) => one.destinations),
    byName,
  );
  return {
    name: parts[0]?.name ?? "",
    sources: [...sources.values()].map(wholeSource),
    destinations: [...destinations.values()].map((group) => {
      const whole = overLanes(
        group[0] as OverviewDestination,
        group.flatMap(({ partitions: lanes = [] }) => lanes),
      );
      const reported = new Set(whole.partitions?.map(({ partition }) => partition));
      const missingPartitions = Array.from({ length: partitions }, (_, partition) => partition).filter(
        (partition) => !reported.has(partition),
      );
      return { ...whole, missingPartitions };
    }),
  };
}

function wholeSource(group: readonly OverviewSource[]): OverviewSource {
  const seen = group.flatMap(({ lastSeenAt }) => lastSeenAt ?? []);
  return {
    ...(group[0] as OverviewSource),
    eventsPerSecond: rounded(sumOf(group, ({ eventsPerSecond }) => eventsPerSecond)),
    acceptedTotal: sumOf(group, ({ acceptedTotal }) => acceptedTotal),
    duplicatesTotal: sumOf(group, ({ duplicatesTotal }) => duplicatesTotal),
    refusedByReason: sumOfCounts(group.map(({ refusedByReason }) => refusedByReason)),
    refusedRequestsByReason: sumOfCounts(group.map(({ refusedRequestsByReason }) => refusedRequestsByReason)),
    lastSeenAt: seen.length === 0 ? null : Math.max(...seen),
  };
}

/** A lane that this relay has. */
export interface LaneHere {
  readonly environment: string;
  readonly destination: string;
  readonly lane: OverviewPartition;
}

/** Environments as configured, with the lanes that this relay has. */
export function overEnvironments(
  configured: readonly EnvironmentConfig[],
  lanes: readonly LaneHere[],
  sourcesOf: (environment: string) => readonly OverviewSource[],
): readonly OverviewEnvironment[] {
  return configured.map(({ name: environment, destinations }) => ({
    name: environment,
    sources: sourcesOf(environment),
    destinations: destinations.map((config) => {
      const { name: destination } = config;
      const own = lanes.filter((one) => one.environment === environment && one.destination === destination);
      return overLanes(
        config,
        own.map(({ lane }) => lane),
      );
    }),
  }));
}
