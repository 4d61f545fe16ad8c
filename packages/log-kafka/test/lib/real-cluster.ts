/** A real Kafka for the tests of a file, and what they do with it again and again. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection, incrementalAlterConfigsV1 } from "@platformatic/kafka";
import { nodeClock } from "@waybill/node";
import { afterAll, beforeAll, beforeEach, onTestFinished } from "vitest";
import {
  type Cluster,
  type ClusterOptions,
  startCluster,
  whyNoKafka,
} from "../../../../benchmarks/lib/kafka/cluster.ts";
import {
  type Broker,
  BrokerError,
  type FetchedRecord,
  KafkaBroker,
  type KafkaOptions,
  type TopicPartition,
} from "../../src/index.ts";

/** Fetching, three cold processes on a slow machine. */
const START_MAX_MS = 400_000;
const CALL_MS = 5000;
const AGAIN_AFTER_MS = 50;
const SETTLED_MAX_MS = 60_000;

export const DEADLINE = { deadlineMs: CALL_MS };

/** Started before the first test; all are skipped, with the reason, where there can be none. */
export function withCluster(options: ClusterOptions): () => Cluster {
  let missing: string | undefined;
  let cluster: Cluster | undefined;
  beforeAll(async () => {
    missing = await whyNoKafka(options);
    if (missing === undefined) cluster = await startCluster(options);
    else process.stdout.write(`skipped: ${missing}\n`);
  }, START_MAX_MS);
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing);
  });
  afterAll(() => cluster?.close());
  return () => cluster as Cluster;
}

export async function connectTo(
  { addresses }: Cluster,
  options: Omit<Partial<KafkaOptions>, "brokers"> = {},
): Promise<Broker> {
  const broker = await KafkaBroker.connect({ brokers: addresses, clientId: "test", clock: nodeClock, ...options });
  onTestFinished(() => broker.close());
  return broker;
}

/** The code of the error that it rejects with; `undefined`: none. */
export async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof BrokerError) return error.code;
    throw error;
  }
}

/** Makes the call again as long as it fails in a way that passes. */
export async function again<T>(call: () => Promise<T>): Promise<T> {
  for (const startedAt = performance.now(); ; await sleep(AGAIN_AFTER_MS)) {
    try {
      return await call();
    } catch (error) {
      const passes = error instanceof BrokerError && error.isTransient;
      if (!passes || performance.now() - startedAt > SETTLED_MAX_MS) throw error;
    }
  }
}

/** Waits until it holds. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const startedAt = performance.now(); !(await holds()); await sleep(AGAIN_AFTER_MS))
    if (performance.now() - startedAt > SETTLED_MAX_MS) throw new Error("nothing came of it");
}

export async function newTopic(
  broker: Broker,
  options: { readonly partitions?: number; readonly replicas?: number; readonly minInSync?: number } = {},
): Promise<string> {
  const { partitions = 1, replicas = 3, minInSync = 2 } = options;
  const topic = `t-${randomUUID().slice(0, 8)}`;
  const configs = { "min.insync.replicas": String(minInSync), "message.timestamp.type": "LogAppendTime" };
  await again(() => broker.create({ topic, partitions, replicationFactor: replicas, configs, ...DEADLINE }));
  return topic;
}

/** As Kafka's protocol numbers them. */
const RESOURCES = { topic: 2, group: 32 } as const;
const OPERATION_SET = 0;

/** What an operator does with `kafka-configs.sh`. */
export async function alterConfigs(
  { addresses }: Cluster,
  { type, name }: { readonly type: keyof typeof RESOURCES; readonly name: string },
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const { hostname, port } = new URL(`kafka://${addresses[0]}`);
  const configs = Object.entries(settings).map(([key, value]) => ({
    name: key,
    configOperation: OPERATION_SET,
    value,
  }));
  const connection = new Connection("operator");
  await connection.connect(hostname, Number(port));
  try {
    const resources = [{ resourceType: RESOURCES[type], resourceName: name, configs }];
    await incrementalAlterConfigsV1.api.async(connection, resources, false);
  } finally {
    await connection.close();
  }
}

export async function leaderOf(broker: Broker, { topic, partition }: TopicPartition): Promise<number> {
  return again(async () => {
    const [described] = await broker.describe({ topics: [topic], ...DEADLINE });
    const leader = described?.partitions[partition]?.leader;
    if (leader === undefined) throw new BrokerError("not_leader", "no leader");
    return leader;
  });
}

/** All records from the first one on. */
export async function readAll(broker: Broker, at: TopicPartition): Promise<readonly FetchedRecord[]> {
  const records: FetchedRecord[] = [];
  for (;;) {
    const offset = (records.at(-1)?.offset ?? -1) + 1;
    const fetched = await again(() => broker.fetch({ ...at, offset, maxBytes: 1_000_000, maxWaitMs: 0, ...DEADLINE }));
    if (fetched.records.length === 0) return records;
    records.push(...fetched.records);
  }
}
