/** What the log on Kafka gets of a configuration. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, type RelayConfig } from "@waybill/relay";
import { VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import type { KafkaConfig } from "../../src/config/kafka.ts";
import { kafkaOptionsOf, topicsOf } from "../../src/config/kafka-connection.ts";

const clock = new VirtualClock();

function load(kafka: object): RelayConfig & { readonly kafka: KafkaConfig } {
  const environment = (key: string, ...destinations: readonly string[]): object => ({
    sources: { web: { protocol: "segment", writeKeys: [key] } },
    destinations: Object.fromEntries(destinations.map((name) => [name, { vendor: "segment", writeKey: "x" }])),
  });
  const environments = { production: environment("a", "crm", "hook"), staging: environment("b", "crm") };
  const text = JSON.stringify({ engine: "kafka", kafka: { brokers: ["k:9092"], ...kafka }, environments });
  return loadConfig({ file: "f", text, env: {} }) as RelayConfig & { readonly kafka: KafkaConfig };
}

test("the connection has what is set, and nothing else", () => {
  expect(kafkaOptionsOf(load({}).kafka, clock)).toEqual({ brokers: ["k:9092"], clientId: "waybill", clock });
  const sasl = { mechanism: "scram-sha-256", username: "u", password: "pass-0123456789" };
  expect(kafkaOptionsOf(load({ tls: true, sasl }).kafka, clock)).toEqual({
    brokers: ["k:9092"],
    clientId: "waybill",
    clock,
    tls: {},
    sasl: { ...sasl, mechanism: "SCRAM-SHA-256" },
  });
});

test("files of TLS are read; one that is gone since is said by its path", () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const ca = join(directory, "ca.crt");
  writeFileSync(ca, "CA");
  const { kafka } = load({});
  expect(kafkaOptionsOf({ ...kafka, tls: { ca } }, clock).tls).toEqual({ ca: "CA" });
  expect(() => kafkaOptionsOf({ ...kafka, tls: { cert: join(directory, "none") } }, clock)).toThrow(
    expect.objectContaining({
      code: "WAYBILL_CONFIG",
      message: expect.stringContaining("/none of kafka.tls") as string,
    }),
  );
});

test("each environment has a topic, and each destination three", () => {
  const config = load({ topicPrefix: "w", partitions: 6, replicationFactor: 2 });
  expect(topicsOf(config, config.kafka)).toEqual({
    topics: [
      "w.production",
      ...["dead", "marks", "fates"].map((name) => `w.production.crm.${name}`),
      ...["dead", "marks", "fates"].map((name) => `w.production.hook.${name}`),
      "w.staging",
      ...["dead", "marks", "fates"].map((name) => `w.staging.crm.${name}`),
    ],
    bootstrap: "k:9092",
    partitions: 6,
    replicationFactor: 2,
    minInSyncReplicas: 2,
    retention: { maxAgeMs: 604_800_000, hardMaxBytes: 20 * 1024 ** 3 },
  });
});
