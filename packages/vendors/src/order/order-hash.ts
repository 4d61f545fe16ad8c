/**
 * The number by which events of one person are kept in order: 32 bits of an id.
 *
 * **It may never change.** The states of lanes on disk have it: with another one, events that wait
 * there would be sent beside later ones of the same person. A test has fixed values.
 *
 * FNV-1a over the UTF-8 of the id with the finish of MurmurHash3, so that its low bits, by which
 * events are spread, are as even as all others. It protects nothing: anybody can find two ids of
 * one hash, and their events then wait for each other.
 */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** In the place of 0, which says that an event is nobody's. */
const INSTEAD_OF_ZERO = 1;
const encoder = new TextEncoder();

/** Of the bytes from `start` to `end`; 0 when `stop` is among them, else never. */
export function hashOfBytes(bytes: Uint8Array, start: number, end: number, stop = -1): number {
  let hash = FNV_OFFSET;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte === stop) return 0;
    hash = Math.imul(hash ^ byte, FNV_PRIME);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0 || INSTEAD_OF_ZERO;
}

/** The order hash of an id, whichever member of an event it is in. Never 0. */
export function orderHash(id: string): number {
  const bytes = encoder.encode(id);
  return hashOfBytes(bytes, 0, bytes.length);
}
