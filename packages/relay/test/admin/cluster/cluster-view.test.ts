/** The cluster as any relay shows it: who has which lane, what waits, who is missing. */
import { expect, test } from "vitest";
import { clusterProblems } from "../../../src/admin/cluster/cluster-problems.ts";
import { type ClusterFacts, clusterOf, ownerOf } from "../../../src/admin/cluster/cluster-view.ts";
import { createMetrics } from "../../../src/admin/metrics/metrics.ts";
import type { Cluster } from "../../../src/admin/views.ts";
import type { RelayEntry } from "../../../src/cluster/relay-directory.ts";
import { laneEntry, relayEntry } from "../../lib/relay-entries.ts";

const NOW = 1_000_000;
const DESTINATIONS = [{ environment: "production", destination: "segment" }];

function relayOf(name: string, partitions: readonly number[], changes: Partial<RelayEntry> = {}): RelayEntry {
  return relayEntry(name, {
    lanes: partitions.map((partition) => laneEntry(partition)),
    isSelf: name === "one",
    ...changes,
  });
}

function shown(relays: readonly RelayEntry[], changes: Partial<ClusterFacts> & { readMs?: number } = {}): Cluster {
  const { readMs = 100, ...rest } = changes;
  return clusterOf({
    now: NOW,
    directory: { relays: () => relays, readMs },
    destinations: DESTINATIONS,
    partitions: 4,
    ...rest,
  });
}

test("each lane is shown with its relay and what waits, also those that nobody has", () => {
  const { lanes, relays } = shown([relayOf("one", [0, 1]), relayOf("two", [3])]);
  expect(lanes.map(({ partition, relay, mode }) => [partition, relay, mode])).toEqual([
    [0, "id-one", "sending"],
    [1, "id-one", "sending"],
    [2, null, "unowned"],
    [3, "id-two", "sending"],
  ]);
  expect(lanes[3]).toMatchObject({ pendingEvents: 13, oldestAt: NOW - 2_700, inFlight: 2 });
  expect(relays).toMatchObject([
    { name: "one", isSelf: true, lanes: 2, seenAt: NOW - 2_000, hasSameConfig: true, adminUrl: null },
    { name: "two", isSelf: false, lanes: 1 },
  ]);
});

test("an address that leads anywhere but to an admin API is not shown", () => {
  const urls = ["http://relay-2:8081", "javascript:alert(1)", "https://user:password@relay-2", "http://relay-2/?x"];
  const relays = urls.map((adminUrl, index) => relayOf(`relay-${index}`, [], { adminUrl }));
  expect(shown(relays).relays.map(({ adminUrl }) => adminUrl)).toEqual(["http://relay-2:8081", null, null, null]);
});

test("the lanes of a missing relay are nobody's, and it is named", () => {
  const missing = relayOf("two", [1, 2], { isMissing: true, seenMs: 20_000 });
  const cluster = shown([relayOf("one", [0, 3]), missing]);
  expect(cluster.lanes.map(({ relay }) => relay)).toEqual(["id-one", null, null, "id-one"]);
  expect(clusterProblems(cluster)).toMatchObject([
    { severity: "warning", code: "relay_missing", since: NOW - 20_000 },
    {
      code: "lanes_without_relay",
      environment: "production",
      destination: "segment",
      what: "No relay delivers 2 of 4 partitions to segment: 1, 2.",
    },
  ]);
});

test("of two relays that report a lane, the one that was heard of later has it", () => {
  const relays = [relayOf("one", [0], { seenMs: 100 }), relayOf("two", [0], { seenMs: 1_900 })];
  for (const both of [relays, relays.toReversed()]) {
    expect(shown(both).lanes[0]?.relay).toBe("id-one");
    expect(ownerOf(both, { environment: "production", destination: "segment", partition: 0 })?.id).toBe("id-one");
  }
});

test("a lane that a relay may have left out is not without a relay", () => {
  const cluster = shown([relayOf("one", [0], { lanesLeftOut: 3 })]);
  expect(cluster.lanes.map(({ mode }) => mode)).toEqual(["sending", "unknown", "unknown", "unknown"]);
  expect(cluster.relays[0]?.lanes).toBe(4);
  expect(clusterProblems(cluster)).toEqual([]);
});

test("when nothing could be read for long, that is what is wrong, and nobody is called missing", () => {
  const missing = relayOf("two", [1], { isMissing: true, seenMs: 20_000 });
  const cluster = shown([relayOf("one", [0]), missing], { readMs: 18_000 });
  expect(clusterProblems(cluster).map(({ code }) => code)).toEqual(["cluster_not_read"]);
  expect(cluster.lanes.map(({ mode }) => mode)).not.toContain("unowned");
});

test("relays with another configuration, and what relays could not carry out, are problems", () => {
  const other = relayOf("two", [2, 3], {
    configDigest: "def",
    faults: ["the key of production/web cannot be read"],
    reloadErrors: ["line 3"],
  });
  const codes = clusterProblems(shown([relayOf("one", [0, 1]), other])).map(({ code, what }) => [code, what]);
  expect(codes).toEqual([
    ["configurations_differ", "The configuration of this relay is not that of two."],
    ["relay_fault", "two: the key of production/web cannot be read"],
    ["relay_fault", "two: its last reload was refused: line 3"],
  ]);
});

test("what several relays report alike is one problem that names them", () => {
  const topic = "waybill.production: min.insync.replicas is 1";
  const relays = [
    relayOf("one", [0, 1], { faults: [topic] }),
    relayOf("two", [2, 3], { faults: ["its disk is full", topic] }),
    relayOf("three", [], { faults: [topic] }),
  ];
  expect(clusterProblems(shown(relays)).map(({ what, doThis }) => [what, doThis])).toEqual([
    [`one, two, three: ${topic}`, "See to it: the logs of these relays have more."],
    ["two: its disk is full", "See to that relay: its log has more."],
  ]);
});

test("a thousand partitions of a destination are one problem", () => {
  const problems = clusterProblems(shown([relayOf("one", [])], { partitions: 1_000 }));
  expect(problems).toHaveLength(1);
  expect(problems[0]?.what).toBe(
    "No relay delivers 1000 of 1000 partitions to segment: 0, 1, 2, 3, 4, 5, 6, 7 and 992 more.",
  );
});

test("the metrics have relays by state, lanes without one, and the lag of each partition", async () => {
  const nothing = (): readonly never[] => [];
  const cluster = shown([relayOf("one", [0, 1]), relayOf("two", [2], { isMissing: true, seenMs: 20_000 })]);
  const zero = (): number => 0;
  const metrics = createMetrics({
    lanes: nothing,
    sources: nothing,
    replays: nothing,
    environments: nothing,
    requests: nothing,
    heldBytes: zero,
    keylessHeldBytes: zero,
    waitingBodies: zero,
    readAheadBytes: zero,
    takeBlockedMaxMs: zero,
    relay: () => ({ ready: true, loadedAtMs: 0, reloadedOk: true, disk: undefined }),
    cluster: () => cluster,
  });
  const lines = (await metrics.text()).split("\n").filter((line) => line.startsWith("waybill_cluster_"));
  expect(lines).toEqual([
    'waybill_cluster_relays{state="running"} 1',
    'waybill_cluster_relays{state="missing"} 1',
    "waybill_cluster_lanes_without_relay 2",
    'waybill_cluster_lag_events{environment="production",destination="segment",partition="0"} 10',
    'waybill_cluster_lag_events{environment="production",destination="segment",partition="1"} 11',
  ]);
});
