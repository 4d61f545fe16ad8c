import { sleep } from "@waybill/core";
import { walkLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { type AddCommand, wholeNumber } from "../../command.ts";
import { dumpOn, newest } from "./lines.ts";
import { checkLog, LOG_DIRECTORY } from "./missing.ts";

interface TailOptions {
  readonly events: number;
  readonly follow?: boolean;
  readonly raw?: boolean;
}

const FOLLOW_MS = 500;

export const addTail: AddCommand = (log, io) => {
  log
    .command("tail <directory>")
    .description("show the newest events of a log on disk; waybill tail asks a running relay instead")
    .option("-n, --events <number>", "how many", wholeNumber(0, 1_000_000), 10)
    .option("--follow", "go on as the log grows, until Ctrl-C")
    .option("--raw", "only the events, as they were stored")
    .option("--json", "the same: each line is a JSON object in any case")
    .addHelpText("after", `${LOG_DIRECTORY}\n\nExample:\n  waybill log tail ./waybill-data/production/log --follow`)
    .action(async (directory: string, options: TailOptions) => {
      await checkLog(directory);
      const { from, place } = await newest(directory, options.events);
      const raw = options.raw === true ? { raw: true } : {};
      let next = await dumpOn(walkLog(directory, nodeDisk, place), { from, ...raw }, io, place);
      if (options.follow !== true) return;
      const stop = new AbortController();
      io.onStop(() => stop.abort());
      io.onGone(() => stop.abort());
      while (await sleep(nodeClock, FOLLOW_MS, stop.signal))
        next = await dumpOn(walkLog(directory, nodeDisk, next), raw, io, next);
    });
};
