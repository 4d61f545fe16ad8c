/** What there is in the simulated cluster is called so. */
import { eventsTopic } from "@waybill/log-kafka";

export const TOPIC_PREFIX = "sim";
/** That of the configuration: see `configOf`. */
export const ENVIRONMENT = "sim";
export const EVENTS_TOPIC: string = eventsTopic(TOPIC_PREFIX, ENVIRONMENT);

export function groupOf(index: number): string {
  return `${EVENTS_TOPIC}.emulator${index}`;
}
