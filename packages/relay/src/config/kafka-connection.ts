/** What the log on Kafka needs of a configuration: its connection, and its topics. */
import { readFileSync } from "node:fs";
import { type Clock, messageOf, WaybillError } from "@waybill/core";
import { companionTopics, eventsTopic, type KafkaOptions, type TopicsOptions } from "@waybill/log-kafka";
import type { KafkaConfig } from "./kafka.ts";
import type { RelayConfig } from "./types.ts";

/** Reads the files of TLS. **Errors**: `WAYBILL_CONFIG` for one that cannot be read. */
export function kafkaOptionsOf({ brokers, clientId, tls, sasl }: KafkaConfig, clock: Clock): KafkaOptions {
  return {
    brokers,
    clientId,
    clock,
    ...(tls === undefined ? {} : { tls: filesOf(tls) }),
    ...(sasl === undefined ? {} : { sasl: { ...sasl, mechanism: MECHANISMS[sasl.mechanism] } }),
  };
}

const MECHANISMS = {
  plain: "PLAIN",
  "scram-sha-256": "SCRAM-SHA-256",
  "scram-sha-512": "SCRAM-SHA-512",
} as const;

function filesOf(paths: NonNullable<KafkaConfig["tls"]>): NonNullable<KafkaOptions["tls"]> {
  const entries = Object.entries(paths).flatMap(([name, path]: [string, string | undefined]) =>
    path === undefined ? [] : [[name, textOf(path)]],
  );
  return Object.fromEntries(entries) as NonNullable<KafkaOptions["tls"]>;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new WaybillError("WAYBILL_CONFIG", `${path} of kafka.tls cannot be read: ${messageOf(error)}`);
  }
}

/** All topics of the environments, and what they have to be like. */
export function topicsOf({ environments, retention }: RelayConfig, kafka: KafkaConfig): TopicsOptions {
  const { topicPrefix, partitions, replicationFactor, minInSyncReplicas, brokers } = kafka;
  return {
    topics: environments.flatMap(({ name: environment, destinations }) => [
      eventsTopic(topicPrefix, environment),
      ...destinations.flatMap(({ name }) => companionTopics(topicPrefix, { environment, destination: name })),
    ]),
    bootstrap: brokers[0] ?? "",
    partitions,
    replicationFactor,
    minInSyncReplicas,
    retention: { maxAgeMs: retention.maxAgeMs, hardMaxBytes: retention.hardMaxBytes },
  };
}
