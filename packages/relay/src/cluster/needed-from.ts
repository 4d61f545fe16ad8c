import type { Position } from "@waybill/log";
import { type Broker, destinationGroup } from "@waybill/log-kafka";
import { committedOffsets } from "./checkpoints.ts";
import type { OpenPartition } from "./partitions.ts";

export interface Destinations {
  readonly topic: string;
  readonly own: Iterable<string>;
  /** Of relays with another configuration; `undefined`: not all are known. */
  readonly elsewhere: Iterable<string> | undefined;
}

/**
 * The oldest position that a lane of some destination has not settled, by what is committed; 0 when
 * a destination has committed nothing yet, or may not be known.
 */
export async function neededFrom(
  broker: Broker,
  { topic, own, elsewhere }: Destinations,
  { partition, log }: Pick<OpenPartition, "partition" | "log">,
): Promise<Position> {
  if (elsewhere === undefined) return 0;
  let needed = log.head;
  for (const destination of new Set([...own, ...elsewhere])) {
    const group = destinationGroup(topic, destination);
    const offset = (await committedOffsets(broker, { group, topic, partitions: [partition] })).get(partition);
    if (offset === undefined) return 0;
    needed = Math.min(needed, (await log.placeOf(offset)).position);
  }
  return needed;
}
