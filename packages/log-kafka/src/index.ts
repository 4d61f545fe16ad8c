/** The log on Kafka: many relays, one cluster. */

export type {
  Broker,
  BrokerErrorCode,
  CommitRequest,
  CommittedOffset,
  CommittedRequest,
  Deadline,
  Fetched,
  FetchedRecord,
  FetchRequest,
  GroupDescription,
  GroupMember,
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
export type { Checkpoint, PartitionRecord, Positions } from "./counting.ts";
export type { DuplicateRule } from "./duplicates.ts";
export { CLOCKS_DIFFER_MS } from "./duplicates.ts";
export { pickedEntry } from "./entry-parts.ts";
export type { KafkaTls } from "./kafka/link.ts";
export type { KafkaOptions } from "./kafka/options.ts";
export type { KafkaSasl } from "./kafka/sasl.ts";
export { KafkaBroker } from "./kafka-broker.ts";
export type { KeyedRecord } from "./keyed-topic.ts";
export { KeyedTopic } from "./keyed-topic.ts";
export type { LaneStatesOptions, OpenStateOptions } from "./lane-states.ts";
export { LaneStates } from "./lane-states.ts";
export type { MemberHost, MemberOptions, Tenure } from "./member.ts";
export { Member } from "./member.ts";
export { PartitionLog, type PartitionLogOptions } from "./partition-log.ts";
export type { KeyedEntry, KeysOf, Part } from "./partitioner.ts";
export { partitionOf, partsOf } from "./partitioner.ts";
export type { Place } from "./pending-append.ts";
export type { ProducerOptions } from "./producer.ts";
export { Producer } from "./producer.ts";
export type { NumberedIds, StoredRecord } from "./record-value.ts";
export { decodeValue, encodeValue, withNumberedIds } from "./record-value.ts";
export type { ReadRecord } from "./source.ts";
export { parseStateText, stateJson, stateText } from "./state-text.ts";
export type { Companion } from "./topic-names.ts";
export {
  COMPANIONS,
  companionTopic,
  companionTopics,
  desiredTopic,
  destinationGroup,
  eventsTopic,
  relaysTopic,
  topicNameFaults,
} from "./topic-names.ts";
export type { OpenedTopic, OpenedTopics, TopicsOptions } from "./topics.ts";
export { faultsOfTopics, openTopics } from "./topics.ts";
