import type { Protocol, Sender, Stage } from "./delivery.ts";
import type { Clock, Runtime } from "./runtime.ts";
import { type Exchange, exchange } from "./senders/exchange.ts";
import { observe } from "./senders/observe.ts";
import { type RetryOptions, retry } from "./senders/retry.ts";
import { split } from "./senders/split.ts";
import { timeout } from "./senders/timeout.ts";

export interface SenderOptions extends RetryOptions {
  readonly protocol: Protocol;
  readonly runtime: Runtime;
  /** In place of `retry`: `persist(isolating({ byEvent }))`. */
  readonly retry?: typeof retry;
  /** For one request, from its start to the end of the answer. */
  readonly timeoutMs: number;
  /** No limit when absent: `new Limiter(...).stage`. */
  readonly limit?: (next: Exchange, clock: Clock) => Exchange;
  /**
   * A stage of the caller's own, outside of the limit: `rewrite(encode)`, `unhalved`. It is passed
   * in, so that a bundle without one stays smaller.
   */
  readonly stage?: (next: Exchange) => Exchange;
  /** For events that are not in the vendor's own wire format: `translating(translate)`. */
  readonly translate?: Stage | undefined;
}

/**
 * The chain of one destination:
 * translate(retry(singly(split(stage(limit(observe(timeout(exchange)))))))).
 */
export function createSender(options: SenderOptions): Sender {
  const { protocol, runtime, timeoutMs } = options;
  const { clock } = runtime;
  const observed = observe(clock, timeout(timeoutMs, clock, exchange(protocol, runtime)));
  const limited = options.limit?.(observed, clock) ?? observed;
  const staged = options.stage?.(limited) ?? limited;
  const whole = split(staged, protocol.maxEventBytes);
  const retried = (options.retry ?? retry)(options, runtime, protocol.singly?.(whole, protocol, clock) ?? whole);
  return options.translate?.(retried, protocol, clock) ?? retried;
}
