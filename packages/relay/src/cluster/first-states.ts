/** The first states of a destination's lanes: they begin where their partition ends. */
import { type Clock, type Random, WaybillError } from "@waybill/core";
import { type LaneStateValue, newLaneId, newLaneState } from "@waybill/log";
import type { Broker, Checkpoint } from "@waybill/log-kafka";
import { committedOffsets, writeFirstStates } from "./checkpoints.ts";
import type { Partitions } from "./partitions.ts";

export interface FirstStatesOptions {
  readonly destination: string;
  readonly group: string;
  /** Its companion topics were made just now. */
  readonly isNew: boolean;
  readonly topic: string;
  readonly partitions: Pick<Partitions, "all" | "endOf" | "hasTraces">;
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
}

/** By partition. */
type FirstStates = ReadonlyMap<number, { readonly offset: number; readonly state: LaneStateValue }>;

/** Between tries to find them. */
const AGAIN_MS = 500;
const TRIES = 20;
/** For so many of them another relay, which made the destination's topics, may write the states. */
const WAITS = 4;

/**
 * Writes those of lanes that never had one, and tells which. **Errors**: `WAYBILL_LOG_DAMAGED` when
 * the lanes are known to have had states; `BrokerError`.
 */
export async function writeFirst(options: FirstStatesOptions): Promise<FirstStates> {
  const { destination, broker, group, isNew, topic, partitions, clock, random } = options;
  for (let tries = 0; tries < TRIES; tries++) {
    // Looked up before it is known that there is none: what another relay accepts after it has
    // written the states comes after these ends.
    const missing = await withoutState(options);
    if (missing.length === 0) return new Map();
    const ends = await Promise.all(missing.map((partition) => partitions.endOf(partition)));
    const still = new Set(await withoutState(options));
    const states: FirstStates = new Map(
      ends.flatMap((end, at) => {
        const partition = missing[at] as number;
        return still.has(partition)
          ? [[partition, { offset: end.offset, state: firstState(end, random) }] as const]
          : [];
      }),
    );
    if (states.size === 0) return states;
    if (await partitions.hasTraces(destination, [...states.keys()])) throw stateGone(group);
    const mayBeOthers = !isNew && tries < WAITS;
    if (!mayBeOthers && (await writeFirstStates(broker, { group, topic }, states))) return states;
    await new Promise<void>((resume) => clock.after(AGAIN_MS, resume));
  }
  // Others deliver without a state that could be read.
  throw stateGone(group);
}

async function withoutState({ broker, group, topic, partitions }: FirstStatesOptions): Promise<readonly number[]> {
  const committed = await committedOffsets(broker, { group, topic, partitions: partitions.all });
  return partitions.all.filter((partition) => !committed.has(partition));
}

function firstState({ position, byte }: Pick<Checkpoint, "position" | "byte">, random: Random): LaneStateValue {
  const log = { first: position, firstByte: byte, head: position, headByte: byte };
  return newLaneState(log, false, newLaneId(random));
}

export function stateGone(group: string): WaybillError {
  return new WaybillError("WAYBILL_LOG_DAMAGED", `the committed offsets of group ${group} are gone`, {
    hint: "Kafka removes those of a group without members after offsets.retention.minutes. Nothing is made up: give the destination another name, which begins at the end, and replay to it what is missing.",
  });
}
