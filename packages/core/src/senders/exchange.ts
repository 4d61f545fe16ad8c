import type { Batch, Protocol, SendContext, Verdict } from "../delivery.ts";
import { outcomesOf } from "../delivery.ts";
import { messageOf } from "../errors.ts";
import type { HttpRequest, HttpResponse, Runtime } from "../runtime.ts";

/** What one exchange meant; the innermost stages, before outcomes are per event. */
export type Exchange<T = Verdict> = (batch: Batch, context: SendContext) => Promise<T>;

/** What an answer meant, and the answer; `undefined` when none came. */
export interface Answered {
  readonly verdict: Verdict;
  readonly response: HttpResponse | undefined;
}

/** Makes the vendor's request, sends it, lets the vendor's table say what the answer means. No answer is retryable. */
export function exchange(protocol: Protocol, runtime: Pick<Runtime, "clock" | "transport">): Exchange<Answered> {
  return async (batch, context) => {
    if (batch.count === 1 && batch.bytes > protocol.maxEventBytes) {
      const reason = `event of ${batch.bytes} bytes; the vendor takes at most ${protocol.maxEventBytes}`;
      return { verdict: outcomesOf(1, { status: "rejected", reason }), response: undefined };
    }
    let request: HttpRequest;
    try {
      request = protocol.request(batch, runtime.clock.now());
    } catch (error) {
      // It will not be any better next time; halves find the event at fault.
      return {
        verdict: { split: true, reason: `cannot be said to the vendor: ${messageOf(error)}` },
        response: undefined,
      };
    }
    try {
      const response = await runtime.transport(request, context.now);
      return { verdict: protocol.classify(response, batch, runtime.clock.now()), response };
    } catch (error) {
      return {
        verdict: outcomesOf(batch.count, { status: "retryable", reason: messageOf(error) }),
        response: undefined,
      };
    }
  };
}
