/** The options of `engine: kafka`, as the file has them and as the relay works with them. */

/** Where the log is. */
export type Engine = "disk" | "kafka";

/** Paths of files in PEM. */
export interface KafkaTlsFiles {
  /** Absent: the CAs of Node. */
  readonly ca?: string | undefined;
  /** What the relay shows of itself, for brokers that want it. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

interface Sasl {
  readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
  readonly username: string;
  readonly password: string;
}

export interface ParsedKafka {
  readonly brokers: readonly string[];
  readonly tls?: true | KafkaTlsFiles | undefined;
  readonly sasl?: Sasl | undefined;
  readonly topicPrefix: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly minInSyncReplicas?: number | undefined;
  readonly clientId: string;
  readonly sealingKey?: string | undefined;
  readonly advertise?: string | undefined;
}

/** Of a relay whose log is on Kafka. */
export interface KafkaConfig {
  /** host:port of each. */
  readonly brokers: readonly string[];
  /** Absent: clear text. Without members: TLS with the CAs of Node. */
  readonly tls?: KafkaTlsFiles;
  readonly sasl?: Sasl;
  readonly topicPrefix: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly minInSyncReplicas: number;
  readonly clientId: string;
  /** Keys that are rotated are sealed with it. Absent: they cannot be rotated by the admin API. */
  readonly sealingKey?: string;
  /** URL of this relay's admin API, for the others. */
  readonly advertise?: string;
}
