import type { Clock } from "@waybill/core";
import type { Broker } from "@waybill/log-kafka";
import { clearly } from "../cluster/clearly.ts";
import { connectKafka } from "../cluster/connect-kafka.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";

/** Connects for as long as `run` takes. **Errors**: those of the connection and of `run`; a
 * `BrokerError` as `WAYBILL_LOG_UNAVAILABLE`. */
export async function withBroker<T>(kafka: KafkaConfig, clock: Clock, run: (broker: Broker) => Promise<T>): Promise<T> {
  const broker = await connectKafka(kafka, clock);
  try {
    return await clearly(() => run(broker));
  } finally {
    await broker.close();
  }
}
