import type { GivenBody, ReplayView } from "@waybill/relay";
import type { Command } from "commander";
import { type AdminOptions, callAdmin, understood, withAdminOptions } from "../admin-client.ts";
import { type AddCommand, laneOf, partsOf, wholeNumber } from "../command.ts";
import { counted } from "../counted.ts";
import { type Io, say, sayJson } from "../io.ts";

interface StartOptions extends AdminOptions {
  readonly since?: string;
  readonly until?: string;
  readonly source?: string;
  readonly type?: string;
  readonly event?: string;
  readonly user?: string;
  readonly rate?: number;
  readonly dryRun?: boolean;
}

const EVENTS_PER_SECOND_MAX = 1_000_000;

export const addReplayCommand: AddCommand = (program, io) => {
  const group = program.command("replay").description("send events that are in the log once more");
  addStart(group, io);
  addList(group, io);
  addCancel(group, io);
};

function addStart(group: Command, io: Io): void {
  withAdminOptions(group.command("start <environment/destination>"))
    .description("send a part of the log to a destination, even one that was added later; ids stay as they are")
    .option("--since <time>", "received then or later: ISO 8601 or epoch milliseconds; default: all there is")
    .option("--until <time>", "received before then; default: now")
    .option("--source <name>", "only events of this source")
    .option("--type <type>", "only events of this type")
    .option("--event <name>", "only events of this name")
    .option("--user <id>", "only events of this user")
    .option(
      "--rate <events>",
      "events per second; live traffic comes first in any case",
      wholeNumber(1, EVENTS_PER_SECOND_MAX),
    )
    .option("--dry-run", "only count the events")
    .addHelpText(
      "after",
      "\nExample:\n  waybill replay start production/warehouse --since 2026-03-01T00:00:00Z --event 'Order Completed' --dry-run",
    )
    .action(async (lane: string, options: StartOptions) => {
      const [environment, destination] = laneOf(lane);
      const body = requestOf(destination, options);
      const answer = await callAdmin(options, io, "startReplay", { params: { environment }, body });
      say(
        io,
        understood(options, () =>
          "events" in answer
            ? `${counted(answer.events, "event")} would be sent.`
            : `Replay ${answer.id} sends ${counted(answer.account.accepted, "event")}.`,
        ),
      );
    });
}

function requestOf(destination: string, options: StartOptions): GivenBody<"startReplay"> {
  const { since, until, source, type, event, user, rate, dryRun } = options;
  return {
    destination,
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(source === undefined ? {} : { source }),
    ...(type === undefined ? {} : { type }),
    ...(event === undefined ? {} : { event }),
    ...(user === undefined ? {} : { userId: user }),
    ...(rate === undefined ? {} : { eventsPerSecond: rate }),
    ...(dryRun === undefined ? {} : { dryRun }),
  };
}

function addList(group: Command, io: Io): void {
  withAdminOptions(group.command("list"))
    .description("show replays and their ledgers")
    .option("--json", "print the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill replay list")
    .action(async (options: AdminOptions & { readonly json?: boolean }) => {
      const replays = await callAdmin(options, io, "listReplays", {});
      if (options.json === true) return sayJson(io, replays);
      for (const text of understood(options, () => replays.map(line))) say(io, text);
      if (replays.length === 0) say(io, "There are none.");
    });
}

function addCancel(group: Command, io: Io): void {
  withAdminOptions(group.command("cancel <environment/id>"))
    .description("end a replay where it is")
    .addHelpText("after", "\nExample:\n  waybill replay cancel production/0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa")
    .action(async (name: string, options: AdminOptions) => {
      const [environment, id] = partsOf(name, {
        what: "replay",
        format: "environment/id, as waybill replay list shows it",
      });
      await callAdmin(options, io, "cancelReplay", { params: { environment, id } });
      say(io, `Cancelled replay ${name}.`);
    });
}

function line({ id, environment, destination, of, state, reason, account }: ReplayView): string {
  const { accepted, delivered, rejected, expired, pending } = account;
  return `${environment}/${id} ${of} to ${destination}: ${state}${reason === undefined ? "" : ` (${reason})`}; ${accepted} chosen, ${delivered} delivered, ${rejected} rejected, ${expired} expired, ${pending} pending`;
}
