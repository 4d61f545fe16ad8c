/** A deadline of our own around a call of the broker: one that never settles was seen. */
import type { Clock } from "@waybill/core";
import { BrokerError } from "./broker.ts";

/** The broker's own deadline comes first, and knows more. */
const GRACE_MS = 500;

/**
 * `call` gets the deadline that it has itself. **Errors**: those of the call, and `timeout` shortly
 * after the deadline; what comes later is forgotten.
 */
export function withDeadline<T>(
  clock: Clock,
  deadlineMs: number,
  call: (deadline: { readonly deadlineMs: number }) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(deadlineMs + GRACE_MS, () =>
      reject(new BrokerError("timeout", `no answer within ${deadlineMs} ms`)),
    );
    const called = Promise.resolve().then(() => call({ deadlineMs }));
    called.then(resolve, reject).finally(() => timer.cancel());
  });
}
