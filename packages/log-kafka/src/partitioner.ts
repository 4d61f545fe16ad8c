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
import { bodyOf, startOf } from "./entry-parts.ts";

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
  const keys = keysOf({ body, ends, metadata });
  const parts: GatheredPart[] = [];
  const byPartition = new Array<GatheredPart | undefined>(partitions);
  for (let index = 0; index < ends.length; index++) {
    const partition = partitionOf(keys[index] as number, partitions);
    let part = byPartition[partition];
    if (part === undefined) {
      part = { partition, events: [] };
      byPartition[partition] = part;
      parts.push(part);
    }
    part.events.push(index);
  }
  const [only] = parts;
  if (only !== undefined && parts.length === 1) {
    const whole = entry.body[0] === body ? entry : { ...entry, body: [body] };
    return [{ partition: only.partition, entry: whole, indexes: undefined }];
  }
  return copied(entry, body, parts);
}

/** The events of a partition, not copied yet. */
interface GatheredPart {
  readonly partition: number;
  /** Their places in the request. */
  readonly events: number[];
}

function copied(
  { ends, source, receivedAtMs, metadata }: Entry,
  from: Uint8Array,
  parts: readonly GatheredPart[],
): readonly Part[] {
  const memory = new Uint8Array(Buffer.allocUnsafeSlow(from.length).buffer);
  const allEnds = new Uint32Array(ends.length);
  const allIndexes = new Uint32Array(ends.length);
  let at = 0;
  let place = 0;
  return parts.map(({ partition, events }) => {
    const begin = at;
    const first = place;
    for (const index of events) {
      // Of an event that is not the first one with the comma before it.
      const start = startOf(ends, index) - (place === first ? 0 : 1);
      const length = (ends[index] as number) - start;
      memory.set(new Uint8Array(from.buffer, from.byteOffset + start, length), at);
      at += length;
      allEnds[place] = at - begin;
      allIndexes[place] = index;
      place += 1;
    }
    const body = [memory.subarray(begin, at)];
    const entry = { source, receivedAtMs, metadata, body, ends: allEnds.subarray(first, place) };
    return { partition, entry, indexes: allIndexes.subarray(first, place) };
  });
}
