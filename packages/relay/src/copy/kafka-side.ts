/** The topics and groups of an environment, for a copy. */
import { type DiskRuntime, WaybillError } from "@waybill/core";
import { type LaneRuntime, type LaneStateValue, type Position, parseLaneState } from "@waybill/log";
import {
  type Broker,
  type Checkpoint,
  companionTopics,
  destinationGroup,
  eventsTopic,
  openTopics,
  PartitionLog,
  parseStateText,
} from "@waybill/log-kafka";
import { Checkpoints } from "../cluster/checkpoints.ts";
import { companionRuntime } from "../cluster/companions.ts";
import { duplicateRule } from "../cluster/duplicate-rule.ts";
import { patiently } from "../cluster/patiently.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";
import type { EnvironmentConfig, RelayConfig } from "../config/types.ts";

export interface KafkaSideOptions {
  readonly config: EnvironmentConfig;
  readonly kafka: KafkaConfig;
  readonly broker: Broker;
  readonly runtime: DiskRuntime;
  readonly dedupe: RelayConfig["dedupe"];
  readonly retention: RelayConfig["retention"];
}

/** The state of a lane, and the offset of the record that its cursor is in. */
export interface PlacedState {
  readonly offset: number;
  readonly state: LaneStateValue;
}

const BEGINNING: Checkpoint = { offset: 0, position: 0, byte: 0 };
/** Of one call. */
const CALL_MS = 10_000;

export class KafkaSide {
  readonly topic: string;
  readonly all: readonly number[];
  readonly checkpoints: Checkpoints;
  readonly #options: KafkaSideOptions;

  constructor(options: KafkaSideOptions) {
    const { config, kafka, broker } = options;
    this.#options = options;
    this.topic = eventsTopic(kafka.topicPrefix, config.name);
    this.all = Array.from({ length: kafka.partitions }, (_, partition) => partition);
    this.checkpoints = new Checkpoints(broker, { group: this.topic, topic: this.topic });
  }

  get #topics(): readonly string[] {
    const { config, kafka } = this.#options;
    const companions = config.destinations.flatMap(({ name: destination }) =>
      companionTopics(kafka.topicPrefix, { environment: config.name, destination }),
    );
    return [this.topic, ...companions];
  }

  groupOf(destination: string): string {
    return destinationGroup(this.topic, destination);
  }

  /** Each call of a copy may be repeated. */
  patiently<T>(run: () => Promise<T>): Promise<T> {
    return patiently(this.#options.runtime.clock, run);
  }

  #offsetAt(topic: string, partition: number, at: "first" | "end"): Promise<number> {
    return this.patiently(() => this.#options.broker.offsetAt({ topic, partition, at, deadlineMs: CALL_MS }));
  }

  /** Creates or checks the topics. Resolves to the largest batch that they take. */
  async openTopics(): Promise<number> {
    const { kafka, broker, runtime, retention } = this.#options;
    const { partitions, replicationFactor, minInSyncReplicas, brokers } = kafka;
    const needs = { partitions, replicationFactor, minInSyncReplicas, retention, bootstrap: brokers[0] ?? "" };
    const opened = await openTopics(broker, runtime.clock, { topics: this.#topics, ...needs });
    return opened.topics[0]?.maxMessageBytes ?? 0;
  }

  /** **Errors**: `WAYBILL_LOG_COPY` when relays deliver from here. */
  async refuseMembers(): Promise<void> {
    const { config, broker } = this.#options;
    for (const { name } of config.destinations) {
      const group = this.groupOf(name);
      const { members } = await this.patiently(() => broker.describeGroup({ group, deadlineMs: CALL_MS }));
      if (members.length === 0) continue;
      const names = members.map(({ clientId, host }) => `${clientId} at ${host}`).join(", ");
      throw new WaybillError("WAYBILL_LOG_COPY", `Relays deliver to ${name}: ${names}`, {
        hint: "Stop all relays first. One that was killed leaves its group after 45 s.",
      });
    }
  }

  /** **Errors**: `WAYBILL_LOG_COPY` when anything was stored here before. */
  async refuseUsed(): Promise<void> {
    const { config } = this.#options;
    for (const { name } of config.destinations)
      if ((await this.states(name)).size > 0) throw used(this.topic, `group ${this.groupOf(name)} has offsets`);
    for (const topic of this.#topics)
      for (const partition of this.all) {
        if ((await this.#offsetAt(topic, partition, "end")) > (await this.#offsetAt(topic, partition, "first")))
          throw used(this.topic, `${topic}-${partition} has records`);
      }
  }

  /** Removes all records, and marks the topic; resolves to where each partition begins then. */
  async empty(position: Position): Promise<ReadonlyMap<number, Checkpoint>> {
    const { broker } = this.#options;
    const begins = new Map<number, Checkpoint>();
    for (const partition of this.all) begins.set(partition, { offset: 0, position, byte: 0 });
    // Before anything is written: a relay that starts meanwhile must not take it for its log.
    await this.patiently(() => this.checkpoints.mark(begins, "copying"));
    for (const topic of this.#topics)
      for (const partition of this.all) {
        const offset = await this.#offsetAt(topic, partition, "end");
        await this.patiently(() => broker.removeBefore({ topic, partition, offset, deadlineMs: CALL_MS }));
        if (topic === this.topic) begins.set(partition, { offset, position, byte: 0 });
      }
    return begins;
  }

  /** The places of all partitions, where none is committed the beginning. */
  placesOf(marked: ReadonlyMap<number, Checkpoint>): ReadonlyMap<number, Checkpoint> {
    return new Map(this.all.map((partition) => [partition, marked.get(partition) ?? BEGINNING]));
  }

  /** What is committed for a destination's lanes. **Errors**: `WAYBILL_LOG_DAMAGED`. */
  async states(destination: string, wanted: readonly number[] = this.all): Promise<ReadonlyMap<number, PlacedState>> {
    const { broker } = this.#options;
    const group = this.groupOf(destination);
    const partitions = wanted.map((partition) => ({ topic: this.topic, partition }));
    const found = await this.patiently(() => broker.committed({ group, partitions, deadlineMs: CALL_MS }));
    return new Map(
      found.map(({ topic, partition, offset, metadata }) => [
        partition,
        { offset, state: parseStateText(metadata, { group, topic, partition }, { offset, parse: parseLaneState }) },
      ]),
    );
  }

  /** **Errors**: those of `PartitionLog.open`. */
  openLog(
    partition: number,
    more: { readonly checkpoint?: Checkpoint; readonly from: number | "first" },
  ): Promise<PartitionLog> {
    const { broker, runtime, config, dedupe } = this.#options;
    const duplicates = duplicateRule(config.name, dedupe);
    const { clock } = runtime;
    return PartitionLog.open({ broker, clock, topic: this.topic, partition, duplicates, ...more });
  }

  /** What opens a lane's own logs. */
  ownLogs(destination: string, partition: number): { readonly directory: string; readonly own: LaneRuntime } {
    const { broker, runtime, kafka, config } = this.#options;
    const options = { broker, clock: runtime.clock, prefix: kafka.topicPrefix, environment: config.name, destination };
    const directory = String(partition);
    return { directory, own: companionRuntime(options, partition, directory) };
  }
}

function used(topic: string, why: string): WaybillError {
  return new WaybillError("WAYBILL_LOG_COPY", `A log on Kafka is in use already: ${why}`, {
    hint: `A copy would mix with it. Choose another kafka.topicPrefix, or remove ${topic}, its companion topics and groups.`,
  });
}
