import { messageOf, WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import type { DeadLetterReasons, DeadLetterView } from "@waybill/relay";
import type { Command } from "commander";
import { callAdmin, openAdmin, understood } from "../admin-client.ts";
import { type AddCommand, wholeNumber } from "../command.ts";
import { counted } from "../counted.ts";
import { type FilterOptions, filteredCommand, filterOf, idAfter, idIn, paramsOf } from "../dead-letter-filter.ts";
import { complain, EXIT, type Io, say, sayJson, show } from "../io.ts";
import { LineWriter, NEWLINE } from "../line-writer.ts";
import { linesOf } from "../lines.ts";
import { type Column, tableLines } from "../terminal/table.ts";
import { terminalOf } from "../terminal/terminal.ts";
import { agoText, numberText } from "../terminal/units.ts";
import { attemptLine } from "../trace-lines.ts";
import { addDiscard, addRetry } from "./dead-letters-act.ts";

interface ListOptions extends FilterOptions {
  readonly limit: number;
  readonly after?: string;
}

const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
const NAME_MIN_CHARACTERS = 12;
const REASON_MIN_CHARACTERS = 24;

export const addDeadLettersCommand: AddCommand = (program, io, finish) => {
  const group = program.command("dead-letters").description("work with the events that a destination refused for good");
  addList(group, io, finish);
  addReasons(group, io, finish);
  addShow(group, io, finish);
  addRetry(group, io, finish);
  addDiscard(group, io, finish);
  addExport(group, io);
};

function addList(group: Command, io: Io, finish: (code: number) => void): void {
  filteredCommand(group, "list", "list them, oldest first")
    .option("--limit <number>", "show at most so many", wholeNumber(1, PAGE_MAX), PAGE_DEFAULT)
    .option("--after <id>", "begin after this one", idAfter)
    .option("--json", "print the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill dead-letters list production/segment --reason 'too large'")
    .action(async (lane: string, options: ListOptions) => {
      const { limit, after, json } = options;
      const query = { ...filterOf(options), limit, after };
      const call = { params: paramsOf(lane), query, onUnanswered: () => finish(EXIT.failed) };
      const page = await callAdmin(options, io, "listDeadLetters", call);
      if (json === true) return sayJson(io, page);
      const columns = columnsOf(lane, nodeClock.now());
      const lines = understood(options, () => tableLines(page.deadLetters, columns, terminalOf(io)));
      show(io, lines);
      if (page.next !== undefined) say(io, `There are more; show them with --after ${page.next}.`);
      else if (lines.length === 0) say(io, "There are none.");
      if (page.damaged > 0)
        complain(
          io,
          `${counted(page.damaged, "dead letter")} cannot be read because of damage on disk; waybill log verify tells where.`,
        );
    });
}

function columnsOf(lane: string, now: number): readonly Column<DeadLetterView>[] {
  return [
    { title: "id", value: (dead) => idOf(lane, dead), align: "right" },
    { title: "state", value: ({ state }) => state, tone: ({ state }) => (state === "waiting" ? "plain" : "quiet") },
    { title: "rejected", value: ({ rejectedAtMs }) => agoText(rejectedAtMs, now) },
    { title: "source", value: ({ source }) => source, leaveOut: 1 },
    { title: "event", value: ({ name }) => name ?? "", min: NAME_MIN_CHARACTERS },
    { title: "message id", value: ({ messageId }) => messageId ?? "", leaveOut: 2 },
    { title: "reason", value: ({ reason }) => reason, tone: () => "warning", min: REASON_MIN_CHARACTERS },
  ];
}

function idOf(lane: string, { deadLetterId: id, partition }: DeadLetterView): string {
  return idIn(lane, partition === undefined ? { id } : { id, partition });
}

function addReasons(group: Command, io: Io, finish: (code: number) => void): void {
  filteredCommand(group, "reasons", "count them by reason, the most frequent first; those that wait, without --state")
    .option("--json", "print the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill dead-letters reasons production/segment --since 1d")
    .action(async (lane: string, options: FilterOptions) => {
      const onUnanswered = () => finish(EXIT.failed);
      const call = { params: paramsOf(lane), query: filterOf(options), onUnanswered };
      const answer = await callAdmin(options, io, "listReasons", call);
      if (options.json === true) return sayJson(io, answer);
      const columns = reasonColumns(lane, nodeClock.now());
      const lines = understood(options, () => tableLines(answer.groups, columns, terminalOf(io)));
      show(io, lines);
      if (lines.length === 0) say(io, "There are none.");
      if (answer.others > 0) say(io, `${numberText(answer.others)} more have other reasons.`);
    });
}

function reasonColumns(lane: string, now: number): readonly Column<DeadLetterReasons["groups"][number]>[] {
  return [
    { title: "events", value: ({ waiting }) => numberText(waiting), align: "right" },
    { title: "reason", value: ({ reason }) => reason, tone: () => "warning", min: REASON_MIN_CHARACTERS },
    { title: "first", value: ({ first }) => agoText(first, now), leaveOut: 2 },
    { title: "last", value: ({ last }) => agoText(last, now), leaveOut: 1 },
    {
      title: "example",
      value: ({ example: id, partition }) => `--id ${idIn(lane, partition === undefined ? { id } : { id, partition })}`,
    },
  ];
}

function addShow(group: Command, io: Io, finish: (code: number) => void): void {
  filteredCommand(group, "show", "show them with their events, and with every attempt if they are chosen with --id")
    .option("--json", "print the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill dead-letters show production/segment --id 17")
    .action(async (lane: string, options: FilterOptions) => {
      const query = filterOf(options);
      const call = { params: paramsOf(lane), query, onUnanswered: () => finish(EXIT.failed) };
      const page = await callAdmin(options, io, "listDeadLetters", call);
      if (options.json === true) sayJson(io, page);
      else {
        for (const text of understood(options, () => page.deadLetters.flatMap((dead) => wholeOf(lane, dead))))
          say(io, text);
        if (page.next !== undefined) say(io, "There are more; choose them with --id, or with another filter.");
      }
      if (page.deadLetters.length > 0) return;
      complain(io, `waybill: No dead letter of ${lane} ${options.id === undefined ? "matches" : "has this id"}.`);
      finish(EXIT.failed);
    });
}

function wholeOf(lane: string, dead: DeadLetterView): readonly string[] {
  const { state, rejectedAtMs, source, position, reason, attempts = [] } = dead;
  return [
    `dead letter ${idOf(lane, dead)}, ${state}: rejected ${new Date(rejectedAtMs).toISOString()}, from ${source}, position ${position}`,
    `  reason   ${reason}`,
    `  event    ${JSON.stringify(dead.event)}`,
    ...attempts.map((attempt) => `  attempt  ${attemptLine(attempt)}`),
  ];
}

function addExport(group: Command, io: Io): void {
  filteredCommand(
    group,
    "export",
    "write them to standard output, one JSON object per line, each event as it was stored",
  )
    .option("--json", "the same: each line is a JSON object in any case")
    .addHelpText("after", "\nExample:\n  waybill dead-letters export production/segment > dead-letters.ndjson")
    .action(async (lane: string, options: FilterOptions) => {
      const call = { params: paramsOf(lane), query: filterOf(options) };
      const response = await openAdmin(options, io, "exportDeadLetters", call);
      const writer = new LineWriter(io);
      try {
        for await (const text of linesOf(response)) {
          if (writer.isGone) break;
          await writer.write([Buffer.from(text), NEWLINE]);
        }
      } catch (error) {
        throw error instanceof WaybillError ? error : brokenOff(error);
      } finally {
        await writer.flush();
      }
    });
}

function brokenOff(cause: unknown): WaybillError {
  return new WaybillError("WAYBILL_TRANSPORT", `The export broke off: ${messageOf(cause)}`, {
    hint: "What was written is a part. Export it again; of a cluster waybill status shows the relays.",
    cause,
  });
}
