/** A lane's own logs in the companion topics of its destination. */
import type { Clock } from "@waybill/core";
import type { LaneRuntime, Position } from "@waybill/log";
import { type Broker, type Companion, companionTopic, PartitionLog } from "@waybill/log-kafka";
import { readTo } from "./read-to.ts";

export interface CompanionOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly prefix: string;
  readonly environment: string;
  readonly destination: string;
}

/** What is known of them before they are opened. */
export interface CompanionFacts {
  /** How many entries each has at least, by the lane's state. */
  readonly known: Readonly<Partial<Record<Companion, Position>>>;
  /** Throws when the lane is no longer this relay's. */
  readonly check: () => void;
  /** What one of them is read from is broken. */
  readonly onBroken: () => void;
}

/**
 * Opens them by the directories they have on a disk, below `directory`, as far as they are known.
 */
export function companionRuntime(
  options: CompanionOptions,
  partition: number,
  directory: string,
  { known = {}, check, onBroken }: Partial<CompanionFacts> = {},
): LaneRuntime {
  const { broker, clock, prefix, environment, destination } = options;
  const byDirectory = new Map<string, Companion>([
    [`${directory}/dead/${destination}`, "dead"],
    [`${directory}/dead/${destination}/marks`, "marks"],
    [`${directory}/fates/${destination}`, "fates"],
  ]);
  return {
    clock,
    async openLog({ directory: asked, metadataMaxBytes }) {
      const companion = byDirectory.get(asked);
      if (companion === undefined) throw new Error(`${asked} has no companion topic`);
      const topic = companionTopic(prefix, { environment, destination }, companion);
      const position = known[companion] ?? 0;
      const log = await PartitionLog.open({
        broker,
        clock,
        topic,
        partition,
        positions: "written",
        next: position,
        // What another owner has written is read first, and whose the lane is shown again.
        rejectsAfterOthers: true,
        ...(onBroken === undefined ? {} : { onBroken }),
        ...(metadataMaxBytes === undefined ? {} : { metadataMaxBytes }),
      });
      try {
        const what = `${topic}-${partition}`;
        await readTo({ clock, what, log, position, ...(check === undefined ? {} : { check }) });
        return log;
      } catch (error) {
        await log.close();
        throw error;
      }
    },
  };
}
