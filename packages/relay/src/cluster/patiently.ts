import { type Clock, WaybillError } from "@waybill/core";
import { BrokerError } from "@waybill/log-kafka";

/** Coordinators are elected within seconds; a new cluster makes its topic of commits first. */
const PATIENCE_MS = 30_000;
const AGAIN_MS = 500;

/**
 * Repeats what may succeed later. **Errors**: `WAYBILL_LOG_UNAVAILABLE` when the cluster did not
 * answer in time; those of `run`.
 */
export async function patiently<T>(clock: Clock, run: () => Promise<T>): Promise<T> {
  const untilMs = clock.monotonic() + PATIENCE_MS;
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof BrokerError && error.isTransient)) throw error;
      if (clock.monotonic() >= untilMs) throw unanswered(error);
      await new Promise<void>((resume) => clock.after(AGAIN_MS, resume, true));
    }
  }
}

function unanswered(error: BrokerError): WaybillError {
  return new WaybillError("WAYBILL_LOG_UNAVAILABLE", `The Kafka cluster could not be used: ${error.message}`, {
    retryable: true,
    reason: error.code,
    cause: error,
    hint: "Look whether its brokers run, and are reachable from here.",
  });
}
