import type { VirtualClock } from "@waybill/testing";

/** Lets virtual time pass until the promise has settled, and gives what it settled with. */
export async function runUntil<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = (): void => void (isSettled = true);
  promise.then(settled, settled);
  await clock.until(() => isSettled);
  return promise;
}
