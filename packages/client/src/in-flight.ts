/**
 * How many batches a destination has on their way at once: one more after each good answer while
 * there was use for it, half as many after a 429, a 503 or no answer, once per round trip.
 *
 * Another batch leaves beside those on their way only when it is a full one: requests stay few, and
 * a destination near by gets one after another, as large as they come.
 */
import type { Attempt, BatchLimits, Clock, Store } from "@waybill/core";

/** Enough for a full batch of Segment's every 3 ms at a distance of 100 ms. */
export const MAX_IN_FLIGHT = 32;

export interface InFlight {
  /** How many there may be now. */
  readonly width: () => number;
  readonly observe: (attempt: Attempt) => void;
}

export function inFlight(store: Pick<Store, "pending">, { maxEvents, maxBytes }: BatchLimits, clock: Clock): InFlight {
  let most = 1;
  let shrunkAtMs = 0;
  const width = (): number => {
    const { events, bytes } = store.pending();
    return Math.max(1, Math.min(most, Math.floor(Math.max(events / maxEvents, bytes / maxBytes))));
  };
  return {
    width,
    observe({ atMs, status, delivered }) {
      if (status === undefined || status === 429 || status === 503) {
        // What left before the last time tells nothing of the smaller number.
        if (atMs < shrunkAtMs) return;
        shrunkAtMs = clock.now();
        most = most >> 1 || 1;
      } else if (delivered > 0 && width() === most) most = Math.min(MAX_IN_FLIGHT, most + 1);
    },
  };
}
