import { nodeClock } from "@waybill/node";
import type { LaneMode, Overview } from "@waybill/relay";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type AdminOptions, callAdmin, understood, withAdminOptions } from "../admin-client.ts";
import { callWithin } from "../admin-deadline.ts";
import { type AddCommand, LANE, laneParams } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, type Io, say, sayJson, show } from "../io.ts";
import { clusterLaneColumns, type LaneRow, laneColumns, laneRows } from "../status/lane-columns.ts";
import { laneLines } from "../status/lane-lines.ts";
import { tableLines } from "../terminal/table.ts";
import { terminalOf } from "../terminal/terminal.ts";

const MODES: readonly LaneMode[] = ["idle", "sending", "waiting", "paused", "halted", "failed"];

interface ShowOptions extends AdminOptions {
  readonly json?: boolean;
}

interface ListOptions extends ShowOptions {
  readonly environment?: string;
  readonly mode?: LaneMode;
}

interface SetCursorOptions extends AdminOptions {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export const addLanesCommand: AddCommand = (program, io) => {
  const group = program.command("lanes").description("show the lanes of destinations, and steer one");
  addList(group, io);
  addShow(group, io);
  addSetCursor(group, io);
};

function addList(group: Command, io: Io): void {
  withAdminOptions(group.command("list", { isDefault: true }))
    .description("list every lane: what it does, what waits, and why; of a cluster those of all its relays")
    .option("--environment <name>", "only this environment, or this partition of it")
    .addOption(new Option("--mode <mode>", "only lanes in this mode").choices(MODES))
    .option("--json", "print them as GET /v1/overview has them, each with its environment")
    .addHelpText("after", "\nExample:\n  waybill lanes --mode halted")
    .action(async (options: ListOptions) => {
      const { environment, mode, json } = options;
      const overview = await callWithin(options, io, "showOverview", {});
      const isWanted = (lane: LaneRow): boolean =>
        (environment === undefined || `${lane.environment}/`.startsWith(`${environment}/`)) &&
        (mode ?? lane.mode) === lane.mode;
      const columns = overview.cluster === undefined ? laneColumns : clusterLaneColumns;
      const rows = understood(options, () => laneRows(overview).filter(isWanted));
      const missing = understood(options, () => missingLanes(overview));
      if (missing.length > 0) complain(io, `no relay has reported ${missing.join(", ")}`);
      if (json === true) return sayJson(io, rows);
      const lines = understood(options, () => tableLines(rows, columns(overview.now), terminalOf(io)));
      if (lines.length === 0) return say(io, "There are none.");
      show(io, lines);
    });
}

/** Names of lanes in a cluster. */
function missingLanes({ environments }: Overview): readonly string[] {
  return environments.flatMap(({ name: environment, destinations }) =>
    destinations.flatMap(({ name, missingPartitions = [] }) =>
      missingPartitions.map((partition) => `${environment}/${partition}/${name}`),
    ),
  );
}

function addShow(group: Command, io: Io): void {
  withAdminOptions(group.command("show").argument(LANE, "whose lane"))
    .description("show a lane: its ledger, its limits, its settings without secrets, its last requests")
    .option("--json", "print the answer of the admin API, with the last requests as attempts")
    .addHelpText("after", "\nExample:\n  waybill lanes show production/segment")
    .action(async (name: string, options: ShowOptions) => {
      const params = laneParams(name);
      const detail = await callWithin(options, io, "showLane", { params });
      const { attempts } = await callWithin(options, io, "listRecentAttempts", { params });
      if (options.json === true) return sayJson(io, { ...detail, attempts });
      const now = nodeClock.now();
      show(
        io,
        understood(options, () => laneLines({ detail, attempts, now }, terminalOf(io))),
      );
    });
}

function addSetCursor(group: Command, io: Io): void {
  withAdminOptions(group.command("set-cursor"))
    .description(
      "the last resort: move the cursor of a paused, halted or failed lane forward; what is not settled before it is dropped, as skipped",
    )
    .argument(LANE, "whose lane")
    .argument("<position>", "the next event to deliver, as a trace or a receipt names it", position)
    .option("--yes", "do it; without, only tell how many events it would skip")
    .option("--json", "print the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill lanes set-cursor production/segment 184100 --yes")
    .action(async (lane: string, to: number, options: SetCursorOptions) => {
      const params = laneParams(lane);
      const dryRun = options.yes !== true;
      const body = { position: to, dryRun };
      const answer = await callAdmin(options, io, "moveCursor", { params, body });
      if (options.json === true) return sayJson(io, answer);
      const text = understood(options, () => {
        const events = counted(answer.events, "event");
        return answer.moved
          ? `Moved the cursor from ${answer.from} to ${answer.to}; ${events} skipped.`
          : `It would move the cursor from ${answer.from} to ${answer.to} and skip ${events}; do it with --yes.`;
      });
      say(io, text);
    });
}

function position(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError("It must be a whole number from 0.");
  return value;
}
