/** The log of an environment on Kafka, as what another log is copied to. */
import { assert, WaybillError } from "@waybill/core";
import { type LaneStateValue, type Position, recordsFrom } from "@waybill/log";
import { type Checkpoint, type PartitionLog, Producer, partsOf } from "@waybill/log-kafka";
import { partitionKeysOf } from "@waybill/vendors/registry";
import { writeFirstStates } from "../cluster/checkpoints.ts";
import type { RoutedEntry, Target, TargetPart } from "./carry.ts";
import type { KafkaSide, KafkaSideOptions, PlacedState } from "./kafka-side.ts";
import { TargetLane } from "./target-lane.ts";

/** A lane's first state, but for its place among the bytes of its log. */
export type FirstState = Omit<LaneStateValue, "byte">;

export class KafkaTarget implements Target {
  readonly parts: readonly TargetPart[];
  readonly #side: KafkaSide;
  readonly #options: KafkaSideOptions;
  readonly #begins: ReadonlyMap<number, Checkpoint>;
  readonly #producer: Producer;

  private constructor(
    side: KafkaSide,
    options: KafkaSideOptions,
    { begins, maxMessageBytes }: { begins: ReadonlyMap<number, Checkpoint>; maxMessageBytes: number },
  ) {
    const { broker, runtime, kafka, config } = options;
    this.#side = side;
    this.#options = options;
    this.#begins = begins;
    const { topic } = side;
    const { clock } = runtime;
    this.#producer = new Producer({ broker, clock, topic, partitions: kafka.partitions, maxMessageBytes });
    this.parts = side.all.map((partition) => ({
      next: begins.get(partition)?.position ?? 0,
      lanes: new Map(
        config.destinations.map(({ name }) => [name, new TargetLane({ name, ...side.ownLogs(name, partition) })]),
      ),
    }));
  }

  /** `begin`: the position of the first event of each partition. */
  static async open(
    side: KafkaSide,
    options: KafkaSideOptions,
    given: { readonly begin: Position; readonly maxMessageBytes: number },
  ): Promise<KafkaTarget> {
    const begins = await side.empty(given.begin);
    return new KafkaTarget(side, options, { begins, maxMessageBytes: given.maxMessageBytes });
  }

  route(entry: RoutedEntry["entry"]): readonly RoutedEntry[] {
    return partsOf(entry, this.parts.length, partitionKeysOf).map(({ partition, ...one }) => ({
      ...one,
      part: this.parts[partition] as TargetPart,
    }));
  }

  async append(routed: readonly RoutedEntry[]): Promise<void> {
    await this.#producer.append(
      routed.map(({ part, entry, indexes }) => ({ partition: this.parts.indexOf(part), entry, indexes })),
    );
  }

  /**
   * Reads every partition again, and writes the first states of the lanes. Resolves to where each
   * partition ends, and how many of its events are duplicates of others in it. **Errors**:
   * `WAYBILL_LOG_COPY` when a partition does not have what was copied to it.
   */
  async writeStates(
    states: ReadonlyMap<string, ReadonlyMap<TargetPart, FirstState>>,
  ): Promise<{ readonly ends: ReadonlyMap<number, Checkpoint>; readonly duplicates: number }> {
    const { broker } = this.#options;
    const ends = new Map<number, Checkpoint>();
    const byName = new Map([...states.keys()].map((name) => [name, new Map<number, PlacedState>()]));
    let duplicates = 0;
    for (const [partition, part] of this.parts.entries()) {
      const checkpoint = this.#begins.get(partition) as Checkpoint;
      const log = await this.#side.openLog(partition, { checkpoint, from: "first" });
      try {
        if (log.head !== part.next) throw disturbed(this.#side.topic, partition, { has: log.head, wanted: part.next });
        ends.set(partition, log.checkpoint);
        duplicates += await duplicatesIn(log);
        for (const [name, own] of byName) {
          const state = states.get(name)?.get(part);
          if (state !== undefined) own.set(partition, await placed(log, state));
        }
      } finally {
        await log.close();
      }
    }
    for (const [name, own] of byName) {
      const of = { group: this.#side.groupOf(name), topic: this.#side.topic };
      if (!(await this.#side.patiently(() => writeFirstStates(broker, of, own)))) throw joined(of.group);
    }
    return { ends, duplicates };
  }

  async close(): Promise<void> {
    for (const { lanes } of this.parts) for (const lane of lanes.values()) await lane.close();
    await this.#producer.close();
  }
}

async function placed(log: PartitionLog, state: FirstState): Promise<PlacedState> {
  const holder = await log.offsetOf(state.position);
  // Lanes count from the offset: with a later one than its own, what waits would count as removed.
  assert(holder !== undefined || state.position >= log.head, "a copy has what waits in it");
  const offset = holder?.offset ?? log.checkpoint.offset;
  const { byte } = await log.placeOf(offset);
  return { offset, state: { ...state, byte } };
}

async function duplicatesIn(log: PartitionLog): Promise<number> {
  let duplicates = 0;
  for await (const record of recordsFrom(log, log.first)) duplicates += record.duplicates?.length ?? 0;
  return duplicates;
}

function joined(group: string): WaybillError {
  return new WaybillError("WAYBILL_LOG_COPY", `A relay has joined ${group} meanwhile`, {
    hint: "Stop all relays, and run waybill log copy again: it begins anew.",
  });
}

function disturbed(topic: string, partition: number, events: { has: number; wanted: number }): WaybillError {
  return new WaybillError(
    "WAYBILL_LOG_COPY",
    `${topic}-${partition} ends at position ${events.has}, and the copy at ${events.wanted}: another program writes to it, or a call came late`,
    { hint: "Run waybill log copy again: it begins anew." },
  );
}
