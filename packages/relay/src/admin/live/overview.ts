/** The overview, made of what the relay shows of itself and what the sampler knows beside. */

import { partitionOf } from "../../cluster/partition-name.ts";
import type { EnvironmentConfig } from "../../config/types.ts";
import type { Destination } from "../../delivery/destination.ts";
import type { Environment } from "../../environment.ts";
import type { SourceTable } from "../../intake/sources.ts";
import type { TlsView } from "../../tls/tls-end.ts";
import { type LaneHere, overEnvironments } from "../cluster/whole-overview.ts";
import type { LaneFacts } from "../lane-problems.ts";
import { problemsOf, type RelayFacts, type SourceFacts } from "../problems.ts";
import type {
  Cluster,
  LaneView,
  Overview,
  OverviewDestination,
  OverviewPartition,
  OverviewSource,
  Readiness,
  ReplayView,
} from "../views.ts";
import type { RecentGrowth } from "./rates.ts";
import type { Sampler } from "./sampler.ts";

export interface OverviewParts {
  readonly now: number;
  readonly startedAt: number;
  readonly version: string;
  readonly readiness: Pick<Readiness, "ready" | "components">;
  readonly isStopping: boolean;
  readonly environments: readonly Environment[];
  readonly lanesOf: (environment: Environment) => readonly LaneView[];
  readonly sources: SourceTable | undefined;
  readonly sampler: Sampler;
  readonly refusedRequests: (environment: string, source: string) => Readonly<Record<string, number>>;
  readonly reload: RelayFacts["reload"];
  readonly disk: RelayFacts["disk"];
  readonly certificates: readonly TlsView[];
  /** Absent on the disk. */
  readonly cluster: Cluster | undefined;
  /** As configured, where logs are in partitions, which `environments` then are. */
  readonly inPartitions: readonly EnvironmentConfig[] | undefined;
}

type OverviewEnvironment = Overview["environments"][number];

const MINUTE_MS = 60_000;

export function overviewOf(parts: OverviewParts): Overview {
  const { now, startedAt, version, readiness, environments, sampler, cluster } = parts;
  const lanes: LaneFacts[] = [];
  const shown =
    parts.inPartitions === undefined
      ? environments.map((environment) => environmentOf(environment, parts, lanes))
      : overEnvironments(parts.inPartitions, lanesHere(parts, lanes), (name) => sourcesOf(name, parts));
  const replays = environments.flatMap((environment) => environment.replays.views());
  return {
    now,
    version,
    startedAt,
    ready: readiness.ready,
    environments: shown,
    unknownSourceRequestsByReason: parts.refusedRequests("", ""),
    problems: problemsOf(factsOf(parts, lanes, replays)),
    replays: replays.map((replay) => ({ ...replay, eventsPerSecond: sampler.replayRate(replay) })),
    ...(cluster === undefined ? {} : { cluster }),
  };
}

function factsOf(parts: OverviewParts, lanes: readonly LaneFacts[], replays: readonly ReplayView[]): RelayFacts {
  const { now, isStopping, readiness, sources, sampler, reload, disk, certificates, cluster } = parts;
  return {
    now,
    isStopping,
    components: readiness.components,
    lanes,
    replays,
    reload,
    disk,
    certificates,
    cluster,
    unknownSource: latelyOf(sampler.unknownSource.refusedKeys),
    sources: (sources?.sources ?? []).map(({ environment, config, counters }): SourceFacts => {
      const track = sampler.source(counters);
      return {
        environment: environment.name,
        source: config.name,
        refusedKeys: latelyOf(track.refusedKeys),
        refusedForMemory: latelyOf(track.refusedForMemory),
      };
    }),
  };
}

function latelyOf({ events, since }: RecentGrowth): { readonly count: number; readonly since: number | null } {
  return { count: events, since: since ?? null };
}

function environmentOf(environment: Environment, parts: OverviewParts, facts: LaneFacts[]): OverviewEnvironment {
  const { name } = environment;
  const destinations = shownLanes(environment, parts, facts).map(
    ({ lane, destination, figures }): OverviewDestination => {
      const { sources } = destination.config;
      return { name: lane.destination, vendor: lane.vendor, ...figures, ...(sources === undefined ? {} : { sources }) };
    },
  );
  return { name, sources: sourcesOf(name, parts), destinations };
}

/** Of partitions that are here. */
function lanesHere(parts: OverviewParts, facts: LaneFacts[]): readonly LaneHere[] {
  return parts.environments.flatMap((shard) => {
    const place = partitionOf(shard.name);
    if (place === undefined) return [];
    return shownLanes(shard, parts, facts).flatMap(({ lane: { destination, report }, figures }) =>
      report === undefined
        ? []
        : [{ environment: place.environment, destination, lane: { partition: place.partition, report, ...figures } }],
    );
  });
}

interface ShownLane {
  readonly lane: LaneView;
  readonly destination: Destination;
  readonly figures: LaneFigures;
}

function shownLanes(environment: Environment, parts: OverviewParts, facts: LaneFacts[]): readonly ShownLane[] {
  const shown: ShownLane[] = [];
  for (const lane of parts.lanesOf(environment)) {
    const destination = environment.destination(lane.destination);
    if (destination === undefined) continue;
    const figures = figuresOf(lane, destination, parts);
    shown.push({ lane, destination, figures });
    facts.push({
      environment: environment.name,
      destination: lane.destination,
      mode: lane.mode,
      reason: lane.reason,
      lastError: lane.lastError,
      waitingEvents: figures.waitingEvents,
      oldestAt: figures.oldestAt,
      lossAt: figures.lossAt,
      deadLetters: figures.deadLetters,
      parkedEvents: figures.parkedEvents,
      balanced: lane.account.balanced,
      troubles: parts.sampler.lane(destination).troubles(),
    });
  }
  return shown;
}

function sourcesOf(environment: string, parts: OverviewParts): readonly OverviewSource[] {
  const sources = (parts.sources?.sources ?? []).filter((source) => source.environment.name === environment);
  return sources.map(({ config, counters }) => {
    const track = parts.sampler.source(counters);
    return {
      name: config.name,
      protocol: config.protocol,
      eventsPerSecond: track.in.perSecond,
      acceptedTotal: counters.accepted,
      duplicatesTotal: counters.duplicates,
      refusedByReason: Object.fromEntries(counters.refusedByCode),
      refusedRequestsByReason: parts.refusedRequests(environment, config.name),
      lastSeenAt: track.lastSeenAt,
    };
  });
}

type LaneFigures = Omit<OverviewPartition, "partition" | "report">;

function figuresOf(lane: LaneView, destination: Destination, { now, sampler }: OverviewParts): LaneFigures {
  const track = sampler.lane(destination);
  const { modeSince, failingSince, expired } = track.troubles();
  return {
    mode: lane.mode,
    reason: lane.reason ?? null,
    since: modeSince ?? failingSince,
    eventsPerSecondOut: track.out.perSecond,
    waitingEvents: lane.account.pending,
    waitingBytes: lane.pendingBytes,
    oldestAt: lane.oldestPendingMs === undefined ? null : now - lane.oldestPendingMs,
    inFlight: lane.inFlight,
    inFlightLimit: lane.inFlightLimit,
    limitReason: lane.limitReason,
    deadLetters: lane.deadLetters.waiting,
    parkedEvents: lane.parkedEvents,
    expiredLately: expired,
    lossAt: lane.timeUntilLossMs === undefined ? null : inMinutes(now + lane.timeUntilLossMs),
    lastError: lane.lastError ?? null,
    lastErrorAt: lane.lastErrorAtMs ?? null,
    account: lane.account,
  };
}

/** It is a guess: were it exact, it would change with every look. */
function inMinutes(atMs: number): number {
  return Math.ceil(atMs / MINUTE_MS) * MINUTE_MS;
}
