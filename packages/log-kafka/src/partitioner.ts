/**
 * Which partition an event goes to, and an entry as one entry for each partition.
 *
 * **It may never change.** Events of one user keep their order, and a copy of an event meets the
 * first one, because all of them are in the partition that the hash of their order key names. A
 * test has fixed values.
 *
 * Partitions divide the range of the hash: its high bits choose. The strands of a lane divide the
 * events of a partition by the low ones; had partitions been chosen by those too, all events of a
 * partition would be in a few strands.
 */
import type { Entry } from "@waybill/log";
import { bodyOf, COMMA, startOf } from "./entry-parts.ts";

const HASHES = 2 ** 32;

/** `hash`: 32 bits, as even in its high bits as in its low ones. */
export function partitionOf(hash: number, partitions: number): number {
  return Math.floor((hash * partitions) / HASHES);
}

export interface Part {
  readonly partition: number;
  readonly entry: Entry;
  /** Which events of the request they are, ascending. `undefined`: all of them. */
  readonly indexes: Uint32Array | undefined;
}

export interface KeyedEntry {
  /** The serialised events separated by commas, in one piece. */
  readonly body: Uint8Array;
  readonly ends: Uint32Array;
  readonly metadata: string;
}

/** Of each event the hash of its order key: user, else anonymous id, else its own id. */
export type KeysOf = (entry: KeyedEntry) => Uint32Array;

/**
 * An entry for each partition that has events of it, in the order in which their first events come.
 * Inside of a partition the order is the request's. The bytes of all are in one piece of memory.
 */
export function partsOf(entry: Entry, partitions: number, keysOf: KeysOf): readonly Part[] {
  const { ends, metadata } = entry;
  const body = bodyOf(entry);
  const whole = entry.body[0] === body ? entry : { ...entry, body: [body] };
  const keys = keysOf({ body, ends, metadata });
  const byPartition = new Map<number, GatheredPart>();
  const partOf: GatheredPart[] = [];
  for (let index = 0; index < ends.length; index++) {
    const partition = partitionOf(keys[index] as number, partitions);
    let part = byPartition.get(partition);
    if (part === undefined) {
      part = new GatheredPart(partition);
      byPartition.set(partition, part);
    }
    part.count(startOf(ends, index), ends[index] as number);
    partOf.push(part);
  }
  const [only] = byPartition.values();
  if (only !== undefined && byPartition.size === 1)
    return [{ partition: only.partition, entry: whole, indexes: undefined }];
  const memory = Buffer.allocUnsafe(body.length);
  let at = 0;
  for (const part of byPartition.values()) at = part.begin(memory, at);
  for (const [index, part] of partOf.entries()) part.add(index, body.subarray(startOf(ends, index), ends[index]));
  return Array.from(byPartition.values(), (part) => part.end(entry));
}

/** The events of a partition: counted first, then copied. */
class GatheredPart {
  readonly partition: number;
  #count = 0;
  #bytes = 0;
  #body: Uint8Array = new Uint8Array(0);
  #ends = new Uint32Array(0);
  #indexes = new Uint32Array(0);
  #copied = 0;
  #at = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  count(start: number, end: number): void {
    // With the comma before it, which the first one has not.
    this.#bytes += end - start + (this.#count === 0 ? 0 : 1);
    this.#count += 1;
  }

  /** Its bytes come at `at` of `memory`; returns where the next part's do. */
  begin(memory: Uint8Array, at: number): number {
    const end = at + this.#bytes;
    this.#body = memory.subarray(at, end);
    this.#ends = new Uint32Array(this.#count);
    this.#indexes = new Uint32Array(this.#count);
    return end;
  }

  add(index: number, event: Uint8Array): void {
    if (this.#copied > 0) this.#body[this.#at++] = COMMA;
    this.#body.set(event, this.#at);
    this.#at += event.length;
    this.#ends[this.#copied] = this.#at;
    this.#indexes[this.#copied] = index;
    this.#copied += 1;
  }

  end(entry: Entry): Part {
    const { source, receivedAtMs, metadata } = entry;
    const body = [this.#body];
    return {
      partition: this.partition,
      entry: { source, receivedAtMs, metadata, body, ends: this.#ends },
      indexes: this.#indexes,
    };
  }
}
