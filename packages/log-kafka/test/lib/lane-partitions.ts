/** The logs of a lane as partitions of a simulated cluster. */
import type { Log, LogOptions } from "@waybill/log";
import { type Broker, encodeValue, PartitionLog, type PartitionLogOptions } from "@waybill/log-kafka";
import { settle, type VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { entryOf } from "./world.ts";

const DEADLINE_MS = 1_000;
/** As the relay creates them. */
const CONFIGS = { "max.message.bytes": String(8 * 1024 * 1024) };
const MARK_EVERY_BYTES = 400;
/** A tail has read what was appended after that. */
export const READ_MS = 25;

export class LanePartitions {
  #broker: Broker | undefined;
  readonly #created = new Set<string>();
  #log: PartitionLog | undefined;
  #clock: VirtualClock | undefined;
  #logs: PartitionLog[] = [];

  async open(clock: VirtualClock): Promise<{ log: PartitionLog; openLog: (options: LogOptions) => Promise<Log> }> {
    this.#clock = clock;
    this.#broker ??= new SimCluster({ clock, latencyMs: 0, replicationMs: 0 }).connect("relay");
    await this.close();
    const checkpoint = this.#log?.checkpoint;
    const options = { from: "first", ...(checkpoint === undefined ? {} : { checkpoint }) } as const;
    this.#log = await this.#open("events", clock, options);
    // A companion topic's name comes from the directory.
    const openLog = ({ directory }: LogOptions): Promise<Log> =>
      this.#open(directory.replaceAll("/", "_"), clock, { positions: "written" });
    return { log: this.#log, openLog };
  }

  async #open(topic: string, clock: VirtualClock, options: Partial<PartitionLogOptions>): Promise<PartitionLog> {
    const broker = this.#broker as Broker;
    if (!this.#created.has(topic))
      await broker.create({ topic, partitions: 1, replicationFactor: 3, configs: CONFIGS, deadlineMs: DEADLINE_MS });
    this.#created.add(topic);
    const log = await PartitionLog.open({
      broker,
      topic,
      partition: 0,
      clock,
      markEveryBytes: MARK_EVERY_BYTES,
      ...options,
    });
    this.#logs.push(log);
    return log;
  }

  async append(texts: readonly string[], metadata = ""): Promise<void> {
    const values = [encodeValue(entryOf(texts, { metadata, source: "web", receivedAtMs: 7 }))];
    await (this.#broker as Broker).produce({ topic: "events", partition: 0, values, deadlineMs: DEADLINE_MS });
    await this.#clock?.advance(READ_MS);
    await settle();
  }

  async close(): Promise<void> {
    for (const log of this.#logs) await log.close();
    this.#logs = [];
  }
}
