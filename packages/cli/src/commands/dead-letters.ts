import type { DeadLetterView, GivenQuery, ReplayView } from "@waybill/relay";
import type { Command } from "commander";
import { type AdminOptions, callAdmin, openAdmin, understood, withAdminOptions } from "../admin-client.ts";
import { type AddCommand, laneOf, wholeNumber } from "../command.ts";
import { counted } from "../counted.ts";
import { type Io, say, sayJson } from "../io.ts";
import { LineWriter, NEWLINE } from "../line-writer.ts";
import { linesOf } from "../lines.ts";
import { attemptLine } from "./trace.ts";

interface FilterOptions extends AdminOptions {
  readonly id?: string;
  readonly state?: NonNullable<Filter["state"]>;
  readonly source?: string;
  readonly reason?: string;
  readonly since?: string;
  readonly until?: string;
}

type Filter = GivenQuery<"discardDeadLetters">;

interface ListOptions extends FilterOptions {
  readonly limit: number;
  readonly after?: number;
  readonly json?: boolean;
}

const LANE = "<environment/destination>";
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
const EVENTS_PER_SECOND_MAX = 1_000_000;

export const addDeadLettersCommand: AddCommand = (program, io) => {
  const group = program.command("dead-letters").description("work with the events that a destination refused for good");
  addList(group, io);
  addShow(group, io);
  addRetry(group, io);
  addDiscard(group, io);
  addExport(group, io);
};

function addList(group: Command, io: Io): void {
  command(group, "list", "list them, oldest first")
    .option("--limit <number>", "show at most so many", wholeNumber(1, PAGE_MAX), PAGE_DEFAULT)
    .option("--after <id>", "begin after this one", wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option("--json", "print the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill dead-letters list production/segment --reason 'too large'")
    .action(async (lane: string, options: ListOptions) => {
      const { limit, after, json } = options;
      const query = { ...filterOf(options), limit, after };
      const page = await callAdmin(options, io, "listDeadLetters", { params: paramsOf(lane), query });
      if (json === true) return sayJson(io, page);
      const lines = understood(options, () => page.deadLetters.map(line));
      for (const text of lines) say(io, text);
      if (page.next !== undefined) say(io, `There are more; show them with --after ${page.next}.`);
      else if (lines.length === 0) say(io, "There are none.");
      if (page.damaged > 0)
        say(
          io,
          `${counted(page.damaged, "dead letter")} cannot be read because of damage on disk; waybill log verify tells where.`,
        );
    });
}

function addShow(group: Command, io: Io): void {
  command(group, "show", "show dead letters with their events, and with every attempt if they are chosen with --id")
    .addHelpText("after", "\nExample:\n  waybill dead-letters show production/segment --id 17")
    .action(async (lane: string, options: FilterOptions) => {
      const query = filterOf(options);
      const page = await callAdmin(options, io, "listDeadLetters", { params: paramsOf(lane), query });
      const lines = understood(options, () =>
        page.deadLetters.flatMap((dead) => [
          line(dead),
          `  ${JSON.stringify(dead.event)}`,
          ...(dead.attempts ?? []).map(attemptLine),
        ]),
      );
      for (const text of lines) say(io, text);
    });
}

function addRetry(group: Command, io: Io): void {
  command(group, "retry", "send the waiting ones again, as a replay with a ledger of its own")
    .option("--rate <events>", "events per second", wholeNumber(1, EVENTS_PER_SECOND_MAX))
    .addHelpText("after", "\nExample:\n  waybill dead-letters retry production/segment --reason 'unknown field'")
    .action(async (lane: string, options: FilterOptions & { readonly rate?: number }) => {
      const query = { ...filterOf(options), eventsPerSecond: options.rate };
      const answer = await callAdmin(options, io, "retryDeadLetters", { params: paramsOf(lane), query });
      // Without a dry run it is a replay.
      const replay = answer as ReplayView;
      const events = understood(options, () => replay.account.accepted);
      say(io, `Replay ${replay.id} sends ${counted(events, "event")} again; waybill replay list shows how it goes.`);
    });
}

function addDiscard(group: Command, io: Io): void {
  command(group, "discard", "give the waiting ones up; they stay readable until retention removes them")
    .addHelpText("after", "\nExample:\n  waybill dead-letters discard production/segment --id 17,18")
    .action(async (lane: string, options: FilterOptions) => {
      const call = { params: paramsOf(lane), query: filterOf(options) };
      const { discarded } = await callAdmin(options, io, "discardDeadLetters", call);
      say(io, `Discarded ${counted(discarded, "dead letter")}.`);
    });
}

function addExport(group: Command, io: Io): void {
  command(group, "export", "write them to standard output, one JSON object per line, each event as it was stored")
    .addHelpText("after", "\nExample:\n  waybill dead-letters export production/segment > dead-letters.ndjson")
    .action(async (lane: string, options: FilterOptions) => {
      const call = { params: paramsOf(lane), query: filterOf(options) };
      const response = await openAdmin(options, io, "exportDeadLetters", call);
      const writer = new LineWriter(io);
      for await (const text of linesOf(response)) {
        if (writer.isGone) break;
        await writer.write([Buffer.from(text), NEWLINE]);
      }
      await writer.flush();
    });
}

function command(group: Command, name: string, description: string): Command {
  return withAdminOptions(group.command(`${name} ${LANE}`).description(description))
    .option("--id <ids>", "only those of these ids, separated by commas")
    .option("--state <state>", "only those in this state: waiting, retried or discarded")
    .option("--source <name>", "only events of this source")
    .option("--reason <text>", "only those whose reason contains this text")
    .option("--since <time>", "only those rejected then or later: ISO 8601 or epoch milliseconds")
    .option("--until <time>", "only those rejected before then");
}

/** As the user gave it: the relay checks it. */
function filterOf({ id, state, source, reason, since, until }: FilterOptions): {
  readonly [K in keyof Filter]: Filter[K] | undefined;
} {
  return { id, state, source, reason, since, until };
}

function paramsOf(lane: string): { readonly environment: string; readonly destination: string } {
  const [environment, destination] = laneOf(lane);
  return { environment, destination };
}

function line({ deadLetterId, state, rejectedAtMs, source, position, reason }: DeadLetterView): string {
  return `${deadLetterId} ${state} ${new Date(rejectedAtMs).toISOString()} ${source} #${position} ${reason}`;
}
