import { sleep } from "@waybill/core";
import { walkLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { type AddCommand, wholeNumber } from "../../command.ts";
import { dumpOn, newest } from "./lines.ts";
import { checkLog, LOG_DIRECTORY } from "./missing.ts";
import { TOPICS, tailTopics } from "./topics.ts";

interface TailOptions {
  readonly config?: string;
  readonly events: number;
  readonly follow?: boolean;
  readonly raw?: boolean;
}

const FOLLOW_MS = 500;

export const addTail: AddCommand = (log, io) => {
  log
    .command("tail <log>")
    .description("show the newest events of a log; waybill tail asks a running relay instead")
    .option("--config <file>", "of a log on Kafka: the relay's configuration")
    .option("-n, --events <number>", "how many", wholeNumber(0, 1_000_000), 10)
    .option("--follow", "go on as the log grows, until Ctrl-C")
    .option("--raw", "only the events, as they were stored")
    .option("--json", "the same: each line is a JSON object in any case")
    .addHelpText(
      "after",
      `${LOG_DIRECTORY}${TOPICS}\n\nExample:\n  waybill log tail ./waybill-data/production/log --follow`,
    )
    .action(async (directory: string, options: TailOptions) => {
      const { config, events, follow = false } = options;
      const stop = new AbortController();
      if (follow) {
        io.onStop(() => stop.abort());
        io.onGone(() => stop.abort());
      }
      const goOn = (): Promise<boolean> => sleep(nodeClock, FOLLOW_MS, stop.signal);
      if (config !== undefined) {
        const wanted = { events, raw: options.raw === true };
        const wait = follow ? goOn : () => Promise.resolve(false);
        return tailTopics({ config, environment: directory }, wanted, io, wait);
      }
      await checkLog(directory);
      const { from, place } = await newest(directory, options.events);
      const raw = options.raw === true ? { raw: true } : {};
      let next = await dumpOn(walkLog(directory, nodeDisk, place), { from, ...raw }, io, place);
      while (follow && (await goOn())) next = await dumpOn(walkLog(directory, nodeDisk, next), raw, io, next);
    });
};
