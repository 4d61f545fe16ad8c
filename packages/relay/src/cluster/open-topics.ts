/** The topics of an environment: made, or checked, before anything is written to them. */
import type { Clock } from "@waybill/core";
import type { RetentionLimits } from "@waybill/log";
import { type Broker, companionTopics, type OpenedTopic, openTopics } from "@waybill/log-kafka";
import type { KafkaConfig } from "../config/kafka-types.ts";
import type { DestinationConfig, EnvironmentConfig } from "../config/types.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";

interface TopicsOf {
  readonly config: Pick<EnvironmentConfig, "name">;
  readonly kafka: KafkaConfig;
  readonly broker: Broker;
  readonly runtime: { readonly clock: Clock };
  readonly retention: RetentionLimits;
  readonly report?: WriteLine;
}

export function companionsOf(
  { kafka, config }: Pick<TopicsOf, "kafka" | "config">,
  destinations: readonly DestinationConfig[],
): readonly string[] {
  return destinations.flatMap(({ name }) =>
    companionTopics(kafka.topicPrefix, { environment: config.name, destination: name }),
  );
}

/** **Errors**: `WAYBILL_LOG_TOPIC`, `BrokerError`. */
export async function openAll(
  { kafka, broker, runtime, report, retention }: TopicsOf,
  topics: readonly string[],
): Promise<readonly OpenedTopic[]> {
  const { partitions, replicationFactor, minInSyncReplicas, brokers } = kafka;
  const opened = await openTopics(broker, runtime.clock, {
    topics,
    partitions,
    replicationFactor,
    minInSyncReplicas,
    retention,
    bootstrap: brokers[0] ?? "",
  });
  for (const text of opened.warnings) report?.("config_warning", { text });
  return opened.topics;
}
