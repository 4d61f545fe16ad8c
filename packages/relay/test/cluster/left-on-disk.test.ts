/** A data directory of a relay with engine: disk that is given to one on Kafka. */
import { nodeClock } from "@waybill/node";
import { startRelay } from "@waybill/relay";
import { SeededRandom } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, configOf, startWorld } from "../lib/world.ts";

test("a relay on Kafka starts, and tells what the disk has that it does not deliver", async () => {
  const { relay, server, post, directory } = await startWorld({
    destinations: (url) => ({ emulator: { vendor: "segment", url, writeKey: "k", batch: { linger: "1h" } } }),
  });
  const batch = Array.from({ length: 7 }, (_, at) => ({
    type: "track",
    event: "E",
    userId: "u",
    messageId: `m-${at}`,
  }));
  await post("/v1/batch", { batch }, BASIC);
  await relay.stop();
  const config = configOf(directory, server.url, {
    extra: { engine: "kafka", kafka: { brokers: ["kafka:9092"], partitions: 2 } },
  });
  const lines: object[] = [];
  const note = (fields: object): void => void lines.push(fields);
  const cluster = new SimCluster({ clock: nodeClock, random: new SeededRandom(1), heartbeatIntervalMs: 200 });
  const next = await startRelay(config, {
    logger: { level: "info", info: note, warn: note, error: note, debug: note } as never,
    connectKafka: async () => cluster.connect("one"),
  });
  onTestFinished(() => next.stop());
  expect(lines).toContainEqual(
    expect.objectContaining({ code: "disk_log_left", environment: "test", destination: "emulator", events: 7 }),
  );
});
