import type { Batch, Protocol, SendContext, Verdict } from "../delivery.ts";
import { outcomesOf } from "../delivery.ts";
import { messageOf } from "../errors.ts";
import type { Runtime } from "../runtime.ts";

/** One request for one batch and what its answer meant: the innermost stages, before outcomes are per event. */
export type Exchange = (batch: Batch, context: SendContext) => Promise<Verdict>;

/** Makes the vendor's request, sends it, lets the vendor's table say what the answer means. No answer is retryable. */
export function exchange(protocol: Protocol, runtime: Pick<Runtime, "clock" | "transport">): Exchange {
  return async (batch, context) => {
    if (batch.count === 1 && batch.bytes > protocol.maxEventBytes) {
      const reason = `event of ${batch.bytes} bytes; the vendor takes at most ${protocol.maxEventBytes}`;
      return outcomesOf(1, { status: "rejected", reason });
    }
    try {
      const response = await runtime.transport(protocol.request(batch, runtime.clock.now()), context.now);
      return protocol.classify(response, batch, runtime.clock.now());
    } catch (error) {
      return outcomesOf(batch.count, { status: "retryable", reason: messageOf(error) });
    }
  };
}
