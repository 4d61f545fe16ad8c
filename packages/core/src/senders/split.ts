import type { Sender } from "../delivery.ts";
import { INTERRUPTED, isFinal, outcomesOf } from "../delivery.ts";
import type { Exchange } from "./exchange.ts";

/**
 * When a vendor refuses a batch for a fault of some event, or for its size, tries halves until only
 * the event at fault is refused: one bad event harms no other, at a cost of 2·log2(n) requests.
 * Order is kept; once a half could not be delivered now, the later half is not tried.
 */
export function split(next: Exchange): Sender {
  return {
    async send(batch, context) {
      const verdict = await next(batch, context);
      if (!("split" in verdict)) return verdict;
      if (batch.count === 1) return [{ status: "rejected", reason: verdict.reason }];
      const middle = batch.count >> 1;
      const firstHalf = await this.send(batch.slice(0, middle), context);
      const stopped =
        firstHalf.find((outcome) => !isFinal(outcome)) ?? (context.soon.aborted ? INTERRUPTED : undefined);
      const secondHalf =
        stopped === undefined
          ? await this.send(batch.slice(middle, batch.count), context)
          : outcomesOf(batch.count - middle, stopped);
      return [...firstHalf, ...secondHalf];
    },
  };
}

/**
 * A stage for clients that lose a batch that is refused for a fault of some event: it is refused as
 * a whole.
 */
export function unhalved(next: Exchange): Exchange {
  return async (batch, context) => {
    const verdict = await next(batch, context);
    return "split" in verdict ? outcomesOf(batch.count, { status: "rejected", reason: verdict.reason }) : verdict;
  };
}
