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
import { bodyOf, pickedEntry } from "./entry-parts.ts";

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
 * Inside of a partition the order is the request's.
 */
export function partsOf(entry: Entry, partitions: number, keysOf: KeysOf): readonly Part[] {
  const { ends, metadata } = entry;
  const body = bodyOf(entry);
  const whole = entry.body[0] === body ? entry : { ...entry, body: [body] };
  const chosen = keysOf({ body, ends, metadata });
  const counts = new Map<number, number>();
  for (let index = 0; index < ends.length; index++) {
    const partition = partitionOf(chosen[index] as number, partitions);
    counts.set(partition, (counts.get(partition) ?? 0) + 1);
  }
  if (counts.size === 1) {
    const [partition] = counts.keys();
    return [{ partition: partition as number, entry: whole, indexes: undefined }];
  }
  return [...counts].map(([partition, count]) => {
    const indexes = new Uint32Array(count);
    let filled = 0;
    for (let index = 0; filled < count; index++)
      if (partitionOf(chosen[index] as number, partitions) === partition) indexes[filled++] = index;
    return { partition, entry: pickedEntry(whole, indexes), indexes };
  });
}
