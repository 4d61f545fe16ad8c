import type { ReplayRequest, ReplayView } from "@waybill/relay";
import { type AdminOptions, callAdmin, present, understood, withAdminOptions } from "../admin-client.ts";
import { type AddCommand, laneOf, partsOf, wholeNumber } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, EXIT, say, sayJson } from "../io.ts";

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

export const addReplayCommand: AddCommand = (program, io, finish) => {
  const group = program.command("replay").description("send events that are in the log once more");

  withAdminOptions(group.command("start <environment/destination>"))
    .description("send a part of the log to a destination, also one that was not there then; ids stay as they are")
    .option("--since <time>", "received then or later: ISO 8601 or epoch milliseconds; default: all there is")
    .option("--until <time>", "received before then; default: now")
    .option("--source <name>", "only of this source")
    .option("--type <type>", "only events of this type")
    .option("--event <name>", "only events of this name")
    .option("--user <id>", "only events of this user")
    .option("--rate <events>", "events a second; live traffic comes first in any case", wholeNumber(1, 1_000_000))
    .option("--dry-run", "only count")
    .addHelpText(
      "after",
      "\nExample:\n  waybill replay start production/warehouse --since 2026-03-01T00:00:00Z --event 'Order Completed' --dry-run",
    )
    .action(async (lane: string, options: StartOptions) => {
      const [environment, destination] = laneOf(lane);
      const { since, until, source, type, event, user, rate, dryRun } = options;
      const body: ReplayRequest = {
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
      const path = `/v1/replays/${encodeURIComponent(environment)}`;
      const answer = await callAdmin<ReplayView & { readonly events?: number }>(options, io, {
        method: "POST",
        path,
        body,
      });
      const { events, id, account } = understood(options, () => present(answer));
      if (events !== undefined) say(io, `${counted(events, "event")} would be sent`);
      else
        say(
          io,
          `replay ${id} sends ${counted(
            understood(options, () => account.accepted),
            "event",
          )}`,
        );
    });

  withAdminOptions(group.command("list"))
    .description("show replays and their ledgers")
    .option("--json", "the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill replay list")
    .action(async (options: AdminOptions & { readonly json?: boolean }) => {
      const replays = (await callAdmin<readonly ReplayView[]>(options, io, { path: "/v1/replays" })) ?? [];
      if (options.json === true) return sayJson(io, replays);
      for (const text of understood(options, () => replays.map(line))) say(io, text);
      if (replays.length === 0) say(io, "none");
    });

  withAdminOptions(group.command("cancel <environment/id>"))
    .description("end a replay where it is")
    .addHelpText("after", "\nExample:\n  waybill replay cancel production/0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa")
    .action(async (name: string, options: AdminOptions) => {
      const [environment, id] = partsOf(name, { what: "replay", form: "environment/id, as waybill replay list does" });
      const path = `/v1/replays/${encodeURIComponent(environment)}/${encodeURIComponent(id)}`;
      const answer = await callAdmin(options, io, { method: "DELETE", path });
      if (answer === undefined) {
        complain(io, `There is no replay ${name}.`);
        return finish(EXIT.failed);
      }
      say(io, `cancelled ${name}`);
    });
};

function line({ id, environment, destination, of, state, reason, account }: ReplayView): string {
  const { accepted, delivered, rejected, expired, pending } = account;
  return `${environment}/${id} ${of} to ${destination}: ${state}${reason === undefined ? "" : ` (${reason})`}; ${accepted} chosen, ${delivered} delivered, ${rejected} rejected, ${expired} expired, ${pending} pending`;
}
