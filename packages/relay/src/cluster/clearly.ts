import { WaybillError } from "@waybill/core";
import { BrokerError, type BrokerErrorCode } from "@waybill/log-kafka";

const HINTS: { readonly [Code in BrokerErrorCode]?: string } = {
  unauthorized:
    "See to kafka.sasl, and to what that user may do: docs/operating/cluster.md has the list of what a relay needs.",
  unsupported:
    "Each broker has to be of Kafka 4.3 or later, with group.version=1 and with consumer among group.coordinator.rebalance.protocols, as by default: docs/operating/cluster.md has the commands.",
  unknown_topic: "Was it removed meanwhile? A relay makes its topics when it starts.",
};
const ANY_HINT = "Look at the brokers' logs.";

/** A refusal by the cluster becomes a `WAYBILL_LOG_UNAVAILABLE` that tells what to do. */
export async function clearly<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    throw new WaybillError("WAYBILL_LOG_UNAVAILABLE", `The Kafka cluster refused it: ${error.message}`, {
      retryable: error.isTransient,
      reason: error.code,
      cause: error,
      hint: HINTS[error.code] ?? ANY_HINT,
    });
  }
}
