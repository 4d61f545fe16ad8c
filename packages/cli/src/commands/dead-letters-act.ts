/** The commands that deal with dead letters: each says beforehand how many it concerns. */
import type { AdminAnswer } from "@waybill/relay";
import type { Command } from "commander";
import { callAdmin, understood } from "../admin-client.ts";
import { wholeNumber } from "../command.ts";
import { confirmed } from "../confirm.ts";
import { counted } from "../counted.ts";
import { type FilterOptions, filteredCommand, filterOf, paramsOf } from "../dead-letter-filter.ts";
import { complain, EXIT, type Io, say, sayJson } from "../io.ts";
import { type FollowOptions, followReplay, followReplays } from "../replay-progress.ts";

interface RetryOptions extends FilterOptions, FollowOptions {
  readonly rate?: number;
  readonly dryRun?: boolean;
}

interface DiscardOptions extends FilterOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

type Begun = Exclude<AdminAnswer<"retryDeadLetters">, { readonly events: number; readonly replays?: never }>;

const EVENTS_PER_SECOND_MAX = 1_000_000;

export function addRetry(group: Command, io: Io, finish: (code: number) => void): void {
  filteredCommand(group, "retry", "send the waiting ones again, as a replay with a ledger of its own")
    .option("--rate <events>", "events per second", wholeNumber(1, EVENTS_PER_SECOND_MAX))
    .option("--dry-run", "only count them")
    .option("--wait", "wait until it is over, with a progress bar on a terminal; Ctrl-C ends the wait, not the replay")
    .option("--json", "print the answer of the admin API; with --wait, how the replay ended")
    .addHelpText(
      "after",
      "\nExit code 1 when none matches.\n\nExample:\n  waybill dead-letters retry production/segment --reason 'unknown field'",
    )
    .action(async (lane: string, options: RetryOptions) => {
      const params = paramsOf(lane);
      const query = filterOf(options);
      const onUnanswered = () => finish(EXIT.failed);
      const counting = { params, query: { ...query, dryRun: "true" as const }, onUnanswered };
      const found = (await callAdmin(options, io, "retryDeadLetters", counting)) as { readonly events: number };
      if (options.dryRun === true || found.events === 0)
        return finish(tellCount(lane, found, { ...options, what: "sent again" }, io));
      const call = { params, query: { ...query, eventsPerSecond: options.rate }, onUnanswered };
      // Without a dry run it is a replay, of all partitions one for each.
      const answer = (await callAdmin(options, io, "retryDeadLetters", call)) as Begun;
      if ("replays" in answer) return finish(await followReplays(answer, options, io));
      const more = options.wait === true ? " again" : " again; waybill replay list shows how it goes";
      finish(await followReplay(answer, { ...options, more }, io));
    });
}

export function addDiscard(group: Command, io: Io, finish: (code: number) => void): void {
  filteredCommand(group, "discard", "give the waiting ones up; they stay readable until retention removes them")
    .option("--dry-run", "only count them")
    .option("-y, --yes", "do it without asking; where there is no terminal nothing is done without")
    .option("--json", "print the answer of the admin API")
    .addHelpText(
      "after",
      "\nExit code 1 when none matches, or when nothing was done.\n\nExample:\n  waybill dead-letters discard production/segment --id 17,18 --yes",
    )
    .action(async (lane: string, options: DiscardOptions) => {
      const params = paramsOf(lane);
      const query = filterOf(options);
      const onUnanswered = () => finish(EXIT.failed);
      const counting = { params, query: { ...query, dryRun: "true" as const }, onUnanswered };
      const found = await callAdmin(options, io, "discardDeadLetters", counting);
      if (options.dryRun === true || found.events === 0)
        return finish(tellCount(lane, found, { ...options, what: "discarded" }, io));
      if (
        options.yes !== true &&
        !(await mayDiscard(
          lane,
          understood(options, () => found.events),
          options,
          io,
        ))
      )
        return finish(EXIT.failed);
      const answer = await callAdmin(options, io, "discardDeadLetters", { params, query, onUnanswered });
      if (options.json === true) sayJson(io, answer);
      else say(io, `Discarded ${counted(answer.discarded, "dead letter")}.`);
    });
}

/** Says how many there are, and that there are none as a failure. Returns the exit code. */
function tellCount(
  lane: string,
  answer: { readonly events: number },
  options: { readonly json?: boolean; readonly what: string } & FilterOptions,
  io: Io,
): number {
  const { events } = answer;
  if (options.json === true) sayJson(io, answer);
  else if (events > 0)
    say(
      io,
      understood(options, () => `${counted(events, "dead letter")} of ${lane} would be ${options.what}.`),
    );
  if (events === 0) complain(io, `waybill: No dead letter of ${lane} that waits matches; nothing was ${options.what}.`);
  return events === 0 ? EXIT.failed : EXIT.ok;
}

async function mayDiscard(lane: string, events: number, { json }: DiscardOptions, io: Io): Promise<boolean> {
  const what = `${counted(events, "dead letter")} of ${lane}`;
  const answer = json === true ? undefined : await confirmed(io, `Discard ${what}? They are not sent again.`);
  if (answer === false) complain(io, "Nothing was discarded.");
  if (answer !== undefined) return answer;
  complain(io, `waybill: ${what} would be discarded`);
  complain(io, "  Do it with --yes.");
  return false;
}
