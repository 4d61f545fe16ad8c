/** Compares what an SDK was given with what the vendor keeps. */

export interface Counted {
  readonly events: number;
  readonly lost: number;
  readonly duplicates: number;
}

/** Names are distinct. What else the vendor keeps, made by the SDK itself, is not counted. */
export function count(given: readonly string[], kept: readonly string[]): Counted {
  const copies = new Map(given.map((name) => [name, 0]));
  for (const name of kept) {
    const before = copies.get(name);
    if (before !== undefined) copies.set(name, before + 1);
  }
  const numbers = [...copies.values()];
  return {
    events: numbers.length,
    lost: numbers.filter((number) => number === 0).length,
    duplicates: numbers.reduce((sum, number) => sum + Math.max(0, number - 1), 0),
  };
}
