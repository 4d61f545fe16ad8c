import { resolve } from "node:path";
import { printable } from "@waybill/core";
import { type LaneReport, type VerifyReport, verifyLanes, verifyLog } from "@waybill/log";
import { nodeDisk } from "@waybill/node";
import type { AddCommand } from "../../command.ts";
import { counted } from "../../counted.ts";
import { EXIT, type Io, report, say, sayJson } from "../../io.ts";
import { createProgress } from "../../progress.ts";
import { LOG_DIRECTORY, missingLog } from "./missing.ts";
import { TOPICS, verifyOnTopics } from "./topics.ts";

export const addVerify: AddCommand = (log, io, finish) => {
  log
    .command("verify <log>")
    .description(
      "read every record of a log against its checksum, and check each lane's ledger against the outcomes of its events; changes nothing, also while a relay runs",
    )
    .option("--config <file>", "of a log on Kafka: the relay's configuration")
    .option("--json", "print the result as JSON; of a log on Kafka a line for each partition")
    .addHelpText(
      "after",
      `${LOG_DIRECTORY}; the lanes are looked for beside it.${TOPICS}\nExit codes: 0 whole, 1 something is damaged or does not agree, 2 there is no log.\n\nExample:\n  waybill log verify ./waybill-data/production/log`,
    )
    .action(async (directory: string, { json, config }: { readonly json?: boolean; readonly config?: string }) => {
      if (config !== undefined)
        return finish(await verifyOnTopics({ config, environment: directory }, json === true, io));
      const missing = await missingLog(directory);
      if (missing !== undefined) {
        report(missing, io);
        return finish(EXIT.usage);
      }
      const found = await verifyWithProgress(directory, io);
      const lanes = await verifyLanes(resolve(directory, ".."), found.first, nodeDisk);
      const isWhole = found.damaged.length === 0 && lanes.every(({ faults }) => faults.length === 0);
      if (json === true) sayJson(io, { whole: isWhole, ...found, lanes });
      else {
        showLog(found, io);
        showLanes(lanes, io);
      }
      finish(isWhole ? EXIT.ok : EXIT.failed);
    });
};

async function verifyWithProgress(directory: string, io: Io): Promise<VerifyReport> {
  let progress: ReturnType<typeof createProgress> | undefined;
  try {
    return await verifyLog(directory, nodeDisk, {
      onProgress: ({ bytes, totalBytes, events }) => {
        progress ??= createProgress(io, { total: totalBytes, unit: "events" });
        progress.update(bytes, events);
      },
    });
  } finally {
    progress?.stop();
  }
}

function showLog({ segments, records, events, bytes, damaged, tornBytes }: VerifyReport, io: Io): void {
  for (const range of damaged)
    say(
      io,
      `damaged: ${range.segment} bytes ${range.offset} to ${range.offset + range.bytes}, ${counted(range.events, "event")} lost`,
    );
  if (tornBytes > 0)
    say(io, `torn: ${tornBytes} bytes of an unfinished write at the end, never acknowledged; the next start cuts them`);
  say(
    io,
    `${counted(segments, "segment")}, ${counted(records, "record")}, ${counted(events, "event")}, ${counted(bytes, "byte")}: ${damaged.length === 0 ? "whole" : `${damaged.length} damaged`}`,
  );
}

function showLanes(lanes: readonly LaneReport[], io: Io): void {
  for (const { lane, settled, known, faults } of lanes) {
    say(io, `lane ${printable(lane)}: ${counted(settled, "event")} settled, the outcome of ${known} known one by one`);
    for (const fault of faults) say(io, `lane ${printable(lane)}: ${fault}`);
  }
}
