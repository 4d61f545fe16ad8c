/** What relays of a cluster report of themselves. */
import type { LaneEntry, RelayEntry } from "../../src/cluster/relay-directory.ts";

export function relayEntry(name: string, changes: Partial<RelayEntry> = {}): RelayEntry {
  return {
    id: `id-${name}`,
    name,
    version: "1.0.0",
    startedAtMs: 1,
    configDigest: "abc",
    appliedOffset: 0,
    faults: [],
    reloadErrors: [],
    lanes: [],
    lanesLeftOut: 0,
    isSelf: false,
    seenMs: 2_000,
    isMissing: false,
    ...changes,
  };
}

export function laneEntry(partition: number, changes: Partial<LaneEntry> = {}): LaneEntry {
  return {
    environment: "production",
    destination: "segment",
    partition,
    mode: "sending",
    position: 5,
    offset: 1,
    pendingEvents: 10 + partition,
    oldestPendingMs: 700,
    inFlight: 2,
    ...changes,
  };
}
