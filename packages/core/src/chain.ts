import type { Protocol, Sender } from "./delivery.ts";
import { outcomesOf } from "./delivery.ts";
import type { Runtime } from "./runtime.ts";
import { type Exchange, exchange } from "./senders/exchange.ts";
import { observe } from "./senders/observe.ts";
import { rateLimit } from "./senders/rate-limit.ts";
import { type RetryOptions, retry } from "./senders/retry.ts";
import { singly } from "./senders/singly.ts";
import { split } from "./senders/split.ts";
import { timeout } from "./senders/timeout.ts";
import { type Translate, translate } from "./senders/translate.ts";

export interface SenderOptions extends RetryOptions {
  readonly protocol: Protocol;
  readonly runtime: Runtime;
  /** For one request, from its start to the end of the answer. */
  readonly timeoutMs: number;
  /** No limit when absent. */
  readonly maxRequestsPerSecond?: number;
  /** Whether a batch that the vendor refuses as a whole is tried in halves. Default true. */
  readonly halve?: boolean;
  /** A stage of the caller's own, outside of the rate limit: `rewrite(say)`. Given as a function, so that who needs none carries none. */
  readonly stage?: (next: Exchange) => Exchange;
  /** For events that are not in the vendor's own words. */
  readonly translate?: Translate;
}

/** The chain of one destination: translate(retry(singly(split(stage(rateLimit(observe(timeout(exchange)))))))). */
export function createSender(options: SenderOptions): Sender {
  const { protocol, runtime, timeoutMs, maxRequestsPerSecond, halve = true } = options;
  const { clock } = runtime;
  const observed = observe(clock, timeout(timeoutMs, clock, exchange(protocol, runtime)));
  const limited = maxRequestsPerSecond === undefined ? observed : rateLimit(maxRequestsPerSecond, clock, observed);
  const said = options.stage === undefined ? limited : options.stage(limited);
  const whole = halve ? split(said) : refuseWhole(said);
  const retried = retry(options, runtime, protocol.singly === undefined ? whole : singly(protocol.singly, whole));
  return options.translate === undefined ? retried : translate(options.translate, protocol.limits, clock, retried);
}

function refuseWhole(next: Exchange): Sender {
  return {
    async send(batch, context) {
      const verdict = await next(batch, context);
      return "split" in verdict ? outcomesOf(batch.count, { status: "rejected", reason: verdict.reason }) : verdict;
    },
  };
}
