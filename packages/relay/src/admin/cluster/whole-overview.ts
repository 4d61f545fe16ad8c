/**
 * The overviews of all relays as one. In each of them an environment has its sources as that relay
 * counts them, and its destinations with the lanes that the relay has.
 */
import type { EnvironmentConfig } from "../../config/types.ts";
import type { Overview, OverviewDestination, OverviewPartition, OverviewReplay, OverviewSource } from "../views.ts";
import type { OthersReports } from "./reports.ts";
import { earliest, grouped, latest, rounded, sumOf, sumOfAccounts, sumOfCounts } from "./sums.ts";
import { wholeProblems } from "./whole-problems.ts";

type OverviewEnvironment = Overview["environments"][number];

/** The modes of lanes, the one first that most needs to be seen. */
const WORST_FIRST: readonly OverviewPartition["mode"][] = [
  "failed",
  "halted",
  "paused",
  "waiting",
  "sending",
  "idle",
  "closed",
];

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

interface ConfiguredDestination {
  readonly name: string;
  readonly vendor: string;
  readonly sources?: readonly string[] | undefined;
}

/** A destination with the sums of its lanes, the worst mode and the earliest times. */
function overLanes(
  { name, vendor, sources }: ConfiguredDestination,
  given: readonly OverviewPartition[],
): OverviewDestination {
  const lanes = latest(given, {
    keyOf: ({ partition }) => String(partition),
    reportOf: ({ report }) => report,
  }).toSorted((one, other) => one.partition - other.partition);
  const mode = WORST_FIRST.find((one) => lanes.some((lane) => lane.mode === one)) ?? "closed";
  const worst = lanes.filter((lane) => lane.mode === mode);
  const [latestError] = lanes.toSorted((one, other) => (other.lastErrorAt ?? 0) - (one.lastErrorAt ?? 0));
  const [mostWaiting] = lanes.toSorted((one, other) => other.waitingEvents - one.waitingEvents);
  return {
    name,
    vendor,
    mode,
    reason: lanes.length === 0 ? "no relay has reported a lane of it" : (worst[0]?.reason ?? null),
    since: earliest(worst.map(({ since }) => since)),
    eventsPerSecondOut: rounded(sumOf(lanes, ({ eventsPerSecondOut }) => eventsPerSecondOut)),
    waitingEvents: sumOf(lanes, ({ waitingEvents }) => waitingEvents),
    waitingBytes: sumOf(lanes, ({ waitingBytes }) => waitingBytes),
    oldestAt: earliest(lanes.map(({ oldestAt }) => oldestAt)),
    inFlight: sumOverRelays(lanes, ({ inFlight }) => inFlight),
    inFlightLimit: sumOverRelays(lanes, ({ inFlightLimit }) => inFlightLimit),
    limitReason: mostWaiting?.limitReason ?? "",
    deadLetters: sumOf(lanes, ({ deadLetters }) => deadLetters),
    parkedEvents: sumOf(lanes, ({ parkedEvents }) => parkedEvents),
    lossAt: earliest(lanes.map(({ lossAt }) => lossAt)),
    lastError: latestError?.lastError ?? null,
    lastErrorAt: latestError?.lastErrorAt ?? null,
    account: sumOfAccounts(lanes.map(({ account }) => account)),
    ...(sources === undefined ? {} : { sources }),
    partitions: lanes,
  };
}

/** The lanes of a destination share the limit of their relay: each of them shows all of it. */
function sumOverRelays(lanes: readonly OverviewPartition[], valueOf: (lane: OverviewPartition) => number): number {
  const byRelay = grouped(lanes, ({ report }) => report.relay);
  return sumOf([...byRelay.values()], (own) => Math.max(...own.map(valueOf)));
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
