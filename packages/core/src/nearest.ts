/**
 * The entry of `known` that `given` was most likely meant to be, or `undefined` when none is close.
 */
export function nearest(given: string, known: readonly string[]): string | undefined {
  const wanted = given.toLowerCase();
  let best: string | undefined;
  // A third of the characters may differ; two always may.
  let bestDistance = Math.max(2, Math.floor(given.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance with swaps of neighbours counted as one edit. */
function editDistance(a: string, b: string): number {
  const distances: number[][] = [];
  const from = (row: number, column: number): number => distances[row]?.[column] ?? row + column;
  for (let row = 1; row <= a.length; row++) {
    distances[row] = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      const isSwapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      (distances[row] as number[])[column] = Math.min(
        from(row - 1, column) + 1,
        from(row, column - 1) + 1,
        from(row - 1, column - 1) + (isSame ? 0 : 1),
        isSwapped ? from(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
  }
  return from(a.length, b.length);
}
