import type { AttemptView, TraceDestination, TracedEvent } from "@waybill/relay";
import { type AdminOptions, callAdmin, understood, withAdminOptions } from "../admin-client.ts";
import type { AddCommand } from "../command.ts";
import { counted } from "../counted.ts";
import { say, sayJson } from "../io.ts";

interface TraceOptions extends AdminOptions {
  readonly environment?: string;
  readonly since?: string;
  readonly until?: string;
  readonly json?: boolean;
}

/** `<environment>/<position>+<count>,…` as in the header of an answer, or one position. */
const RECEIPT = /^([a-z0-9][a-z0-9_-]{0,62})\/(\d+(?:\+\d+)?(?:,\d+(?:\+\d+)?)*(?:;more=\d+)?)$/;

export const addTraceCommand: AddCommand = (program, io) => {
  withAdminOptions(program.command("trace <id>"))
    .description(
      "show what became of an event, by its message id, a receipt or a position: where it is stored and, per destination, every attempt and the outcome",
    )
    .option("--environment <name>", "only this environment")
    .option(
      "--since <time>",
      "received about this time or later; saves reading all of the log for an id that is not a UUIDv7",
    )
    .option("--until <time>", "received about this time or before")
    .option("--json", "print the answer of the admin API")
    .addHelpText(
      "after",
      "\nExit code 1 when there is no such event.\n\nExample:\n  waybill trace 0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa\n  waybill trace production/1841+3      (the header waybill-receipt of an answer)\n  waybill trace production/1841        (a position)",
    )
    .action(async (id: string, { environment, since, until, json, ...admin }: TraceOptions) => {
      const [, place, positions = ""] = RECEIPT.exec(id) ?? [];
      const trace =
        place === undefined
          ? await callAdmin(admin, io, "trace", { params: { messageId: id }, query: { environment, since, until } })
          : await callAdmin(admin, io, "traceReceipt", { params: { environment: place, positions } });
      if (json === true) return sayJson(io, trace);
      for (const [index, lines] of understood(admin, () => trace.events.map(readable)).entries()) {
        if (index > 0) say(io, "");
        for (const line of lines) say(io, line);
      }
      if (trace.isCut === true) say(io, "There are more; choose a time with --since and --until.");
    });
};

function readable({
  environment,
  source,
  position,
  receivedAtMs,
  event,
  destinations,
}: TracedEvent): readonly string[] {
  const stored =
    receivedAtMs === undefined
      ? [`was stored at ${environment}/${position}; the event itself is no longer in the log`]
      : [
          `received ${time(receivedAtMs)} from ${environment}/${source}, stored at ${environment}/${position}`,
          `  ${JSON.stringify(event)}`,
        ];
  return [...stored, ...destinations.flatMap(destinationLines)];
}

function destinationLines(traced: TraceDestination): readonly string[] {
  const {
    destination,
    formerVendor,
    removed,
    outcome,
    reason,
    lane,
    deadLetter,
    deliveredByRetryAtMs,
    attempts,
    replays,
  } = traced;
  const details = [
    removed === true ? "removed from the configuration" : undefined,
    formerVendor === undefined ? undefined : `its vendor was ${formerVendor} then`,
    deliveredByRetryAtMs === undefined ? undefined : `after retry ${time(deliveredByRetryAtMs)}`,
    lane === undefined ? undefined : `lane ${lane}`,
    reason,
    deadLetter === undefined ? undefined : `dead letter ${deadLetter.deadLetterId}, ${deadLetter.state}`,
  ].filter((detail) => detail !== undefined);
  return [
    `${destination}: ${outcome.replace("_", " ")}${details.length === 0 ? "" : ` (${details.join("; ")})`}`,
    ...attempts.map(attemptLine),
    ...replays.flatMap(({ replay, outcome: again, reason: why, attempts: tried }) => [
      `  replay ${replay}: ${again.replace("_", " ")}${why === undefined ? "" : ` (${why})`}`,
      ...tried.map(attemptLine),
    ]),
  ];
}

export function attemptLine({ atMs, count, status, durationMs, reason }: AttemptView): string {
  const answer = status === undefined ? "no answer" : `status ${status}`;
  return `  ${time(atMs)} ${answer} after ${durationMs} ms, ${counted(count, "event")}${reason === undefined ? "" : `: ${reason}`}`;
}

function time(atMs: number): string {
  return new Date(atMs).toISOString();
}
