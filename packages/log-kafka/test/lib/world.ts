import type { Entry, Log, LogRecord } from "@waybill/log";
import type { Broker } from "@waybill/log-kafka";
import { PartitionLog, type PartitionLogOptions } from "@waybill/log-kafka";
import { VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";

export const TOPIC = "events";
/** Enough for calls that take no time, and long polls each second. */
const SETTLE_TURNS = 80;

export interface World {
  readonly clock: VirtualClock;
  readonly cluster: SimCluster;
  readonly broker: Broker;
  readonly open: (options?: Partial<PartitionLogOptions>) => Promise<PartitionLog>;
  /** Puts values into the topic as other relays do. Resolves to the first one's offset. */
  readonly produce: (...values: readonly Uint8Array[]) => Promise<number>;
}

/** A cluster that takes no time, with one topic of one partition. */
export async function makeWorld(configs: Readonly<Record<string, string>> = {}): Promise<World> {
  const clock = new VirtualClock(undefined, SETTLE_TURNS);
  const cluster = new SimCluster({ clock, latencyMs: 0, replicationMs: 0 });
  const broker = cluster.connect("relay");
  const other = cluster.connect("other");
  await broker.create({ topic: TOPIC, partitions: 1, replicationFactor: 3, configs, deadlineMs: 1_000 });
  return {
    clock,
    cluster,
    broker,
    open: (options = {}) => PartitionLog.open({ broker, clock, topic: TOPIC, partition: 0, ...options }),
    produce: async (...values) =>
      (await other.produce({ topic: TOPIC, partition: 0, values, deadlineMs: 1_000 })).offset,
  };
}

/** Lets time pass until a promise is settled. */
export async function within<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  promise.then(
    () => (isSettled = true),
    () => (isSettled = true),
  );
  await clock.until(() => isSettled);
  return promise;
}

export function entryOf(texts: readonly string[], more: Partial<Entry> = {}): Entry {
  const body = Buffer.from(texts.join(","));
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += 1 + Buffer.byteLength(text)));
  return { source: "s", receivedAtMs: 1, metadata: "", body: [body], ends, ...more };
}

export async function readAll(log: Log, position = log.first, maxBytes = 10_000): Promise<LogRecord[]> {
  const reader = log.reader({ position });
  const records: LogRecord[] = [];
  for (let read = await reader.read(maxBytes); read.length > 0; read = await reader.read(maxBytes))
    records.push(...read);
  await reader.close();
  return records;
}

export function textsOf(records: readonly LogRecord[]): string[] {
  return records.flatMap(({ body, ends }) =>
    Array.from(ends, (end, index) =>
      Buffer.from(body.subarray(index === 0 ? 0 : (ends[index - 1] as number) + 1, end)).toString(),
    ),
  );
}

/** As hosts give them: four words of each event's id, which is its text up to a colon. */
export function idsOf(record: LogRecord): Uint32Array {
  const words = new Uint32Array(4 * record.count);
  for (const [index, text] of textsOf([record]).entries()) {
    const [id = ""] = text.split(":");
    if (id === "") continue;
    let hash = 7;
    for (const character of id) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0;
    words.set([hash || 1, id.length, hash ^ 0x5bd1e995, 1], 4 * index);
  }
  return words;
}
