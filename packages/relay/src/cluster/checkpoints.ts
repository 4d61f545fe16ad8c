/**
 * Where positions of a partition are known without counting from its beginning: the metadata of an
 * offset commit of a group that has no members. What it says is a fact of the log, so it does not
 * matter which relay writes it, nor in which order.
 */
import { type Broker, BrokerError, type Checkpoint, parseStateText, stateJson, stateText } from "@waybill/log-kafka";

/** Of one call, ms. */
const CALL_MS = 10_000;
const NOBODY = { memberId: "", memberEpoch: -1 };

interface Place {
  readonly position: number;
  readonly byte: number;
}

export class Checkpoints {
  readonly #broker: Broker;
  readonly #group: string;
  readonly #topic: string;
  readonly #written = new Map<number, number>();

  constructor(broker: Broker, { group, topic }: { readonly group: string; readonly topic: string }) {
    this.#broker = broker;
    this.#group = group;
    this.#topic = topic;
  }

  /** `undefined` when there is none yet. **Errors**: `BrokerError`, `WAYBILL_LOG_DAMAGED`. */
  async read(partition: number): Promise<Checkpoint | undefined> {
    const place = { group: this.#group, topic: this.#topic, partition };
    const [found] = await this.#broker.committed({ group: this.#group, partitions: [place], deadlineMs: CALL_MS });
    if (found === undefined) return undefined;
    const { offset, metadata } = found;
    return { offset, ...parseStateText(metadata, place, { offset, parse: parsePlace }) };
  }

  /** Those that have moved on; what fails is written with the next. **Errors**: `BrokerError`. */
  async write(checkpoints: ReadonlyMap<number, Checkpoint>): Promise<void> {
    const moved = [...checkpoints].filter(([partition, { offset }]) => (this.#written.get(partition) ?? -1) < offset);
    if (moved.length === 0) return;
    const states = moved.map(
      ([partition, { offset, position, byte }]) => [partition, { offset, state: { position, byte } }] as const,
    );
    await commitAsNobody(this.#broker, { group: this.#group, topic: this.#topic }, states);
    for (const [partition, { offset }] of moved) this.#written.set(partition, offset);
  }
}

function parsePlace(value: unknown): Place | undefined {
  const { position, byte } = value as Partial<Place>;
  return Number.isSafeInteger(position) && Number.isSafeInteger(byte) ? (value as Place) : undefined;
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
