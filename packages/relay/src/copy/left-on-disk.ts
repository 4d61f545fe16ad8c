/** What an earlier `engine: disk` has left in a data directory that a relay on Kafka has now. */
import type { Disk } from "@waybill/core";
import { logBounds } from "@waybill/log";
import type { RelayConfig } from "../config/types.ts";
import { type OrphanedLane, orphanedLanes } from "../delivery/removed-lanes.ts";
import { dataFormatOf, refuseNewer } from "../lifecycle/data-format.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import { marksOf } from "./disk-mark.ts";

interface DataDirectory {
  readonly environment: string;
  /** The environment's. */
  readonly directory: string;
  readonly disk: Disk;
}

/**
 * Reports how many events wait there for which destination; nothing once they were copied to Kafka.
 * Opens nothing for writing, and never rejects.
 */
export async function reportDiskLog({ environment, directory, disk }: DataDirectory, report: WriteLine): Promise<void> {
  try {
    for (const { destination, events } of await waitingOnDisk(directory, disk))
      report("disk_log_left", { environment, destination, events, directory });
  } catch (error) {
    report("disk_log_unread", { environment, directory, error: safeError(error) });
  }
}

/**
 * The same before a relay starts with the configuration, a sentence for each environment. Opens
 * nothing for writing, and never rejects.
 */
export async function diskLogWarnings(
  { kafka, dataDirectory, environments }: Pick<RelayConfig, "kafka" | "dataDirectory" | "environments">,
  disk: Disk,
): Promise<readonly string[]> {
  if (kafka === undefined) return [];
  const warnings: string[] = [];
  for (const { name } of environments) {
    const directory = `${dataDirectory}/${name}`;
    try {
      refuseNewer(await dataFormatOf(dataDirectory, [name], disk));
      const waiting = await waitingOnDisk(directory, disk);
      const counts = waiting.map(({ destination, events }) => `${destination} (${events})`).join(", ");
      if (waiting.length > 0)
        warnings.push(
          `${directory} has a log of engine: disk with events that wait for ${counts}: a relay on Kafka does not deliver them; ` +
            "before one takes events, stop all relays and run waybill log copy --to kafka",
        );
    } catch (error) {
      warnings.push(
        `${directory} cannot be read, and whether events wait there that a relay on Kafka does not deliver is not known: ${safeError(error)}`,
      );
    }
  }
  return warnings;
}

/** **Errors**: those of the disk. */
async function waitingOnDisk(directory: string, disk: Disk): Promise<readonly OrphanedLane[]> {
  // What an unfinished copy to the disk has left is on Kafka.
  if ((await marksOf(disk, directory)).length > 0) return [];
  const log = await logBounds(`${directory}/log`, disk);
  if (log === undefined) return [];
  const lanes = await orphanedLanes({ directory, disk, log, isConfigured: () => false });
  return lanes.filter(({ events }) => events > 0);
}
