/** A reload reaches every lane, also those that are being opened when it comes. */
import { ReadMemory } from "@waybill/log";
import { resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { ClusterEnvironment } from "../../src/cluster/cluster-environment.ts";

const PARTITIONS = 3;
/** Lanes are open after that, at the latest. */
const LATEST_MS = 60;
const STEP_MS = 3;

function configOf(writeKey: string): ReturnType<typeof resolveEnvironment> {
  return resolveEnvironment("test", {
    sources: { web: { protocol: "segment", writeKeys: ["in"] } },
    destinations: { segment: { vendor: "segment", url: "http://segment.test", writeKey } },
  });
}

async function openOn(clock: VirtualClock): Promise<ClusterEnvironment> {
  const ignore = (): void => undefined;
  const limits = { maxAgeMs: 86_400_000, maxBytes: 1e12, hardMaxBytes: 1e12 };
  let environment: ClusterEnvironment | undefined;
  const opening = ClusterEnvironment.open({
    config: configOf("old"),
    directory: "/data",
    runtime: { clock, random: new SeededRandom(2), disk: new SimDisk(), transport: () => new Promise(() => undefined) },
    dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
    memory: new ReadMemory(1_000_000),
    observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
    broker: new SimCluster({ clock, random: new SeededRandom(1) }).connect("one"),
    kafka: {
      brokers: ["kafka:9092"],
      topicPrefix: "waybill",
      partitions: PARTITIONS,
      replicationFactor: 3,
      minInSyncReplicas: 2,
      clientId: "one",
    },
    retention: limits,
    deadlineMs: 1_000,
  });
  void opening.then((opened) => (environment = opened));
  await clock.until(() => environment !== undefined);
  return opening;
}

test("lanes that are opened while a reload is under way have the new settings", async () => {
  for (let afterMs = 0; afterMs <= LATEST_MS; afterMs += STEP_MS) {
    const clock = new VirtualClock();
    const environment = await openOn(clock);
    environment.start();
    await clock.advance(afterMs);
    const { commit } = await environment.prepare(configOf("new"));
    await clock.advance(STEP_MS);
    void commit(1_000);
    await clock.until(() => environment.shards.length === PARTITIONS);
    await clock.advance(5_000);
    const lanes = environment.shards.map((shard) => shard.destination("segment"));
    const keys = lanes.map((lane) => JSON.stringify(lane?.config).includes('"new"'));
    expect(keys, `a reload after ${afterMs} ms`).toEqual([true, true, true]);
  }
});
