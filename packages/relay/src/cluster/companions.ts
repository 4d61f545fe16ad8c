/** A lane's own logs in the companion topics of its destination. */
import type { Clock } from "@waybill/core";
import type { LaneRuntime } from "@waybill/log";
import { type Broker, type Companion, companionTopic, PartitionLog } from "@waybill/log-kafka";

export interface CompanionOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly prefix: string;
  readonly environment: string;
  readonly destination: string;
}

/**
 * Opens them by the directories they have on a disk, below `directory`. `onBroken`: what one of
 * them is read from is broken.
 */
export function companionRuntime(
  options: CompanionOptions,
  partition: number,
  directory: string,
  onBroken?: () => void,
): LaneRuntime {
  const { broker, clock, prefix, environment, destination } = options;
  const byDirectory = new Map<string, Companion>([
    [`${directory}/dead/${destination}`, "dead"],
    [`${directory}/dead/${destination}/marks`, "marks"],
    [`${directory}/fates/${destination}`, "fates"],
  ]);
  return {
    clock,
    openLog: ({ directory: asked, metadataMaxBytes }) => {
      const companion = byDirectory.get(asked);
      if (companion === undefined) throw new Error(`${asked} has no companion topic`);
      return PartitionLog.open({
        broker,
        clock,
        topic: companionTopic(prefix, { environment, destination }, companion),
        partition,
        positions: "written",
        ...(onBroken === undefined ? {} : { onBroken }),
        ...(metadataMaxBytes === undefined ? {} : { metadataMaxBytes }),
      });
    },
  };
}
