import { outcomesOf } from "../delivery.ts";
import type { Clock } from "../runtime.ts";
import type { Answered, Exchange } from "./exchange.ts";

/** Aborts an exchange that takes longer than `timeoutMs`; the batch is then retryable (the vendor may have acted: same key next time). */
export function timeout(timeoutMs: number, clock: Clock, next: Exchange<Answered>): Exchange<Answered> {
  return async (batch, context) => {
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    let timedOut = false;
    const timer = clock.after(timeoutMs, () => {
      timedOut = true;
      abort();
    });
    if (context.now.aborted) abort();
    context.now.addEventListener("abort", abort, { once: true });
    try {
      const answered = await next(batch, { ...context, now: controller.signal });
      const { verdict } = answered;
      if (!timedOut || "split" in verdict || verdict[0]?.status !== "retryable") return answered;
      const reason = `no answer within ${timeoutMs} ms`;
      return { verdict: outcomesOf(batch.count, { status: "retryable", reason }), response: undefined };
    } finally {
      timer.cancel();
      context.now.removeEventListener("abort", abort);
    }
  };
}
