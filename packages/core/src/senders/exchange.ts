import type { Batch, Protocol, SendContext, Verdict } from "../delivery.ts";
import { outcomesOf } from "../delivery.ts";
import { messageOf } from "../errors.ts";
import type { Runtime } from "../runtime.ts";

/** What one exchange meant; the innermost stages, before outcomes are per event. */
export type Exchange<T = Verdict> = (batch: Batch, context: SendContext) => Promise<T>;

/** What an answer meant, and its status; `undefined` when none came. */
export interface Answered {
  readonly verdict: Verdict;
  readonly status: number | undefined;
}

/** Makes the vendor's request, sends it, lets the vendor's table say what the answer means. No answer is retryable. */
export function exchange(protocol: Protocol, runtime: Pick<Runtime, "clock" | "transport">): Exchange<Answered> {
  return async (batch, context) => {
    if (batch.count === 1 && batch.bytes > protocol.maxEventBytes) {
      const reason = `event of ${batch.bytes} bytes; the vendor takes at most ${protocol.maxEventBytes}`;
      return { verdict: outcomesOf(1, { status: "rejected", reason }), status: undefined };
    }
    try {
      const response = await runtime.transport(protocol.request(batch, runtime.clock.now()), context.now);
      return { verdict: protocol.classify(response, batch, runtime.clock.now()), status: response.status };
    } catch (error) {
      return {
        verdict: outcomesOf(batch.count, { status: "retryable", reason: messageOf(error) }),
        status: undefined,
      };
    }
  };
}
