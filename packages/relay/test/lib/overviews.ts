/** Overviews as relays of a cluster answer them. */
import type { Overview, OverviewPartition } from "../../src/admin/views.ts";

export interface LaneOf {
  readonly partition: number;
  readonly relay: string;
  readonly changes?: Partial<OverviewPartition>;
}

/** A lane that has delivered all of `accepted` events but those that wait. */
export function overviewLane({ partition, relay, changes = {} }: LaneOf): OverviewPartition {
  const { waitingEvents = 0 } = changes;
  return {
    partition,
    report: { relay, epoch: 1, offset: 7 },
    mode: "idle",
    reason: null,
    since: null,
    eventsPerSecondOut: 0,
    waitingEvents,
    waitingBytes: 0,
    oldestAt: null,
    inFlight: 0,
    inFlightLimit: 4,
    limitReason: "as configured",
    deadLetters: 0,
    parkedEvents: 0,
    expiredLately: 0,
    lossAt: null,
    lastError: null,
    lastErrorAt: null,
    account: {
      accepted: 10,
      delivered: 10 - waitingEvents,
      rejected: 0,
      dropped: 0,
      droppedByReason: {},
      expired: 0,
      pending: waitingEvents,
      balanced: true,
    },
    ...changes,
  };
}

/** Of a relay with one source and one destination. */
export function overviewOf(lanes: readonly OverviewPartition[], changes: Partial<Overview> = {}): Overview {
  return {
    now: 1_000_000,
    version: "1.0.0",
    startedAt: 1,
    ready: true,
    environments: [
      {
        name: "production",
        sources: [
          {
            name: "web",
            protocol: "segment",
            eventsPerSecond: 0.1,
            acceptedTotal: 3,
            duplicatesTotal: 0,
            refusedByReason: { too_large: 1 },
            refusedRequestsByReason: {},
            lastSeenAt: null,
          },
        ],
        destinations: [
          {
            ...overviewLane({ partition: 0, relay: "" }),
            name: "segment",
            vendor: "segment",
            partitions: [...lanes],
          },
        ],
      },
    ],
    unknownSourceRequestsByReason: {},
    problems: [],
    replays: [],
    ...changes,
  };
}
