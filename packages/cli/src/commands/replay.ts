import type { GivenBody, ReplayView } from "@waybill/relay";
import type { Command } from "commander";
import { type AdminOptions, callAdmin, understood, withAdminOptions } from "../admin-client.ts";
import { type AddCommand, laneOf, partsOf, wholeNumber } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, type Io, say, sayJson } from "../io.ts";
import { followReplay, OVER } from "../replay-progress.ts";
import { checkRange, TIME_FORMATS, timeOption } from "../times.ts";

interface StartOptions extends AdminOptions {
  readonly since?: number;
  readonly until?: number;
  readonly source?: string;
  readonly type?: string;
  readonly event?: string;
  readonly user?: string;
  readonly rate?: number;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
  readonly json?: boolean;
}

const EVENTS_PER_SECOND_MAX = 1_000_000;

export const addReplayCommand: AddCommand = (program, io, finish) => {
  const group = program.command("replay").description("send events that are in the log once more");
  addStart(group, io, finish);
  addList(group, io);
  addCancel(group, io);
};

function addStart(group: Command, io: Io, finish: (code: number) => void): void {
  withAdminOptions(group.command("start <environment/destination>"))
    .description("send a part of the log to a destination, even one that was added later; ids stay as they are")
    .option("--since <time>", `received then or later; default: all there is; ${TIME_FORMATS}`, timeOption)
    .option("--until <time>", "received before then; default: now", timeOption)
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
    .option("--wait", "wait until it is over, with a progress bar on a terminal; Ctrl-C ends the wait, not the replay")
    .option("--json", "print the answer of the admin API; with --wait, how the replay ended")
    .addHelpText(
      "after",
      "\nExit code with --wait: 1 unless every event was delivered or left out on purpose.\n\nExample:\n  waybill replay start production/warehouse --since 2h --event 'Order Completed' --dry-run",
    )
    .action(async (lane: string, options: StartOptions) => {
      const [environment, destination] = laneOf(lane);
      const body = requestOf(destination, options);
      const answer = await callAdmin(options, io, "startReplay", { params: { environment }, body });
      if ("events" in answer) {
        const text = understood(options, () => `${counted(answer.events, "event")} would be sent.`);
        return options.json === true ? sayJson(io, answer) : say(io, text);
      }
      if (understood(options, () => answer.account.accepted) === 0)
        complain(io, "No event in the log matches; waybill tail shows what comes in.");
      finish(await followReplay(answer, options, io));
    });
}

function requestOf(destination: string, options: StartOptions): GivenBody<"startReplay"> {
  const { since, until, source, type, event, user, rate, dryRun } = options;
  checkRange(options);
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
      for (const text of understood(options, () => replays.flatMap(lines))) say(io, text);
      if (replays.length === 0) say(io, "There are none.");
    });
}

function addCancel(group: Command, io: Io): void {
  withAdminOptions(group.command("cancel <environment/id>"))
    .description("end a replay where it is")
    .option("--json", "print what was cancelled as JSON")
    .addHelpText("after", "\nExample:\n  waybill replay cancel production/0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa")
    .action(async (name: string, options: AdminOptions & { readonly json?: boolean }) => {
      const [environment, id] = partsOf(name, {
        what: "replay",
        format: "environment/id, as waybill replay list shows it",
      });
      await callAdmin(options, io, "cancelReplay", { params: { environment, id } });
      if (options.json === true) return sayJson(io, { environment, id, cancelled: true });
      say(io, `Cancelled replay ${name}.`);
    });
}

/** Beneath one that is not over its partitions, in a cluster. */
function lines({ id, environment, destination, of, partitions = [], ...whole }: ReplayView): readonly string[] {
  return [
    `${environment}/${id} ${of} to ${destination}: ${progressOf(whole)}`,
    ...(OVER.includes(whole.state) ? [] : partitions).map((one) => `  partition ${one.partition}: ${progressOf(one)}`),
  ];
}

function progressOf({ state, reason, account }: Pick<ReplayView, "state" | "reason" | "account">): string {
  const { accepted, delivered, rejected, dropped, expired, pending } = account;
  const why = reason === undefined ? "" : ` (${reason})`;
  const ended = `${delivered} delivered, ${rejected} rejected, ${dropped} dropped, ${expired} expired`;
  return `${state}${why}; ${accepted} chosen, ${ended}, ${pending} pending`;
}
