import type { Protocol, Sender } from "./delivery.ts";
import type { Runtime } from "./runtime.ts";
import { exchange } from "./senders/exchange.ts";
import { observe } from "./senders/observe.ts";
import { rateLimit } from "./senders/rate-limit.ts";
import { type RetryOptions, retry } from "./senders/retry.ts";
import { split } from "./senders/split.ts";
import { timeout } from "./senders/timeout.ts";

export interface SenderOptions extends RetryOptions {
  readonly protocol: Protocol;
  readonly runtime: Runtime;
  /** For one request, from its start to the end of the answer. */
  readonly timeoutMs: number;
  /** No limit when absent. */
  readonly maxRequestsPerSecond?: number;
}

/** The chain of one destination: retry(split(rateLimit(observe(timeout(exchange))))). */
export function createSender(options: SenderOptions): Sender {
  const { protocol, runtime, timeoutMs, maxRequestsPerSecond } = options;
  const { clock } = runtime;
  const observed = observe(clock, timeout(timeoutMs, clock, exchange(protocol, runtime)));
  const limited = maxRequestsPerSecond === undefined ? observed : rateLimit(maxRequestsPerSecond, clock, observed);
  return retry(options, runtime, split(limited));
}
