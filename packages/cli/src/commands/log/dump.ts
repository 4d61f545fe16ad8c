import { WaybillError } from "@waybill/core";
import { walkLog } from "@waybill/log";
import { nodeDisk } from "@waybill/node";
import { type AddCommand, wholeNumber } from "../../command.ts";
import { checkRange, TIME_FORMATS, timeOption } from "../../times.ts";
import { type DumpOptions, dump } from "./lines.ts";
import { checkLog, LOG_DIRECTORY } from "./missing.ts";
import { dumpTopics, TOPICS } from "./topics.ts";

const POSITION = wholeNumber(0, Number.MAX_SAFE_INTEGER);

export const addDump: AddCommand = (log, io, finish) => {
  log
    .command("dump <log>")
    .description("write the events to standard output, one JSON object per line; also while a relay runs")
    .option("--config <file>", "of a log on Kafka: the relay's configuration")
    .option("--from <position>", "begin here; of a log on disk", POSITION)
    .option("--to <position>", "end before this one; of a log on disk", POSITION)
    .option("--since <time>", `received then or later: ${TIME_FORMATS}`, timeOption)
    .option("--until <time>", "received before then", timeOption)
    .option("--source <name>", "only of this source")
    .option("--raw", "only the events, as they were stored")
    .option("--json", "the same: each line is a JSON object in any case")
    .addHelpText(
      "after",
      `${LOG_DIRECTORY}${TOPICS}\nExit codes: 0 whole, 1 a damaged place was passed over (it is named on standard error).\n\nExample:\n  waybill log dump ./waybill-data/production/log --since 1h --raw > events.ndjson`,
    )
    .action(async (directory: string, { config, ...options }: DumpOptions & { readonly config?: string }) => {
      checkRange(options);
      const { from, to } = options;
      if (config !== undefined) {
        if (from !== undefined || to !== undefined)
          throw new WaybillError("WAYBILL_INPUT", "--from and --to are positions of a log on disk", {
            hint: "Choose by time: --since and --until.",
          });
        return finish(await dumpTopics({ config, environment: directory }, options, io));
      }
      await checkLog(directory);
      if (from !== undefined && to !== undefined && from >= to)
        throw new WaybillError("WAYBILL_INPUT", `--from ${from} is not before --to ${to}`, {
          hint: "--to is the first position that is not written.",
        });
      finish(await dump(walkLog(directory, nodeDisk), options, io));
    });
};
