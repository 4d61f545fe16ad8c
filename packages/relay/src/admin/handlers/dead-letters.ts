/** Dead letters: shown as they were stored, sent again, given up. */
import type { ServerResponse } from "node:http";
import type { DeadLetter } from "@waybill/log";
import {
  chosenDeadLetters,
  type DeadLetterChoice,
  groupedByReason,
  namesOfDead,
} from "../../delivery/dead-letter-choice.ts";
import type { Destination } from "../../delivery/destination.ts";
import { type SharedTurns, Turns } from "../../delivery/turns.ts";
import { writeAnswer } from "../../intake/answers.ts";
import type { CheckedQuery } from "../routes/table.ts";
import { eventLine } from "../tail.ts";
import type { AdminView } from "../view.ts";
import type { DeadLetterView, Discarded } from "../views.ts";
import { answer, type Call } from "./call.ts";
import { checkRoomForReplay, chosenLane } from "./lookup.ts";

/**
 * A page is made in memory, and each connection may wait with one: one that is full of large events
 * ends earlier.
 */
const PAGE_MAX_CHARACTERS = 1024 * 1024;
/** A look at the attempts of one reads a file of 4 MiB, or several. */
const ATTEMPTS_SHOWN_MAX = 20;
const MARK_AT_ONCE = 1_000;

export async function showPage(view: AdminView, call: Call<"listDeadLetters">): Promise<void> {
  const { destination } = chosenLane(view, call.params);
  const { query, response, reads } = call;
  const body = await reads.use(() => page(destination, { query, response, turns: turnsOf(view, call) }));
  writeAnswer(response, { status: 200, headers: { "content-type": "application/json" }, body });
}

export async function showReasons(view: AdminView, call: Call<"listReasons">): Promise<void> {
  const { deadLetters } = chosenLane(view, call.params).destination;
  const filter: DeadLetterChoice = { state: "waiting", ...filterOf(call.query) };
  const turns = turnsOf(view, call);
  answer(call, 200, await call.scans.use(() => groupedByReason(chosenDeadLetters(deadLetters, filter, { turns }))));
}

export async function exportAll(view: AdminView, call: Call<"exportDeadLetters">): Promise<void> {
  const { destination } = chosenLane(view, call.params);
  const stream = call.streams.open(call.response, { "content-type": "application/x-ndjson" });
  // Leaving the loop closes what the dead letters are read from, also when the reader is gone.
  const turns = turnsOf(view, call);
  for await (const dead of chosenDeadLetters(destination.deadLetters, filterOf(call.query), { turns }))
    if (!(await stream.write(`${textOf(dead, undefined)}\n`))) return;
  stream.end();
}

export async function retry(view: AdminView, call: Call<"retryDeadLetters">): Promise<void> {
  const { environment, destination } = chosenLane(view, call.params);
  const choice = { deadLetters: filterOf(call.query) };
  if (call.query.dryRun === true)
    return answer(call, 200, {
      events: await call.reads.use(() => environment.replays.count(destination.config.name, choice)),
    });
  checkRoomForReplay(environment);
  const { eventsPerSecond } = call.query;
  const begin = () => environment.replays.begin(destination.config.name, choice, eventsPerSecond);
  answer(call, 202, await call.reads.use(begin));
}

export async function discard(view: AdminView, call: Call<"discardDeadLetters">): Promise<void> {
  answer(call, 200, await call.reads.use(() => discardAll(view, call)));
}

/** Those that are there now; a thousand at a time, so that memory does not grow with them. */
async function discardAll(view: AdminView, call: Call<"discardDeadLetters">): Promise<Discarded> {
  const { deadLetters } = chosenLane(view, call.params).destination;
  const { head } = deadLetters.log;
  const isDryRun = call.query.dryRun === true;
  let chosen: number[] = [];
  let events = 0;
  let discarded = 0;
  const mark = async (): Promise<void> => {
    events += chosen.length;
    if (!isDryRun) await deadLetters.mark(chosen, "discarded");
    if (!isDryRun) discarded += chosen.length;
    chosen = [];
  };
  const filter: DeadLetterChoice = { state: "waiting", ...filterOf(call.query) };
  // What was begun is finished, whether somebody waits for it or not.
  const turns = new Turns(view.clock, { shared: call.turns });
  for await (const { deadLetterId } of chosenDeadLetters(deadLetters, filter, { turns })) {
    if (deadLetterId >= head) break;
    chosen.push(deadLetterId);
    if (chosen.length === MARK_AT_ONCE) await mark();
  }
  await mark();
  return { events, discarded };
}

type Reading = Pick<Turns, "yield">;

/** Ends with an error when the reader is gone: nobody hears of it. */
function turnsOf({ clock }: AdminView, { turns: shared, response }: TurnsParts): Reading {
  const turns = new Turns(clock, { shared });
  return {
    yield: async () => {
      await turns.yield();
      if (response.destroyed) throw new Error("the reader is gone");
    },
  };
}

interface TurnsParts {
  readonly turns: SharedTurns;
  readonly response: ServerResponse;
}

interface PageOptions {
  readonly query: CheckedQuery<"listDeadLetters">;
  readonly response: ServerResponse;
  readonly turns: Reading;
}

/** A `DeadLetterPage` as JSON, with the events' own bytes. */
async function page(destination: Destination, { query, response, turns }: PageOptions): Promise<string> {
  const { after, limit } = query;
  const filter = filterOf(query);
  const texts: string[] = [];
  let characters = 0;
  let last = 0;
  const range = { from: after === undefined ? undefined : after + 1, turns };
  const isFew = query.id !== undefined && query.id.length <= ATTEMPTS_SHOWN_MAX;
  for await (const dead of chosenDeadLetters(destination.deadLetters, filter, range)) {
    if (texts.length === limit || characters > PAGE_MAX_CHARACTERS)
      return pageText(destination, texts, `,"next":${last}`);
    // To look them up takes a while: only for a few dead letters that were chosen by id.
    const attempts = isFew ? await destination.attempts(dead.position) : undefined;
    const text = textOf(dead, attempts);
    texts.push(text);
    characters += text.length;
    last = dead.deadLetterId;
    if (response.destroyed) break;
  }
  return pageText(destination, texts, "");
}

function pageText({ deadLetters }: Destination, texts: readonly string[], next: string): string {
  return `{"deadLetters":[${texts.join(",")}]${next},"damaged":${deadLetters.counts().damaged}}`;
}

/** With the event's bytes as they were stored: parsing them here could change a number. */
function textOf(dead: DeadLetter, attempts: DeadLetterView["attempts"]): string {
  const { deadLetterId, state, position, source, receivedAtMs, rejectedAtMs, reason, event } = dead;
  const { messageId, name } = namesOfDead(dead);
  const fields = { deadLetterId, state, position, source, receivedAtMs, rejectedAtMs, reason, messageId, name };
  const text = JSON.stringify(attempts === undefined ? fields : { ...fields, attempts });
  return `${text.slice(0, -1)},"event":${eventLine(event)}}`;
}

function filterOf(query: CheckedQuery<"exportDeadLetters">): DeadLetterChoice {
  const { state, source, reason, name, user, since, until, id } = query;
  return {
    ...(name === undefined ? {} : { name }),
    ...(user === undefined ? {} : { user }),
    ...(state === undefined ? {} : { state }),
    ...(source === undefined ? {} : { source }),
    ...(reason === undefined ? {} : { reason }),
    ...(id === undefined ? {} : { deadLetterIds: id }),
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
  };
}
