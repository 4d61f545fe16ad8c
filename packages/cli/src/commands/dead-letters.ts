import type { DeadLetterPage, DeadLetterView, ReplayView } from "@waybill/relay";
import type { Command } from "commander";
import {
  type AdminCall,
  type AdminOptions,
  callAdmin,
  openAdmin,
  present,
  understood,
  withAdminOptions,
} from "../admin-client.ts";
import { type AddCommand, laneOf, wholeNumber } from "../command.ts";
import { counted } from "../counted.ts";
import { type Io, say, sayJson } from "../io.ts";
import { LineWriter, NEWLINE } from "../line-writer.ts";
import { linesOf } from "../lines.ts";
import { attemptLine } from "./trace.ts";

interface FilterOptions extends AdminOptions {
  readonly letter?: string;
  readonly state?: string;
  readonly source?: string;
  readonly reason?: string;
  readonly since?: string;
  readonly until?: string;
}

interface ListOptions extends FilterOptions {
  readonly limit: number;
  readonly after?: number;
  readonly json?: boolean;
}

const LANE = "<environment/destination>";

export const addDeadLettersCommand: AddCommand = (program, io) => {
  const group = program.command("dead-letters").description("work with the events a destination refused for good");

  command(group, "list", "list them, oldest first")
    .option("--limit <number>", "letters at most", wholeNumber(1, 1_000), 100)
    .option("--after <letter>", "begin behind this one", wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option("--json", "the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill dead-letters list production/segment --reason 'too large'")
    .action(async (lane: string, options: ListOptions) => {
      const { limit, after, json } = options;
      const page = await ask<DeadLetterPage>(io, lane, options, { path: "", query: { limit, after } });
      if (json === true) return sayJson(io, page);
      const lines = understood(options, () => page.letters.map(line));
      for (const text of lines) say(io, text);
      if (page.next !== undefined) say(io, `more: --after ${page.next}`);
      else if (lines.length === 0) say(io, "none");
      if (page.damaged > 0)
        say(io, `${counted(page.damaged, "letter")} cannot be read: damaged on disk; waybill log verify says where`);
    });

  command(group, "show", "show letters whole: the event, the reason; every attempt of those named with --letter")
    .addHelpText("after", "\nExample:\n  waybill dead-letters show production/segment --letter 17")
    .action(async (lane: string, options: FilterOptions) => {
      const page = await ask<DeadLetterPage>(io, lane, options, { path: "" });
      const lines = understood(options, () =>
        page.letters.flatMap((letter) => [
          line(letter),
          `  ${JSON.stringify(letter.event)}`,
          ...(letter.attempts ?? []).map(attemptLine),
        ]),
      );
      for (const text of lines) say(io, text);
    });

  command(group, "retry", "send the waiting ones again, as a replay with a ledger of its own")
    .option("--rate <events>", "events a second", wholeNumber(1, 1_000_000))
    .addHelpText("after", "\nExample:\n  waybill dead-letters retry production/segment --reason 'unknown field'")
    .action(async (lane: string, options: FilterOptions & { readonly rate?: number }) => {
      const query = { eventsPerSecond: options.rate };
      const { id, account } = await ask<ReplayView>(io, lane, options, { method: "POST", path: "/retry", query });
      const events = understood(options, () => account.accepted);
      say(io, `replay ${id} sends ${counted(events, "event")} again; see waybill replay list`);
    });

  command(group, "discard", "give the waiting ones up; they stay readable until retention")
    .addHelpText("after", "\nExample:\n  waybill dead-letters discard production/segment --letter 17,18")
    .action(async (lane: string, options: FilterOptions) => {
      const { discarded } = await ask<{ discarded: number }>(io, lane, options, { method: "POST", path: "/discard" });
      say(io, `discarded ${discarded}`);
    });

  command(group, "export", "write them to standard output, one JSON object a line, each event as it was stored")
    .addHelpText("after", "\nExample:\n  waybill dead-letters export production/segment > letters.ndjson")
    .action(async (lane: string, options: FilterOptions) => {
      const response = await openAdmin(options, io, { path: `${pathOf(lane)}/export`, query: queryOf(options) });
      const writer = new LineWriter(io);
      for await (const text of linesOf(understood(options, () => present(response)))) {
        if (writer.isGone) break;
        await writer.write([Buffer.from(text), NEWLINE]);
      }
      await writer.flush();
    });
};

function command(group: Command, name: string, description: string): Command {
  return withAdminOptions(group.command(`${name} ${LANE}`).description(description))
    .option("--letter <numbers>", "only these, separated by commas")
    .option("--state <state>", "waiting, retried or discarded")
    .option("--source <name>", "only of this source")
    .option("--reason <text>", "only those whose reason contains it")
    .option("--since <time>", "rejected then or later: ISO 8601 or epoch milliseconds")
    .option("--until <time>", "rejected before then");
}

async function ask<T>(io: Io, lane: string, options: FilterOptions, call: AdminCall): Promise<T> {
  const path = `${pathOf(lane)}${call.path}`;
  const answer = await callAdmin<T>(options, io, { ...call, path, query: { ...queryOf(options), ...call.query } });
  return understood(options, () => present(answer));
}

function queryOf({ letter, state, source, reason, since, until }: FilterOptions): NonNullable<AdminCall["query"]> {
  return { letter, state, source, reason, since, until };
}

function pathOf(lane: string): string {
  const [environment, destination] = laneOf(lane);
  return `/v1/dead-letters/${encodeURIComponent(environment)}/${encodeURIComponent(destination)}`;
}

function line({ letter, state, rejectedAtMs, source, position, reason }: DeadLetterView): string {
  return `${letter} ${state} ${new Date(rejectedAtMs).toISOString()} ${source} #${position} ${reason}`;
}
