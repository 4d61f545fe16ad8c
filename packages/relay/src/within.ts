import { type Clock, sleep } from "@waybill/core";

/** Waits for `work`, at most so long. */
export async function within(deadlineMs: number, clock: Clock, work: Promise<void>): Promise<void> {
  const done = new AbortController();
  const finished = work.finally(() => done.abort());
  await Promise.race([finished, sleep(clock, deadlineMs, done.signal)]);
}
