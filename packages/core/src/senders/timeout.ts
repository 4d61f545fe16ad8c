import type { Clock, Timer } from "../runtime.ts";
import { type Answered, all, type Exchange } from "./exchange.ts";

/**
 * An exchange that does not end when it is aborted is left to itself after this long: it would hold
 * its lane for ever.
 */
const ABORT_GRACE_MS = 1_000;

/**
 * Aborts an exchange that takes longer than `timeoutMs`; the batch is then retryable (the vendor
 * may have acted: same key next time).
 */
export function timeout(timeoutMs: number, clock: Clock, next: Exchange<Answered>): Exchange<Answered> {
  return (batch, context) =>
    new Promise((resolve, reject) => {
      const controller = new AbortController();
      let late: string | undefined;
      let grace: Timer | undefined;
      const end = (settle: () => void): void => {
        timer.cancel();
        grace?.cancel();
        context.now.removeEventListener("abort", abort);
        settle();
      };
      const giveUp = (): void => resolve(all(batch.count, "retryable", late ?? "aborted"));
      const abort = (): void => {
        timer.cancel();
        controller.abort();
        grace ??= clock.after(ABORT_GRACE_MS, () => end(giveUp), true);
      };
      const timer = clock.after(timeoutMs, () => {
        late = `no answer within ${timeoutMs} ms`;
        abort();
      });
      if (context.now.aborted) abort();
      context.now.addEventListener("abort", abort, { once: true });
      next(batch, { ...context, now: controller.signal }).then(
        (answered) => {
          const { verdict } = answered;
          const isLate = late !== undefined && !("split" in verdict) && verdict[0]?.status === "retryable";
          end(isLate ? giveUp : () => resolve(answered));
        },
        (error: unknown) => end(() => reject(error)),
      );
    });
}
