import type { Batch, Outcome, SendContext, Sender } from "../delivery.ts";
import { INTERRUPTED, isFinal, outcomesOf } from "../delivery.ts";
import type { Exchange } from "./exchange.ts";

/** UTF-8 needs no more for a unit of a text. */
const UNIT_MAX_BYTES = 3;

/**
 * When a vendor refuses a batch for a fault of some event, or for its size, tries halves until only
 * the event at fault is refused: one bad event harms no other, at a cost of 2·log2(n) requests.
 * An event of more than `maxEventBytes` goes on alone, to be refused as it would be without others.
 * Order is kept; once a part could not be delivered now, the later ones are not tried.
 */
export function split(next: Exchange, maxEventBytes: number): Sender {
  const sender: Sender = {
    async send(batch, context) {
      const large = tooLargeAt(batch, maxEventBytes);
      if (large >= 0) return inParts(sender, batch, [large, large + 1], context);
      const verdict = await next(batch, context);
      if (!("split" in verdict)) return verdict;
      if (batch.count === 1) return [{ status: "rejected", reason: verdict.reason }];
      return inParts(sender, batch, [batch.count >> 1], context);
    },
  };
  return sender;
}

/** The first event beside others that is larger; -1 without one. */
function tooLargeAt(batch: Batch, maxBytes: number): number {
  if (batch.count === 1 || batch.bytes <= maxBytes) return -1;
  for (let index = 0; index < batch.count; index++) {
    const mayBe = UNIT_MAX_BYTES * batch.event(index).length > maxBytes;
    if (mayBe && batch.slice(index, index + 1).bytes > maxBytes) return index;
  }
  return -1;
}

/** The parts of a batch between `cuts`, one after another. */
async function inParts(
  sender: Sender,
  batch: Batch,
  cuts: readonly number[],
  context: SendContext,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  let stopped: Outcome | undefined;
  for (const end of [...cuts, batch.count]) {
    const start = outcomes.length;
    if (end === start) continue;
    if (start > 0 && context.soon.aborted) stopped ??= INTERRUPTED;
    const sent =
      stopped === undefined ? await sender.send(batch.slice(start, end), context) : outcomesOf(end - start, stopped);
    outcomes.push(...sent);
    stopped ??= sent.find((outcome) => !isFinal(outcome));
  }
  return outcomes;
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
