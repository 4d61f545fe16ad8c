import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { repairLog, type SegmentRepair } from "@waybill/log";
import { LOCK_NAME, lockDirectory, nodeDisk } from "@waybill/node";
import type { AddCommand } from "../../command.ts";
import { counted } from "../../counted.ts";
import { type Io, say, sayJson } from "../../io.ts";
import { checkLog, LOG_DIRECTORY } from "./missing.ts";

interface RepairOptions {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export const addRepair: AddCommand = (log, io) => {
  log
    .command("repair <directory>")
    .description("set aside what is damaged and cut what is unfinished; what is whole stays, at its positions")
    .option("--dry-run", "only say what would be done")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `${LOG_DIRECTORY}; no relay may use it.\nDamaged bytes are copied to <directory>/damaged first. Exit codes: 0 done or nothing to do, 1 failed.\n\nExample:\n  waybill log repair ./waybill-data/production/log --dry-run`,
    )
    .action(async (directory: string, { dryRun = false, json }: RepairOptions) => {
      await checkLog(directory);
      const lock = dryRun ? undefined : await lockDirectory(lockedDirectoryOf(directory));
      try {
        const repairs = await repairLog(directory, nodeDisk, { dryRun });
        if (json === true) sayJson(io, { dryRun, repairs });
        else show(repairs, dryRun, io);
      } finally {
        await lock?.release();
      }
    });
};

function show(repairs: readonly SegmentRepair[], dryRun: boolean, io: Io): void {
  for (const { segment, removed, lost } of repairs) {
    for (const { offset, bytes, copy } of removed)
      say(
        io,
        `${segment}: ${bytes} bytes at ${offset} ${copy === undefined ? "were an unfinished write, cut" : `damaged, copied to ${copy}`}`,
      );
    for (const { from, to } of lost) say(io, `${segment}: positions ${from} to ${to - 1} are lost`);
  }
  const done = dryRun ? "would be repaired" : "repaired";
  say(io, repairs.length === 0 ? "nothing to repair" : `${counted(repairs.length, "segment")} ${done}`);
}

/**
 * A relay locks its data directory, two levels above its segments, a spool the one above. Where
 * none of them has run no lock lies yet.
 */
function lockedDirectoryOf(directory: string): string {
  const relay = resolve(directory, "../..");
  return existsSync(resolve(relay, LOCK_NAME)) ? relay : resolve(directory, "..");
}
