/**
 * Which keys of a key set are valid and which one is used, as a function of what happened and the
 * time: nothing else decides.
 *
 * A key set is a source's keys of one kind (those that clients may send), or a destination's
 * credential with those it replaced (those that we send). A rotation makes a new key the one in
 * use; the others stay valid for a grace period, for senders that have not heard of it. A key that
 * a vendor refuses is not used while there is another valid one.
 *
 * Invariants (rotator.test.ts, random interleavings): a key set with a key always has a valid one,
 * and the one in use is among the valid.
 */
export interface KeySetKey {
  readonly key: string;
  /** From then on it is not valid, epoch ms. */
  readonly expiresAtMs: number;
  /** A vendor has said that it is wrong. */
  readonly refused: boolean;
}

/** Oldest first; the last one is the newest. */
export type KeySet = readonly KeySetKey[];

export type KeySetEvent =
  /** A configuration was loaded: these are the keys, the first one in use. */
  | { readonly type: "configured"; readonly keys: readonly { readonly key: string; readonly expiresAtMs?: number }[] }
  | { readonly type: "rotated"; readonly key: string; readonly graceMs: number }
  | { readonly type: "refused"; readonly key: string };

export const EMPTY_KEY_SET: KeySet = [];

/** The key set after an event at `nowMs`. */
export function keySetAfter(keySet: KeySet, event: KeySetEvent, nowMs: number): KeySet {
  switch (event.type) {
    case "configured":
      return event.keys
        .map(({ key, expiresAtMs = Number.POSITIVE_INFINITY }) => ({
          key,
          expiresAtMs,
          refused: keySet.find((known) => known.key === key)?.refused ?? false,
        }))
        .toReversed();
    case "rotated": {
      const until = nowMs + event.graceMs;
      const others = keySet
        .filter(({ key, expiresAtMs }) => key !== event.key && expiresAtMs > nowMs)
        .map((known) => ({ ...known, expiresAtMs: Math.min(known.expiresAtMs, until) }));
      return [...others, { key: event.key, expiresAtMs: Number.POSITIVE_INFINITY, refused: false }];
    }
    case "refused":
      return keySet.map((known) => (known.key === event.key ? { ...known, refused: true } : known));
  }
}

/**
 * The keys that are valid. When all have expired the newest stays: a key set never becomes empty by
 * time alone.
 */
export function acceptedKeys(keySet: KeySet, nowMs: number): readonly string[] {
  const valid = keySet.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
  const newest = keySet.at(-1);
  return valid.length > 0 || newest === undefined ? valid.map(({ key }) => key) : [newest.key];
}

/**
 * The key to use: the newest valid one that was not refused, or the newest valid one; `undefined`
 * for an empty key set.
 */
export function servingKey(keySet: KeySet, nowMs: number): string | undefined {
  const accepted = acceptedKeys(keySet, nowMs);
  const candidates = keySet.filter(({ key }) => accepted.includes(key));
  return (candidates.findLast(({ refused }) => !refused) ?? candidates.at(-1))?.key;
}
