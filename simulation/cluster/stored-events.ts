/** Each event that was ever committed, at its position: also those that retention has removed. */
import { decodeValue } from "@waybill/log-kafka";
import type { SimCluster } from "@waybill/testing/kafka";
import { eventsOf } from "../sim-relay.ts";
import { CALLERS_SOURCE } from "./callers.ts";
import { EVENTS_TOPIC } from "./names.ts";

export interface Stored {
  readonly id: string;
  readonly event: Readonly<Record<string, unknown>>;
  /** Whether an event with its id is before it in its partition. */
  readonly isCopy: boolean;
  /** By the clock of the relay that took it. */
  readonly receivedAtMs: number;
  /** Whether it is a caller's: its id is the caller's key, and nobody else gets it. */
  readonly isCall: boolean;
}

interface Known {
  readonly events: Stored[];
  /** The position of the first event of each record. */
  readonly starts: Map<number, number>;
  readonly firsts: Map<string, number>;
  nextOffset: number;
  /** Events before it are removed. */
  removedTo: number;
}

export class StoredEvents {
  readonly #cluster: SimCluster;
  readonly #known: readonly Known[];

  constructor(cluster: SimCluster, partitions: number) {
    this.#cluster = cluster;
    this.#known = Array.from({ length: partitions }, () => ({
      events: [],
      starts: new Map(),
      firsts: new Map(),
      nextOffset: 0,
      removedTo: 0,
    }));
  }

  /** What is committed stays as it is, unless it is removed: to be called before anything is. */
  look(): void {
    for (const [partition, known] of this.#known.entries()) this.#lookAt(partition, known);
  }

  #lookAt(partition: number, known: Known): void {
    const records = this.#cluster.records({ topic: EVENTS_TOPIC, partition });
    const { events, starts, firsts } = known;
    for (const { offset, value } of records.slice(Math.max(0, known.nextOffset - (records[0]?.offset ?? 0)))) {
      starts.set(offset, events.length);
      known.nextOffset = offset + 1;
      const record = decodeValue(value);
      if (record === undefined) throw new Error("a record that no relay has written");
      const { receivedAtMs } = record;
      const isCall = record.source === CALLERS_SOURCE;
      for (const event of eventsOf(record)) {
        if (isCall) {
          const id = (event as unknown as { readonly key: string }).key;
          events.push({ id, event: {}, isCopy: false, isCall, receivedAtMs });
          continue;
        }
        const id = event.messageId;
        const isCopy = firsts.has(id);
        if (!isCopy) firsts.set(id, events.length);
        events.push({ id, event: event as unknown as Stored["event"], isCopy, isCall, receivedAtMs });
      }
    }
    const [first] = records;
    known.removedTo = first === undefined ? known.removedTo : (starts.get(first.offset) ?? known.removedTo);
  }

  of(partition: number): readonly Stored[] {
    const known = this.#known[partition] as Known;
    this.#lookAt(partition, known);
    return known.events;
  }

  removedTo(partition: number): number {
    return (this.#known[partition] as Known).removedTo;
  }

  /** Whether retention has taken the event, its copies left aside. */
  isGone(id: string): boolean {
    this.look();
    return this.#known.some(({ firsts, removedTo }) => (firsts.get(id) ?? Number.POSITIVE_INFINITY) < removedTo);
  }
}
