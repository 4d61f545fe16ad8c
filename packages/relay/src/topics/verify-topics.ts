/**
 * Checks the log of an environment on Kafka: that every value can be read, that what the
 * destinations need is there, and that each lane's state agrees with what is kept beside it.
 */
import { WaybillError } from "@waybill/core";
import { type LaneReport, type LaneStateValue, type Position, recordsFrom, verifyLaneState } from "@waybill/log";
import { COMPANIONS, type Companion, companionTopic, type Offset, PartitionLog } from "@waybill/log-kafka";
import { KafkaSide, type KafkaSideOptions, type PlacedState } from "../copy/kafka-side.ts";
import { type PartitionBounds, TopicReader } from "./topic-reader.ts";

export interface DamagedValue {
  readonly topic: string;
  readonly offset: Offset;
  readonly bytes: number;
}

export interface PartitionReport extends PartitionBounds {
  readonly records: number;
  readonly events: number;
  readonly bytes: number;
  /** Values that are not ours, also of companion topics: they count as nothing. */
  readonly damaged: readonly DamagedValue[];
  /** Of each destination the lane of this partition. */
  readonly lanes: readonly LaneReport[];
}

/** **Errors**: `WAYBILL_INPUT`, `WAYBILL_LOG_UNAVAILABLE`, `BrokerError`. */
export async function* verifyTopics(options: KafkaSideOptions): AsyncGenerator<PartitionReport> {
  const { broker, runtime, kafka, config } = options;
  const reader = new TopicReader({ environment: config.name, kafka, broker, clock: runtime.clock });
  const verifier = new Verifier(options, reader);
  for (const bounds of await reader.bounds()) yield await verifier.verify(bounds);
}

class Verifier {
  readonly #options: KafkaSideOptions;
  readonly #reader: TopicReader;
  readonly #side: KafkaSide;
  /** Of the companion topics that were looked at. */
  readonly #partitions = new Map<string, number>();

  constructor(options: KafkaSideOptions, reader: TopicReader) {
    this.#options = options;
    this.#reader = reader;
    this.#side = new KafkaSide(options);
  }

  async verify(bounds: PartitionBounds): Promise<PartitionReport> {
    // Before the records: what is newer than a state is not looked at.
    const states = new Map<string, PlacedState | undefined | string>();
    for (const { name } of this.#options.config.destinations) states.set(name, await this.#stateOf(name, bounds));
    const values = await this.#values(bounds);
    const damaged = [...values.damaged];
    const lanes: LaneReport[] = [];
    for (const [lane, placed] of states) {
      const beside = await this.#companions(lane, bounds.partition);
      damaged.push(...beside.damaged);
      if (placed === undefined) continue;
      if (typeof placed === "string") lanes.push({ lane, settled: 0, known: 0, faults: [placed, ...beside.faults] });
      else lanes.push(await this.#lane(lane, placed, { bounds, faults: beside.faults }));
    }
    return { ...bounds, ...values, damaged, lanes };
  }

  /** `undefined` for a destination that has not begun; a text for what cannot be read. */
  async #stateOf(name: string, { partition }: PartitionBounds): Promise<PlacedState | undefined | string> {
    try {
      const states = await this.#side.states(name, [partition]);
      return states.get(partition);
    } catch (error) {
      if (error instanceof WaybillError) return error.message;
      throw error;
    }
  }

  async #values(
    bounds: PartitionBounds,
    topic: string = this.#reader.topic,
  ): Promise<Pick<PartitionReport, "records" | "events" | "bytes" | "damaged">> {
    let records = 0;
    let events = 0;
    let bytes = 0;
    const damaged: DamagedValue[] = [];
    for await (const walked of this.#reader.walk(bounds, topic)) {
      if (walked.kind === "damaged") {
        damaged.push({ topic, offset: walked.offset, bytes: walked.bytes });
        continue;
      }
      records += 1;
      events += walked.record.count;
      bytes += walked.record.sizeBytes;
    }
    return { records, events, bytes, damaged };
  }

  async #companions(
    destination: string,
    partition: number,
  ): Promise<{ readonly damaged: readonly DamagedValue[]; readonly faults: readonly string[] }> {
    const damaged: DamagedValue[] = [];
    const faults: string[] = [];
    for (const companion of COMPANIONS) {
      const topic = this.#topicOf(destination, companion);
      const partitions = this.#partitions.get(topic) ?? (await this.#reader.partitionsOf(topic));
      this.#partitions.set(topic, partitions);
      if (partitions <= partition) faults.push(`there is no ${topic}-${partition}: what was kept in it is lost`);
      else damaged.push(...(await this.#values(await this.#reader.boundsOf(topic, partition), topic)).damaged);
    }
    return { damaged, faults };
  }

  #topicOf(destination: string, companion: Companion): string {
    const { kafka, config } = this.#options;
    return companionTopic(kafka.topicPrefix, { environment: config.name, destination }, companion);
  }

  async #lane(
    lane: string,
    { offset, state }: PlacedState,
    { bounds, faults }: { readonly bounds: PartitionBounds; readonly faults: readonly string[] },
  ): Promise<LaneReport> {
    const place = placeFaults(offset, bounds);
    if (faults.length > 0) return { lane, settled: 0, known: 0, faults: [...place, ...faults] };
    const { broker, runtime } = this.#options;
    const { partition } = bounds;
    const topic = this.#topicOf(lane, "fates");
    const log = await PartitionLog.open({ broker, clock: runtime.clock, topic, partition, positions: "written" });
    try {
      const logFirst = await this.#firstPosition(bounds, state);
      const found = await verifyLaneState(state, () => recordsFrom(log, log.first), logFirst);
      return { lane, ...found, faults: [...place, ...found.faults] };
    } finally {
      await log.close();
    }
  }

  /** Of the events that are kept: those before the cursor are counted back from it. */
  async #firstPosition(bounds: PartitionBounds, { position }: LaneStateValue): Promise<Position> {
    const checkpoint = (await this.#side.checkpoints.readMarked([bounds.partition])).get(bounds.partition);
    if (checkpoint === undefined || checkpoint.offset < bounds.first) return position;
    let events = 0;
    for await (const walked of this.#reader.walk({ ...bounds, end: checkpoint.offset }))
      if (walked.kind === "record") events += walked.record.count;
    return checkpoint.position - events;
  }
}

function placeFaults(offset: Offset, { first, end }: PartitionBounds): readonly string[] {
  if (offset < first)
    return [`its cursor is at offset ${offset}, and the first record that is kept at ${first}: those between are gone`];
  return offset > end ? [`its cursor is at offset ${offset}, after the end of the partition at ${end}`] : [];
}
