import type { Clock } from "@waybill/core";
import type { Broker } from "@waybill/log-kafka";
import { connectKafka } from "../cluster/connect-kafka.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";

/** Connects for as long as `run` takes. **Errors**: those of the connection and of `run`. */
export async function withBroker<T>(kafka: KafkaConfig, clock: Clock, run: (broker: Broker) => Promise<T>): Promise<T> {
  const broker = await connectKafka(kafka, clock);
  try {
    return await run(broker);
  } finally {
    await broker.close();
  }
}
