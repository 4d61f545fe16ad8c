import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 2;

/** Waits until `isDone`. **Errors**: its own, and one after `maxMs`. */
export async function until(maxMs: number, isDone: () => Promise<boolean>): Promise<void> {
  for (const startedAt = performance.now(); !(await isDone()); await sleep(POLL_MS))
    if (performance.now() - startedAt > maxMs) throw new Error(`nothing came of it within ${maxMs} ms`);
}
