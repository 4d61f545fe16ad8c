import { WaybillError } from "@waybill/core";
import type { Overview } from "@waybill/relay";
import { type AdminOptions, understood, withAdminOptions } from "../admin-client.ts";
import { callWithin } from "../admin-deadline.ts";
import type { AddCommand } from "../command.ts";
import { EXIT, type Io, report, sayJson, show } from "../io.ts";
import { healthOf } from "../status/health.ts";
import { overviewLines } from "../status/overview-lines.ts";
import { watchStatus } from "../status/watch.ts";
import { terminalOf } from "../terminal/terminal.ts";

interface StatusOptions extends AdminOptions {
  readonly watch?: boolean;
  readonly json?: boolean;
}

export const addStatusCommand: AddCommand = (program, io, finish) => {
  withAdminOptions(program.command("status"))
    .description("show what is wrong and what to do, sources, lanes, running replays and the cluster")
    .option("--watch", "show it again whenever it changes, until Ctrl-C")
    .option("--json", "print the overview of the admin API; with --watch one line for each")
    .addHelpText(
      "after",
      "\nThe first word: well; degraded (something needs a person); failing (events are lost or not\ndelivered until somebody acts); unreachable.\nExit codes: 0 well, 1 anything else; with --watch 0 at Ctrl-C.\n\nExample:\n  waybill status --watch",
    )
    .action(async (options: StatusOptions) => {
      if (options.watch === true) await watchStatus(options, io);
      else finish(await showStatus(options, io));
    });
};

async function showStatus(options: StatusOptions, io: Io): Promise<number> {
  let overview: Overview;
  try {
    overview = await callWithin(options, io, "showOverview", {});
  } catch (error) {
    if (!(error instanceof WaybillError) || error.code !== "WAYBILL_TRANSPORT") throw error;
    const terminal = terminalOf(io);
    if (options.json !== true) show(io, [terminal.paint("unreachable", "error")]);
    return report(error, io);
  }
  const { admin } = options;
  const lines = understood(options, () => overviewLines({ overview, admin, now: overview.now }, terminalOf(io)));
  if (options.json === true) sayJson(io, overview);
  else show(io, lines);
  return healthOf(overview) === "well" ? EXIT.ok : EXIT.failed;
}
