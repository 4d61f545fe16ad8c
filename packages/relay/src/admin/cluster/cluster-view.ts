/** The whole cluster, made of what its relays tell of themselves. */
import type { LaneEntry, RelayDirectory, RelayEntry } from "../../cluster/relay-directory.ts";
import type { Cluster, ClusterLane } from "../views.ts";
import { originOf } from "./peers.ts";

export interface ClusterFacts {
  /** Epoch ms. */
  readonly now: number;
  readonly directory: Pick<RelayDirectory, "relays" | "readMs">;
  /** As configured here. */
  readonly destinations: readonly { readonly environment: string; readonly destination: string }[];
  /** Of each environment. */
  readonly partitions: number;
}

export type LaneName = Pick<LaneEntry, "environment" | "destination" | "partition">;

interface Owned {
  readonly relay: RelayEntry;
  readonly lane: LaneEntry;
}

/** Relays are missing after this time; when nothing was read for so long, that says nothing. */
const STALE_MS = 15_000;

export function clusterOf({ now, directory, destinations, partitions }: ClusterFacts): Cluster {
  const relays = directory.relays();
  const { readMs } = directory;
  const isStale = readMs >= STALE_MS;
  const self = relays.find(({ isSelf }) => isSelf);
  const owned = ownersOf(relays);
  // A lane that no relay reports may be one of those that were left out.
  const isWhole = !isStale && relays.every(({ isMissing, lanesLeftOut }) => isMissing || lanesLeftOut === 0);
  return {
    now,
    readAt: Math.round(now - readMs),
    isStale,
    relays: relays.map((relay) => ({
      id: relay.id,
      name: relay.name,
      version: relay.version,
      isSelf: relay.isSelf,
      startedAt: relay.startedAtMs,
      seenAt: Math.round(now - relay.seenMs),
      isMissing: relay.isMissing && !isStale,
      adminUrl: originOf(relay) ?? null,
      hasSameConfig: self === undefined || relay.configDigest === self.configDigest,
      lanes: relay.lanes.length + relay.lanesLeftOut,
      faults: [...relay.faults, ...relay.reloadErrors.map((error) => `its last reload was refused: ${error}`)],
    })),
    lanes: destinations.flatMap(({ environment, destination }) =>
      Array.from({ length: partitions }, (_, partition) => {
        const name = { environment, destination, partition };
        const lane = owned.get(keyOf(name));
        return lane === undefined ? withoutRelay(name, isWhole) : laneOf(lane, now);
      }),
    ),
  };
}

/** The relay that delivers a lane, as far as is known. */
export function ownerOf(relays: readonly RelayEntry[], lane: LaneName): RelayEntry | undefined {
  const { environment, destination, partition } = lane;
  const isIt = (one: LaneName): boolean =>
    one.partition === partition && one.destination === destination && one.environment === environment;
  return relays
    .filter(({ isMissing }) => !isMissing)
    .toSorted((a, b) => a.seenMs - b.seenMs)
    .find(({ lanes }) => lanes.some(isIt));
}

/** One that changes hands may be reported by two relays: the later report counts. */
function ownersOf(relays: readonly RelayEntry[]): ReadonlyMap<string, Owned> {
  const owned = new Map<string, Owned>();
  for (const relay of relays.toSorted((a, b) => b.seenMs - a.seenMs))
    if (!relay.isMissing) for (const lane of relay.lanes) owned.set(keyOf(lane), { relay, lane });
  return owned;
}

function withoutRelay(name: LaneName, isWhole: boolean): ClusterLane {
  const mode = isWhole ? "unowned" : "unknown";
  return { ...name, relay: null, mode, reason: null, pendingEvents: null, oldestAt: null, inFlight: 0 };
}

function laneOf({ relay, lane }: Owned, now: number): ClusterLane {
  const { environment, destination, partition, mode, reason, pendingEvents, oldestPendingMs, inFlight } = lane;
  return {
    environment,
    destination,
    partition,
    relay: relay.id,
    mode,
    reason: reason ?? null,
    pendingEvents,
    oldestAt: oldestPendingMs === undefined ? null : Math.max(0, Math.round(now - relay.seenMs - oldestPendingMs)),
    inFlight,
  };
}

export function keyOf({ environment, destination, partition }: LaneName): string {
  return `${environment}/${partition}/${destination}`;
}
