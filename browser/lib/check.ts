/** What a flow finds wrong, in a sentence. */
export class Broken extends Error {
  override readonly name = "Broken";
}

export function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Broken(what);
}

const LOOK_EVERY_MS = 50;

/** Looks until it holds. **Errors**: `Broken` with `what` after `maxMs`. */
export async function until(holds: () => Promise<boolean> | boolean, maxMs: number, what: string): Promise<void> {
  const end = performance.now() + maxMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Broken(what);
    await sleep(LOOK_EVERY_MS);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
