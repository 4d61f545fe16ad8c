import type { Clock, Timer } from "@waybill/core";
import { nodeClock } from "@waybill/node";

const STEP_MS = 5;

let atMs = 0;
let seenMs = nodeClock.monotonic();

function look(): number {
  const nowMs = nodeClock.monotonic();
  atMs += Math.min(nowMs - seenMs, 2 * STEP_MS);
  seenMs = nowMs;
  return atMs;
}

function keepLooking(): void {
  nodeClock.after(STEP_MS, () => {
    look();
    keepLooking();
  });
}
keepLooking();

/**
 * The real clock, but however long the machine holds this process up, that counts as one step: no
 * deadline is over before what came meanwhile was read.
 */
export const steadyClock: Clock = {
  now: () => nodeClock.now(),
  monotonic: look,
  after(delayMs, run, hold) {
    const dueMs = look() + delayMs;
    const wait = (): Timer => nodeClock.after(dueMs - look(), () => (look() < dueMs ? (timer = wait()) : run()), hold);
    let timer = wait();
    return { cancel: () => timer.cancel() };
  },
};
