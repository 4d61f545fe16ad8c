import { splitReceipt } from "@waybill/relay";
import { type AdminOptions, callAdmin, understood, withAdminOptions } from "../admin-client.ts";
import type { AddCommand } from "../command.ts";
import { say, sayJson, show } from "../io.ts";
import { terminalOf } from "../terminal/terminal.ts";
import { checkRange, TIME_FORMATS, timeOption } from "../times.ts";
import { traceLines } from "../trace-lines.ts";

interface TraceOptions extends AdminOptions {
  readonly environment?: string;
  readonly since?: number;
  readonly until?: number;
  readonly json?: boolean;
}

const HEADER = /^waybill-receipt:\s*/i;

export const addTraceCommand: AddCommand = (program, io) => {
  withAdminOptions(program.command("trace <id...>"))
    .description(
      "show what became of an event, by its message id, a receipt or a position: where it is stored and, per destination, every attempt and the outcome",
    )
    .option("--environment <name>", "only this environment")
    .option(
      "--since <time>",
      `received about this time or later; saves reading all of the log for an id that is not a UUIDv7: ${TIME_FORMATS}`,
      timeOption,
    )
    .option("--until <time>", "received about this time or before", timeOption)
    .option("--json", "print the answers of the admin API, one a line")
    .addHelpText(
      "after",
      "\nA receipt is the header waybill-receipt of an answer. It may name several environments, and an id may be one of several.\nExit code 1 when there is no such event.\n\nExample:\n  waybill trace 0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa\n  waybill trace production/1841+3,1850+1      (a receipt)\n  waybill trace production/1841               (a position)",
    )
    .action(async (ids: readonly string[], { environment, since, until, json, ...admin }: TraceOptions) => {
      checkRange({ since, until });
      let isFirst = true;
      for (const id of ids.flatMap(receiptsOf)) {
        const receipt = splitReceipt(id);
        const trace =
          receipt === undefined
            ? await callAdmin(admin, io, "trace", { params: { messageId: id }, query: { environment, since, until } })
            : await callAdmin(admin, io, "traceReceipt", { params: receipt });
        if (json === true) {
          sayJson(io, trace);
          continue;
        }
        for (const lines of understood(admin, () => trace.events.map((event) => traceLines(event, terminalOf(io))))) {
          if (!isFirst) say(io, "");
          isFirst = false;
          show(io, lines);
        }
        if (trace.isCut === true)
          say(
            io,
            receipt === undefined
              ? "There are more; choose a time with --since and --until."
              : "There are more; give the other positions by themselves.",
          );
      }
    });
};

/** The parts of a receipt, one for each environment, as the header has them; or an id as it is. */
function receiptsOf(given: string): readonly string[] {
  const parts = given.replace(HEADER, "").trim().split(/\s+/);
  return parts.every((part) => splitReceipt(part) !== undefined) ? parts : [given];
}
