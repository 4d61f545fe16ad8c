/** What an earlier `engine: disk` has left in a data directory that a relay on Kafka has now. */
import type { Disk } from "@waybill/core";
import { logBounds } from "@waybill/log";
import { orphanedLanes } from "../delivery/removed-lanes.ts";
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
    // What an unfinished copy to the disk has left is on Kafka.
    if ((await marksOf(disk, directory)).length > 0) return;
    const log = await logBounds(`${directory}/log`, disk);
    if (log === undefined) return;
    const isConfigured = (): boolean => false;
    for (const { destination, events } of await orphanedLanes({ directory, disk, log, isConfigured }))
      if (events > 0) report("disk_log_left", { environment, destination, events, directory });
  } catch (error) {
    report("disk_log_unread", { environment, directory, error: safeError(error) });
  }
}
