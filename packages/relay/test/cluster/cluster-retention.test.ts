import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { Checkpoints } from "../../src/cluster/checkpoints.ts";
import { ClusterRetention, NO_RELAYS } from "../../src/cluster/cluster-retention.ts";
import { Partitions } from "../../src/cluster/partitions.ts";
import { relayEntry } from "../lib/relay-entries.ts";
import { TOPIC } from "./lib/one-partition.ts";

test("nothing is removed of a partition whose lane is being opened anew", async () => {
  const clock = new VirtualClock();
  const broker = new SimCluster({ clock, random: new SeededRandom(1) }).connect("one");
  const checkpoints = new Checkpoints(broker, { group: TOPIC, topic: TOPIC });
  // Where nothing is open; the topic is not even there, so that reading it would fail.
  const partitions = new Partitions({
    broker,
    clock,
    checkpoints,
    prefix: "waybill",
    environment: "test",
    topic: TOPIC,
    count: 1,
    duplicates: { windowMs: 0, maxIds: 0, idsOf: () => new Uint32Array(0) },
    directoryOf: String,
    openEnvironment: () => Promise.reject(new Error("nothing is to be opened")),
    onBroken: () => undefined,
  });
  const lines: string[] = [];
  let isOwned = true;
  const self = relayEntry("one", { isSelf: true });
  const retention = new ClusterRetention({
    environment: "test",
    topic: TOPIC,
    broker,
    clock,
    partitions,
    checkpoints,
    groups: new Map([["segment", { owns: () => isOwned }]]),
    relays: { ...NO_RELAYS, selfId: self.id, relays: () => [self] },
    replays: { retain: () => Promise.resolve() },
    report: (code) => lines.push(code),
  });
  const retain = async (): Promise<void> => {
    const removing = retention.retain({ maxAgeMs: 0, maxBytes: 0, hardMaxBytes: 0 }, clock.now());
    let isDone = false;
    void removing.then(() => (isDone = true));
    await clock.until(() => isDone);
  };
  await retain();
  expect(lines).toEqual([]);
  isOwned = false;
  await retain();
  await clock.advance(60_000);
  await retain();
  expect(lines).toEqual(["records_not_removed"]);
});
