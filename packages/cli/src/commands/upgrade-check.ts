import { readdir } from "node:fs/promises";
import { messageOf, VERSION, WaybillError } from "@waybill/core";
import { nodeDisk } from "@waybill/node";
import { DATA_FORMAT, dataFormatOf, refuseNewer } from "@waybill/relay";
import type { AddCommand } from "../command.ts";
import { say, sayJson } from "../io.ts";

export const addUpgradeCheckCommand: AddCommand = (program, io) => {
  program
    .command("upgrade-check <directory>")
    .description("whether this version reads a relay's data directory, and which one wrote it; changes nothing")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nExit codes: 0 this version reads it, 1 it does not, or nothing of a relay is there.\n\nExample:\n  waybill upgrade-check ./waybill-data",
    )
    .action(async (directory: string, { json = false }: { readonly json?: boolean }) => {
      const found = await dataFormatOf(directory, await foldersOf(directory), nodeDisk);
      if (found.isEmpty)
        throw new WaybillError("WAYBILL_INPUT", `There is no data of a relay in ${directory}`, {
          hint: "Give the relay's dataDirectory; a start would begin a new one there.",
        });
      refuseNewer(found);
      const { format, writtenBy, logs } = found;
      if (json) {
        sayJson(io, { directory, format, writtenBy, logs, version: VERSION, writes: DATA_FORMAT });
        return;
      }
      const by = writtenBy === undefined ? "a version before it was noted" : `waybill ${writtenBy}`;
      say(io, `${directory} has format ${format}, used last by ${by}`);
      for (const log of logs) say(io, `${log.environment}: log of format ${log.format}`);
      say(io, `waybill ${VERSION} reads it as it is, and writes format ${DATA_FORMAT}`);
    });
};

/** **Errors**: `WAYBILL_INPUT`. */
async function foldersOf(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    throw new WaybillError("WAYBILL_INPUT", `Cannot read ${directory}: ${messageOf(error)}`, {
      hint: "Give the relay's dataDirectory.",
    });
  }
}
