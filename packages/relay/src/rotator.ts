/**
 * Which keys of a ring are valid and which one is used, as a function of what happened and the time: nothing else decides.
 *
 * A ring is a source's keys of one kind (those that clients may send), or a destination's credential with those it replaced (those that we send). A rotation makes a new key the
 * one in use; the others stay valid for a grace period, for senders that have not heard of it. A key that a vendor refuses is not used while there is another valid one.
 *
 * Invariants (rotator.test.ts, random interleavings): a ring with a key always has a valid one, and the one in use is among the valid.
 */
export interface RingKey {
  readonly key: string;
  /** From then on it is not valid, epoch ms. */
  readonly expiresAtMs: number;
  /** A vendor has said that it is wrong. */
  readonly refused: boolean;
}

/** Oldest first; the last one is the newest. */
export type Ring = readonly RingKey[];

export type RingEvent =
  /** A configuration was loaded: these are the keys, the first one in use. */
  | { readonly type: "configured"; readonly keys: readonly { readonly key: string; readonly expiresAtMs?: number }[] }
  | { readonly type: "rotated"; readonly key: string; readonly graceMs: number }
  | { readonly type: "refused"; readonly key: string };

export const EMPTY_RING: Ring = [];

/** The ring after an event at `nowMs`. */
export function ringAfter(ring: Ring, event: RingEvent, nowMs: number): Ring {
  switch (event.type) {
    case "configured":
      return event.keys
        .map(({ key, expiresAtMs = Number.POSITIVE_INFINITY }) => ({
          key,
          expiresAtMs,
          refused: ring.find((known) => known.key === key)?.refused ?? false,
        }))
        .toReversed();
    case "rotated": {
      const until = nowMs + event.graceMs;
      const others = ring
        .filter(({ key, expiresAtMs }) => key !== event.key && expiresAtMs > nowMs)
        .map((known) => ({ ...known, expiresAtMs: Math.min(known.expiresAtMs, until) }));
      return [...others, { key: event.key, expiresAtMs: Number.POSITIVE_INFINITY, refused: false }];
    }
    case "refused":
      return ring.map((known) => (known.key === event.key ? { ...known, refused: true } : known));
  }
}

/** The keys that are valid. When all have expired the newest stays: a ring never becomes empty by time alone. */
export function acceptedKeys(ring: Ring, nowMs: number): readonly string[] {
  const valid = ring.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
  const newest = ring.at(-1);
  return valid.length > 0 || newest === undefined ? valid.map(({ key }) => key) : [newest.key];
}

/** The key to use: the newest valid one that was not refused, or the newest valid one; `undefined` for an empty ring. */
export function servingKey(ring: Ring, nowMs: number): string | undefined {
  const accepted = acceptedKeys(ring, nowMs);
  const candidates = ring.filter(({ key }) => accepted.includes(key));
  return (candidates.findLast(({ refused }) => !refused) ?? candidates.at(-1))?.key;
}
