/** The log of an environment on Kafka, as what is copied. */
import { WaybillError } from "@waybill/core";
import { type Checkpoint, CLOCKS_DIFFER_MS } from "@waybill/log-kafka";
import type { DestinationConfig } from "../config/types.ts";
import type { SourcePart } from "./carry.ts";
import { neededFrom, type OpenSource } from "./disk-source.ts";
import type { KafkaSide, KafkaSideOptions, PlacedState } from "./kafka-side.ts";
import { SourceLane } from "./source-lane.ts";

type States = ReadonlyMap<DestinationConfig, ReadonlyMap<number, PlacedState>>;

/** Of one call. */
const CALL_MS = 10_000;

/** **Errors**: `WAYBILL_LOG_DAMAGED`, `WAYBILL_LOG_UNAVAILABLE`, `BrokerError`. */
export async function openKafkaSource(side: KafkaSide, options: KafkaSideOptions): Promise<OpenSource> {
  const opening = new Opening(side, options);
  try {
    const states = await opening.states();
    const marked = await side.checkpoints.readMarked(side.all);
    const parts: SourcePart[] = [];
    for (const partition of side.all) parts.push(await opening.part(partition, states, marked.get(partition)));
    return { parts, close: () => opening.close() };
  } catch (error) {
    await opening.close();
    throw error;
  }
}

class Opening {
  readonly #side: KafkaSide;
  readonly #options: KafkaSideOptions;
  readonly #open: { close(): Promise<void> }[] = [];

  constructor(side: KafkaSide, options: KafkaSideOptions) {
    this.#side = side;
    this.#options = options;
  }

  async close(): Promise<void> {
    for (const one of this.#open.splice(0).reverse()) await one.close();
  }

  /** Of the destinations that have begun. */
  async states(): Promise<States> {
    const states = new Map<DestinationConfig, ReadonlyMap<number, PlacedState>>();
    for (const destination of this.#options.config.destinations) {
      const found = await this.#side.states(destination.name);
      if (found.size > 0 && found.size < this.#side.all.length) throw incomplete(this.#side.groupOf(destination.name));
      if (found.size > 0) states.set(destination, found);
    }
    return states;
  }

  async part(partition: number, states: States, checkpoint: Checkpoint | undefined): Promise<SourcePart> {
    const { dedupe, broker, runtime } = this.#options;
    const { clock } = runtime;
    const { topic } = this.#side;
    const atMs = Math.max(0, clock.now() - dedupe.windowMs - CLOCKS_DIFFER_MS);
    const window = await broker.offsetAt({ topic, partition, at: { atMs }, deadlineMs: CALL_MS });
    const cursors = [...states.values()].map((found) => found.get(partition)?.offset ?? 0);
    const from = Math.min(window, ...cursors);
    const log = await this.#side.openLog(partition, { from, ...(checkpoint === undefined ? {} : { checkpoint }) });
    this.#open.push(log);
    const lanes: SourceLane[] = [];
    for (const [config, found] of states) {
      const placed = found.get(partition);
      if (placed === undefined) continue;
      const own = this.#side.ownLogs(config.name, partition);
      const lane = await SourceLane.open({ config, log, state: placed.state, clock, ...own });
      this.#open.push(lane);
      lanes.push(lane);
    }
    return { log, lanes, from: neededFrom(log, lanes, clock.now(), dedupe) };
  }
}

function incomplete(group: string): WaybillError {
  return new WaybillError("WAYBILL_LOG_DAMAGED", `some of the committed offsets of group ${group} are gone`, {
    hint: "Kafka removes those of a group without members after offsets.retention.minutes. Put them right first.",
  });
}
