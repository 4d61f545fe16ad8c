/** What the cluster itself holds at the end: events of the topic, and the states of the lanes. */

import { type Broker, decodeValue, KafkaBroker } from "@waybill/log-kafka";
import { nodeClock } from "@waybill/node";

/** What is committed of one lane. */
export interface Ledger {
  readonly position: number;
  readonly delivered: number;
  readonly rejected: number;
  readonly expired: number;
  readonly dropped: Readonly<Record<string, number>>;
}

const CALL_MS = 20_000;
const FETCH_MAX_BYTES = 4 * 1024 * 1024;
/** A version, a checksum, the state as JSON. */
const STATE = /^waybill\/1 [0-9a-f]{8} (.*)$/s;

export function ledgerOf(metadata: string): Ledger {
  const json = STATE.exec(metadata)?.[1];
  if (json === undefined) throw new Error(`a commit without a state: ${metadata}`);
  return JSON.parse(json) as Ledger;
}

export function settledOf({ delivered, rejected, expired, dropped }: Ledger): number {
  return delivered + rejected + expired + droppedOf(dropped);
}

function droppedOf(dropped: Ledger["dropped"]): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}

/** Every record of a partition, from its first one to its end now. */
export async function* recordsOf(
  broker: Broker,
  place: { readonly topic: string; readonly partition: number },
  from = 0,
): AsyncGenerator<{ readonly offset: number; readonly value: Uint8Array }> {
  const end = await broker.offsetAt({ ...place, at: "end", deadlineMs: CALL_MS });
  for (let offset = from; offset < end; ) {
    const { records } = await broker.fetch({
      ...place,
      offset,
      maxBytes: FETCH_MAX_BYTES,
      maxWaitMs: 0,
      deadlineMs: CALL_MS,
    });
    if (records.length === 0) return;
    for (const record of records) {
      yield record;
      offset = record.offset + 1;
    }
  }
}

export class Ledgers {
  readonly broker: Broker;
  readonly #topic: string;
  readonly #group: string;
  readonly #partitions: readonly number[];
  /** Offset up to which each partition was read. */
  readonly #read: number[];
  /** Events of each partition, copies included. */
  readonly events: number[];
  /** Partition of each event. */
  readonly partitionOf: Map<string, number> = new Map();
  /** By partition; `undefined` before there was one. */
  all: readonly (Ledger | undefined)[];

  private constructor(
    broker: Broker,
    { topic, group, partitions }: { readonly topic: string; readonly group: string; readonly partitions: number },
  ) {
    this.broker = broker;
    this.#topic = topic;
    this.#group = group;
    this.#partitions = Array.from({ length: partitions }, (_, partition) => partition);
    this.#read = this.#partitions.map(() => 0);
    this.events = this.#partitions.map(() => 0);
    this.all = this.#partitions.map(() => undefined);
  }

  static async open(
    brokers: readonly string[],
    names: { readonly topic: string; readonly group: string; readonly partitions: number },
  ): Promise<Ledgers> {
    return new Ledgers(await KafkaBroker.connect({ brokers, clientId: "chaos", clock: nodeClock }), names);
  }

  /** Reads on in the topic, and what is committed. */
  async update(): Promise<void> {
    const [topic, group] = [this.#topic, this.#group];
    for (const partition of this.#partitions) {
      for await (const { offset, value } of recordsOf(this.broker, { topic, partition }, this.#read[partition])) {
        const record = decodeValue(value);
        if (record === undefined) throw new Error(`${topic}-${partition} has no record at ${offset}`);
        this.events[partition] = (this.events[partition] ?? 0) + record.count;
        for (const { messageId } of eventsIn(record.body)) this.partitionOf.set(messageId, partition);
        this.#read[partition] = offset + 1;
      }
    }
    const partitions = this.#partitions.map((partition) => ({ topic, partition }));
    const committed = await this.broker.committed({ group, partitions, deadlineMs: CALL_MS });
    this.all = this.#partitions.map((wanted) => {
      const found = committed.find(({ partition }) => partition === wanted);
      return found === undefined ? undefined : ledgerOf(found.metadata);
    });
  }

  /** Events of a partition that are not in its ledger yet. */
  pendingOf(partition: number): number {
    const ledger = this.all[partition];
    return (this.events[partition] ?? 0) - (ledger === undefined ? 0 : settledOf(ledger));
  }

  get pending(): readonly number[] {
    return this.#partitions.map((partition) => this.pendingOf(partition));
  }

  /** Whether they have each event of the topic once, and as delivered each that is not a copy. */
  get areBalanced(): boolean {
    const delivered = this.all.reduce((sum, ledger) => sum + (ledger?.delivered ?? 0), 0);
    const isComplete = this.#partitions.every(
      (partition) => this.pendingOf(partition) === 0 && this.all[partition]?.position === this.events[partition],
    );
    return isComplete && delivered === this.partitionOf.size;
  }
}

function eventsIn(body: Uint8Array): readonly { readonly messageId: string }[] {
  return JSON.parse(`[${Buffer.from(body).toString("utf8")}]`) as readonly { readonly messageId: string }[];
}
