/** A topic of a simulated cluster, and a producer that writes to it. */
import { type Broker, decodeValue, type Place, Producer, type ProducerOptions } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster, type SimConnectionOptions } from "@waybill/testing/kafka";
import { entryOf, eventsOf } from "./entries.ts";
import { runUntil } from "./run-until.ts";

export const TOPIC = "waybill.production";
const CALL_MS = 5_000;
/** A call to the simulated cluster needs no more. */
const SETTLE_TURNS = 60;

export interface Producing {
  readonly clock: VirtualClock;
  readonly cluster: SimCluster;
  /** Without faults. */
  readonly broker: Broker;
  readonly producer: Producer;
  /** One of another relay. */
  readonly another: (name: string) => Producer;
  /** Appends events to one partition each. */
  readonly append: (events: Readonly<Record<number, readonly string[]>>) => Promise<readonly Place[]>;
  /** The texts of the records of a partition, from offset 0. */
  readonly records: (partition: number) => readonly string[];
}

interface ProducingOptions {
  readonly partitions?: number;
  readonly configs?: Readonly<Record<string, string>>;
  readonly seed?: number;
  readonly faulty?: (broker: Broker, clock: VirtualClock) => Broker;
  readonly connection?: SimConnectionOptions;
  readonly producer?: Partial<ProducerOptions>;
}

export async function startProducing(options: ProducingOptions = {}): Promise<Producing> {
  const { partitions = 4, configs = {}, seed = 1, faulty = (broker) => broker } = options;
  const clock = new VirtualClock(undefined, SETTLE_TURNS);
  const cluster = new SimCluster({ clock, random: new SeededRandom(seed) });
  const broker = cluster.connect("test");
  await runUntil(
    clock,
    broker.create({
      topic: TOPIC,
      partitions,
      replicationFactor: 3,
      configs: { "min.insync.replicas": "2", ...configs },
      deadlineMs: CALL_MS,
    }),
  );
  const another = (name: string): Producer =>
    new Producer({
      broker: faulty(cluster.connect(name, options.connection), clock),
      clock,
      topic: TOPIC,
      partitions,
      maxMessageBytes: Number(configs["max.message.bytes"] ?? 1_048_588),
      ...options.producer,
    });
  const producer = another("relay");
  return {
    clock,
    cluster,
    broker,
    producer,
    another,
    append: (events) =>
      producer.append(
        Object.entries(events).map(([partition, texts]) => ({
          partition: Number(partition),
          entry: entryOf(texts),
          indexes: undefined,
        })),
      ),
    records: (partition) => cluster.records({ topic: TOPIC, partition }).map(({ value }) => textOf(value)),
  };
}

function textOf(value: Uint8Array): string {
  const record = decodeValue(value);
  return record === undefined ? "damaged" : eventsOf({ body: [record.body], ends: record.ends }).join(",");
}
