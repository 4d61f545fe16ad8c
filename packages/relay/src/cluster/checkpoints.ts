/**
 * Where positions of a partition are known without counting from its beginning: the metadata of an
 * offset commit of a group that has no members. What it says is a fact of the log, so it does not
 * matter which relay writes it. One that was stopped may overwrite a newer place, and brokers
 * forget what is not written for long: so whoever has the partition open looks at what is stored.
 */
import { WaybillError } from "@waybill/core";
import {
  type Broker,
  BrokerError,
  type Checkpoint,
  type CommittedOffset,
  parseStateText,
  stateJson,
  stateText,
} from "@waybill/log-kafka";

/** Of one call, ms. */
const CALL_MS = 10_000;
const NOBODY = { memberId: "", memberEpoch: -1 };

/**
 * A partition that no relay may use: `copying`: a log is being copied to it, or was, and the copy
 * did not end; `moved`: what was in it was copied to a disk.
 */
export type CopyMark = "copying" | "moved";

interface Place {
  readonly position: number;
  readonly byte: number;
  readonly first?: Checkpoint | undefined;
  readonly copy?: CopyMark;
}

export interface StartedCheckpoint extends Checkpoint {
  /** The place of the first record that is kept, where somebody knew it. */
  readonly first?: Checkpoint | undefined;
}

export interface MarkedCheckpoint extends StartedCheckpoint {
  readonly copy?: CopyMark;
}

export class Checkpoints {
  readonly #broker: Broker;
  readonly #group: string;
  readonly #topic: string;

  constructor(broker: Broker, { group, topic }: { readonly group: string; readonly topic: string }) {
    this.#broker = broker;
    this.#group = group;
    this.#topic = topic;
  }

  /**
   * `undefined` when there is none yet. **Errors**: `BrokerError`, `WAYBILL_LOG_DAMAGED`,
   * `WAYBILL_LOG_COPY`.
   */
  async read(partition: number): Promise<StartedCheckpoint | undefined> {
    const found = (await this.readMarked([partition])).get(partition);
    if (found?.copy !== undefined) throw copied(this.#topic, found.copy);
    return found;
  }

  /** The same of several, with their marks. **Errors**: `BrokerError`, `WAYBILL_LOG_DAMAGED`. */
  async readMarked(partitions: readonly number[]): Promise<ReadonlyMap<number, MarkedCheckpoint>> {
    const found = await this.#committed(partitions);
    return new Map(found.map((one) => [one.partition, this.#parse(one)]));
  }

  /**
   * What else is wrong concerns a partition alone. **Errors**: `WAYBILL_LOG_COPY`, `BrokerError`.
   */
  async refuseCopied(partitions: readonly number[]): Promise<void> {
    for (const one of await this.#committed(partitions)) {
      const mark = this.#readable(one)?.copy;
      if (mark !== undefined) throw copied(this.#topic, mark);
    }
  }

  #committed(partitions: readonly number[]): Promise<readonly CommittedOffset[]> {
    const asked = partitions.map((partition) => ({ topic: this.#topic, partition }));
    return this.#broker.committed({ group: this.#group, partitions: asked, deadlineMs: CALL_MS });
  }

  #parse({ partition, offset, metadata }: CommittedOffset): MarkedCheckpoint {
    const place = { group: this.#group, topic: this.#topic, partition };
    return { offset, ...parseStateText(metadata, place, { offset, parse: parsePlace }) };
  }

  /** Whatever was written before. **Errors**: `BrokerError`. */
  async mark(checkpoints: ReadonlyMap<number, Checkpoint>, copy?: CopyMark): Promise<void> {
    const states = Array.from(checkpoints, ([partition, { offset, position, byte }]) => {
      const state: Place = { position, byte, ...(copy === undefined ? {} : { copy }) };
      return [partition, { offset, state }] as const;
    });
    await commitAsNobody(this.#broker, { group: this.#group, topic: this.#topic }, states);
  }

  /**
   * What is after what is stored: the place, and that of the first record, each on its own.
   * **Errors**: `BrokerError`.
   */
  async write(checkpoints: ReadonlyMap<number, StartedCheckpoint>): Promise<void> {
    if (checkpoints.size === 0) return;
    const found = await this.#committed([...checkpoints.keys()]);
    const stored = new Map(found.map((one) => [one.partition, this.#readable(one)]));
    const states = [...checkpoints].flatMap(([partition, given]) => {
      const before = stored.get(partition);
      const place = before === undefined || before.offset < given.offset ? given : before;
      const first = laterOf(before?.first, given.first);
      if (place === before && first === before.first) return [];
      const { offset, position, byte } = place;
      return [[partition, { offset, state: { position, byte, first } }] as const];
    });
    if (states.length > 0) await commitAsNobody(this.#broker, { group: this.#group, topic: this.#topic }, states);
  }

  /** What is not ours is written over. */
  #readable(one: CommittedOffset): MarkedCheckpoint | undefined {
    try {
      return this.#parse(one);
    } catch {
      return undefined;
    }
  }
}

function parsePlace(value: unknown): Place | undefined {
  const { position, byte, first } = value as Partial<Place>;
  const numbers = [position, byte, ...(first === undefined ? [] : [first.offset, first.position, first.byte])];
  return numbers.every(Number.isSafeInteger) ? (value as Place) : undefined;
}

function laterOf(one: Checkpoint | undefined, other: Checkpoint | undefined): Checkpoint | undefined {
  return other !== undefined && (one === undefined || one.offset < other.offset) ? other : one;
}

function copied(topic: string, mark: CopyMark): WaybillError {
  return mark === "moved"
    ? new WaybillError("WAYBILL_LOG_COPY", `The log in ${topic} was copied to a disk`, {
        hint: "Start the relays with engine: disk there; for another log on Kafka choose another kafka.topicPrefix.",
      })
    : new WaybillError("WAYBILL_LOG_COPY", `A log is being copied to ${topic}, or the copy was cut short`, {
        hint: "Run waybill log copy again: it begins anew and ends this.",
      });
}

interface GroupTopic {
  readonly group: string;
  readonly topic: string;
}

interface UnownedState {
  readonly offset: number;
  readonly state: object;
}

/** By partition; in a group that has no members. */
async function commitAsNobody(
  broker: Broker,
  { group, topic }: GroupTopic,
  states: Iterable<readonly [partition: number, UnownedState]>,
): Promise<void> {
  const offsets = Array.from(states, ([partition, { offset, state }]) => ({
    topic,
    partition,
    offset,
    metadata: stateText(stateJson(state), { group, topic, partition }, offset),
  }));
  await broker.commit({ group, ...NOBODY, offsets, deadlineMs: CALL_MS });
}

/** The offsets that are committed in a group. **Errors**: `BrokerError`. */
export async function committedOffsets(
  broker: Broker,
  {
    group,
    topic,
    partitions,
  }: { readonly group: string; readonly topic: string; readonly partitions: readonly number[] },
): Promise<ReadonlyMap<number, number>> {
  const asked = partitions.map((partition) => ({ topic, partition }));
  const found = await broker.committed({ group, partitions: asked, deadlineMs: CALL_MS });
  return new Map(found.map(({ partition, offset }) => [partition, offset]));
}

/**
 * Writes the states of lanes that never had one, in a group that has no members. False when it has
 * some: whoever made it has written them.
 */
export async function writeFirstStates(
  broker: Broker,
  of: GroupTopic,
  states: ReadonlyMap<number, UnownedState>,
): Promise<boolean> {
  try {
    await commitAsNobody(broker, of, states);
    return true;
  } catch (error) {
    if (error instanceof BrokerError && error.code === "fenced") return false;
    throw error;
  }
}
