import { verifyLog } from "@waybill/log";
import { nodeDisk } from "@waybill/node";
import type { Command } from "commander";
import type { AddCommand } from "../command.ts";
import { EXIT } from "../io.ts";

export const addLogCommand: AddCommand = (program, io, finish) => {
  const log: Command = program.command("log").description("work with the log on disk");
  log
    .command("verify <directory>")
    .description("read every record of a log against its checksum; changes nothing, also while a relay runs")
    .addHelpText(
      "after",
      "\nThe directory is that of the segments: <dataDirectory>/<environment>/log\nExit code 1 when a record is damaged.\n\nExample:\n  waybill log verify ./waybill-data/production/log",
    )
    .action(async (directory: string) => {
      const { segments, records, events, bytes, damaged, tornBytes } = await verifyLog(directory, nodeDisk);
      for (const range of damaged)
        io.out.write(
          `damaged: ${range.segment} bytes ${range.offset} to ${range.offset + range.bytes}, ${range.events} events lost\n`,
        );
      if (tornBytes > 0)
        io.out.write(
          `torn: ${tornBytes} bytes of an unfinished write at the end, never acknowledged; the next start cuts them\n`,
        );
      io.out.write(
        `${segments} segments, ${records} records, ${events} events, ${bytes} bytes: ${damaged.length === 0 ? "whole" : `${damaged.length} damaged`}\n`,
      );
      finish(damaged.length === 0 ? EXIT.ok : EXIT.failed);
    });
};
