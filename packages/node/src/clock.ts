import type { Clock } from "@waybill/core";

/** Longest delay `setTimeout` takes; a longer one would fire at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

export const nodeClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, run, hold = false) {
    const timer = setTimeout(run, Math.min(Math.max(0, delayMs), DELAY_MAX_MS));
    if (!hold) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
