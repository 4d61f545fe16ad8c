/** Reads the log of an environment on Kafka without a relay; relays may be at work meanwhile. */
import { type Clock, WaybillError } from "@waybill/core";
import { decodeAll, type LogRecord } from "@waybill/log";
import { type Broker, BrokerError, eventsTopic, type Offset } from "@waybill/log-kafka";
import { patiently } from "../cluster/patiently.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";
import { printReceipt } from "../receipt.ts";

export interface TopicReaderOptions {
  readonly environment: string;
  readonly kafka: Pick<KafkaConfig, "topicPrefix">;
  readonly broker: Broker;
  readonly clock: Clock;
}

export interface PartitionBounds {
  readonly partition: number;
  readonly first: Offset;
  /** After the last record. */
  readonly end: Offset;
}

/** A value of a partition. */
export type WalkedValue =
  | { readonly kind: "record"; readonly partition: number; readonly offset: Offset; readonly record: LogRecord }
  | { readonly kind: "damaged"; readonly partition: number; readonly offset: Offset; readonly bytes: number };

const CALL_MS = 10_000;
const READ_BYTES = 1024 * 1024;

export class TopicReader {
  readonly topic: string;
  readonly #options: TopicReaderOptions;

  constructor(options: TopicReaderOptions) {
    this.#options = options;
    this.topic = eventsTopic(options.kafka.topicPrefix, options.environment);
  }

  /** Of an event of a record. */
  receiptOf({ partition, offset }: Pick<WalkedValue, "partition" | "offset">, index: number): string {
    return printReceipt(this.#options.environment, [{ partition, offset, index, count: 1 }]) ?? "";
  }

  /** **Errors**: `WAYBILL_INPUT` when there is no such topic; `WAYBILL_LOG_UNAVAILABLE`. */
  async bounds(): Promise<readonly PartitionBounds[]> {
    const { topic } = this;
    const partitions = await this.partitionsOf(topic);
    if (partitions === 0)
      throw new WaybillError("WAYBILL_INPUT", `There is no topic ${topic}`, {
        hint: "Look at kafka.topicPrefix and at the name of the environment; a relay makes its topics when it starts.",
      });
    const bounds: PartitionBounds[] = [];
    for (let partition = 0; partition < partitions; partition++) bounds.push(await this.boundsOf(topic, partition));
    return bounds;
  }

  /** 0 where there is no such topic. **Errors**: `WAYBILL_LOG_UNAVAILABLE`. */
  async partitionsOf(topic: string): Promise<number> {
    const { broker, clock } = this.#options;
    const [found] = await patiently(clock, () => broker.describe({ topics: [topic], deadlineMs: CALL_MS }));
    return found?.partitions.length ?? 0;
  }

  /** **Errors**: `WAYBILL_LOG_UNAVAILABLE`. */
  async boundsOf(topic: string, partition: number): Promise<PartitionBounds> {
    const { broker, clock } = this.#options;
    const offset = (at: "first" | "end"): Promise<Offset> =>
      patiently(clock, () => broker.offsetAt({ topic, partition, at, deadlineMs: CALL_MS }));
    return { partition, first: await offset("first"), end: await offset("end") };
  }

  /**
   * Every value of a partition from `first` on, before `end`. What retention takes meanwhile is
   * left out. **Errors**: `WAYBILL_LOG_UNAVAILABLE`, `BrokerError`.
   */
  async *walk({ partition, first, end }: PartitionBounds, topic: string = this.topic): AsyncGenerator<WalkedValue> {
    const { broker, clock } = this.#options;
    for (let next = first; next < end; ) {
      const offset = next;
      const asked = { topic, partition, offset, maxBytes: READ_BYTES, maxWaitMs: 0, deadlineMs: CALL_MS };
      const { records } = await patiently(clock, () => broker.fetch(asked)).catch(async (error: unknown) => {
        if (!(error instanceof BrokerError) || error.code !== "offset_out_of_range") throw error;
        next = await broker.offsetAt({ topic, partition, at: "first", deadlineMs: CALL_MS });
        if (next <= offset) throw error;
        return { records: [] };
      });
      // Offsets may have gaps, also at the end.
      if (records.length === 0 && next === offset) return;
      for (const { offset: at, value } of records) {
        if (at < next || at >= end) continue;
        next = at + 1;
        const decoded = decodeAll(value);
        if (decoded.length === 0) yield { kind: "damaged", partition, offset: at, bytes: value.length };
        for (const record of decoded) yield { kind: "record", partition, offset: at, record };
      }
      if (records.length > 0 && records.every((one) => one.offset >= end)) return;
    }
  }
}
