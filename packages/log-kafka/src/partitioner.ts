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
import { type Entry, sizesOf } from "@waybill/log";
import { bodyOf, startOf } from "./entry-parts.ts";
import { type EncodedValue, encodeAround } from "./record-value.ts";

const HASHES = 2 ** 32;
const COMMA_BYTES = 1;

/** `hash`: 32 bits, as even in its high bits as in its low ones. */
export function partitionOf(hash: number, partitions: number): number {
  return Math.floor((hash * partitions) / HASHES);
}

export interface Part {
  readonly partition: number;
  readonly entry: Entry;
  /** Which events of the request they are, ascending. `undefined`: all of them. */
  readonly indexes: Uint32Array | undefined;
  /** What the entry is as a value, where it has been encoded. */
  readonly encoded?: EncodedValue;
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
 * Inside of a partition the order is the request's. Where there are several they are encoded, in
 * one piece of memory. **Errors**: then as of `encodeValue`.
 */
export function partsOf(entry: Entry, partitions: number, keysOf: KeysOf): readonly Part[] {
  const { ends, metadata } = entry;
  const body = bodyOf(entry);
  const keys = keysOf({ body, ends, metadata });
  const counts = new Uint32Array(partitions);
  const order: number[] = [];
  for (let index = 0; index < ends.length; index++) {
    const partition = partitionOf(keys[index] as number, partitions);
    if (counts[partition] === 0) order.push(partition);
    counts[partition] = (counts[partition] as number) + 1;
  }
  const [only] = order;
  if (only !== undefined && order.length === 1) {
    const whole = entry.body[0] === body ? entry : { ...entry, body: [body] };
    return [{ partition: only, entry: whole, indexes: undefined }];
  }
  // Where the next event of each partition belongs among all events.
  const next = new Uint32Array(partitions);
  let place = 0;
  for (const partition of order) {
    next[partition] = place;
    place += counts[partition] as number;
  }
  const indexes = new Uint32Array(ends.length);
  for (let index = 0; index < ends.length; index++) {
    const partition = partitionOf(keys[index] as number, partitions);
    const at = next[partition] as number;
    indexes[at] = index;
    next[partition] = at + 1;
  }
  const chosen = order.map((partition) => {
    const end = next[partition] as number;
    return { partition, indexes: indexes.subarray(end - (counts[partition] as number), end) };
  });
  return encoded(entry, body, chosen);
}

interface Chosen {
  readonly partition: number;
  readonly indexes: Uint32Array;
}

function encoded(entry: Entry, from: Uint8Array, chosen: readonly Chosen[]): readonly Part[] {
  let bytes = 0;
  const laidOut = chosen.map(({ partition, indexes }) => {
    const ends = endsOf(entry.ends, indexes);
    const { headBytes, sizeBytes } = sizesOf(entry, ends.length, ends.at(-1) ?? 0);
    const at = bytes;
    bytes += sizeBytes;
    return { partition, indexes, ends, at, headBytes };
  });
  const memory = Buffer.allocUnsafeSlow(bytes);
  const { source, receivedAtMs, metadata } = entry;
  return laidOut.map(({ partition, indexes, ends, at, headBytes }) => {
    const bodyAt = at + headBytes;
    let to = bodyAt;
    for (const index of indexes) {
      const start = startOf(entry.ends, index) - (to === bodyAt ? 0 : COMMA_BYTES);
      const length = (entry.ends[index] as number) - start;
      memory.set(new Uint8Array(from.buffer, from.byteOffset + start, length), to);
      to += length;
    }
    const part = { source, receivedAtMs, metadata, body: [memory.subarray(bodyAt, to)], ends };
    return { partition, indexes, entry: part, encoded: encodeAround(part, memory, at) };
  });
}

/** Of events that are copied, each that is not the first one with the comma before it. */
function endsOf(from: Uint32Array, indexes: Uint32Array): Uint32Array {
  const ends = new Uint32Array(indexes.length);
  let end = -COMMA_BYTES;
  for (let at = 0; at < indexes.length; at++) {
    const index = indexes[at] as number;
    end += COMMA_BYTES + (from[index] as number) - startOf(from, index);
    ends[at] = end;
  }
  return ends;
}
