/** The log on Kafka: many relays, one cluster. */

export type {
  Broker,
  BrokerErrorCode,
  CommitRequest,
  CommittedOffset,
  Deadline,
  Fetched,
  FetchedRecord,
  FetchRequest,
  GroupDescription,
  Heartbeat,
  HeartbeatAnswer,
  NewTopic,
  Offset,
  Produced,
  ProduceRequest,
  TopicDescription,
  TopicPartition,
} from "./broker.ts";
export { BrokerError } from "./broker.ts";
export type { KafkaTls } from "./kafka/link.ts";
export type { KafkaOptions } from "./kafka/options.ts";
export type { KafkaSasl } from "./kafka/sasl.ts";
export { KafkaBroker } from "./kafka-broker.ts";
