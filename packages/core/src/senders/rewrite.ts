import type { Attempt, Batch, Outcome, SendContext, Verdict } from "../delivery.ts";
import { DELIVERED } from "../delivery.ts";
import { messageOf } from "../errors.ts";
import type { Exchange } from "./exchange.ts";

/** A batch rewritten as a whole: the request does not have one event for each of the batch. */
export interface Rewritten {
  /** What is sent; `undefined` when nothing is left to send. */
  readonly batch: Batch | undefined;
  /** Events that cannot be encoded, by their index, with the reason. */
  readonly rejected: ReadonlyMap<number, string>;
  /** Called when it was delivered, with the last attempt. */
  readonly delivered: (attempt: Attempt | undefined) => void;
}

/** Called at each attempt; what it remembers of a batch counts only once that is delivered. */
export type Rewrite = (batch: Batch) => Rewritten;

/** A batch is rewritten in one step, which nothing can interrupt: a larger one is halved first. */
const STEP_MAX_BYTES = 1024 * 1024;

/**
 * Sends what `encode` makes of a batch: its outcome is that of all events of the batch but those
 * that cannot be encoded.
 */
export function rewrite(encode: Rewrite): (next: Exchange) => Exchange {
  return (next) =>
    async (batch, context): Promise<Verdict> => {
      if (batch.count > 1 && batch.bytes > STEP_MAX_BYTES) return { split: true, reason: "too large for one step" };
      let rewritten: Rewritten;
      try {
        rewritten = encode(batch);
      } catch (error) {
        // Halves find the event at fault.
        return { split: true, reason: `cannot be encoded for the vendor: ${messageOf(error)}` };
      }
      const { batch: encoded, rejected, delivered } = rewritten;
      let last: Attempt | undefined;
      const attempted = (attempt: Attempt): void => {
        last = attempt;
        context.watch.attempted(attempt, batch);
      };
      const watching: SendContext = { ...context, watch: { ...context.watch, attempted } };
      const verdict: Verdict = encoded === undefined ? [DELIVERED] : await next(encoded, watching);
      if ("split" in verdict) return verdict;
      const failed = verdict.find(({ status }) => status !== "delivered");
      if (failed === undefined) remember(delivered, last);
      return Array.from({ length: batch.count }, (_, index): Outcome => {
        const reason = rejected.get(index);
        return reason === undefined ? (failed ?? DELIVERED) : { status: "rejected", reason };
      });
    };
}

/** The events were delivered whatever this throws; what it does not remember is sent again. */
function remember(delivered: Rewritten["delivered"], attempt: Attempt | undefined): void {
  try {
    delivered(attempt);
  } catch {
    // Sending again would be worse.
  }
}
