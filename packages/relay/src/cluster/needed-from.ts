import type { Position } from "@waybill/log";
import type { Broker } from "@waybill/log-kafka";
import { committedOffsets } from "./checkpoints.ts";
import type { OpenPartition } from "./partitions.ts";

/** The oldest position that a lane of some group has not settled, by what is committed. */
export async function neededFrom(
  broker: Broker,
  { topic, groups }: { readonly topic: string; readonly groups: readonly string[] },
  { partition, log }: Pick<OpenPartition, "partition" | "log">,
): Promise<Position> {
  let needed = log.head;
  for (const group of groups) {
    const offset = (await committedOffsets(broker, { group, topic, partitions: [partition] })).get(partition);
    if (offset === undefined) return 0;
    needed = Math.min(needed, (await log.placeOf(offset)).position);
  }
  return needed;
}
