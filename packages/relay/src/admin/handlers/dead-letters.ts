/** Dead letters: shown as they were stored, sent again, given up. */
import type { ServerResponse } from "node:http";
import type { DeadLetter } from "@waybill/log";
import { partitionOf } from "../../cluster/partition-name.ts";
import {
  chosenDeadLetters,
  type DeadLetterChoice,
  groupedByReason,
  namesOfDead,
} from "../../delivery/dead-letter-choice.ts";
import { type SharedTurns, Turns } from "../../delivery/turns.ts";
import { type Answer, jsonAnswer, writeAnswer } from "../../intake/answers.ts";
import { AllPartitions, type LaneParams, wholeDestination } from "../cluster/all-partitions.ts";
import { invalid, quoted } from "../refusal.ts";
import type { CheckedQuery, Operation } from "../routes/table.ts";
import { LINES_HEADERS, type Stream } from "../streams.ts";
import { eventLine } from "../tail.ts";
import type { AdminView } from "../view.ts";
import type { DeadLetterView, Discarded, ReplayView } from "../views.ts";
import { discardOfAll, exportOfAll, pageOfAll, type Query, reasonsOfAll, retryOfAll } from "./all-dead-letters.ts";
import { answerOf, type Call, type Handler } from "./call.ts";
import { type ChosenLane, checkRoomForReplay, chosenLane, whyNotHere } from "./lookup.ts";
import { placeOf } from "./replays.ts";

/**
 * A page is made in memory, and each connection may wait with one: one that is full of large events
 * ends earlier.
 */
const PAGE_MAX_CHARACTERS = 1024 * 1024;
/** A look at the attempts of one reads a file of 4 MiB, or several. */
const ATTEMPTS_SHOWN_MAX = 20;
const MARK_AT_ONCE = 1_000;

/** Of one partition, or of all. */
function answering<O extends Operation>(
  operation: O,
  of: {
    readonly one: (view: AdminView, call: Call<O>) => Promise<Answer>;
    readonly all: (all: AllPartitions<Query<O>>, query: Query<O>) => Promise<Answer>;
  },
): Handler<O> {
  return async (view, call) => {
    const { request, response } = call;
    const params = call.params as LaneParams;
    // The route's own parameters, of one partition.
    const here = (part: LaneParams, query: Query<O>) => of.one(view, { ...call, params: part, query } as Call<O>);
    const whole = wholeDestination(view, request, params);
    const all = whole && new AllPartitions({ whole, operation, request, response, here });
    const answer = await (all === undefined ? of.one(view, call) : of.all(all, call.query as Query<O>));
    all?.end();
    writeAnswer(call.response, answer);
  };
}

export const showPage: Handler<"listDeadLetters"> = answering("listDeadLetters", {
  one: async (view, call) => {
    const lane = chosenLane(view, call.params);
    const { query, response, reads } = call;
    return jsonAnswer(200, await reads.use(() => page(lane, { query, response, turns: turnsOf(view, call) })));
  },
  all: pageOfAll,
});

export const showReasons: Handler<"listReasons"> = answering("listReasons", {
  one: async (view, call) => {
    const { deadLetters } = chosenLane(view, call.params).destination;
    const filter: DeadLetterChoice = { state: "waiting", ...filterOf(call.query) };
    const turns = turnsOf(view, call);
    const groups = await call.scans.use(() => groupedByReason(chosenDeadLetters(deadLetters, filter, { turns })));
    return answerOf<"listReasons", 200>(200, groups);
  },
  all: reasonsOfAll,
});

export async function exportAll(view: AdminView, call: Call<"exportDeadLetters">): Promise<void> {
  const { request, response, query, params } = call;
  const here = async (part: LaneParams, of: Query<"exportDeadLetters">, stream: Stream): Promise<boolean> =>
    exportOf(view, { ...call, params: part, query: of }, stream);
  const whole = wholeDestination(view, request, params);
  if (whole !== undefined) return exportOfAll(whole, { call, here, clock: view.clock });
  chosenLane(view, params);
  const stream = call.streams.open(response, LINES_HEADERS);
  if (await here(params, query, stream)) stream.end();
  else response.destroy();
}

/** Whether all were written that there are; a part must not look like the whole. */
async function exportOf(view: AdminView, call: Call<"exportDeadLetters">, stream: Stream): Promise<boolean> {
  const lane = chosenLane(view, call.params);
  // Leaving the loop closes what the dead letters are read from, also when the reader is gone.
  const turns = turnsOf(view, call);
  for await (const dead of chosenDeadLetters(lane.destination.deadLetters, filterOf(call.query), { turns }))
    if (!(await stream.write(`${textOf(dead, lane, undefined)}\n`))) return false;
  return whyNotHere(view, call.params, lane) === undefined;
}

export const retry: Handler<"retryDeadLetters"> = answering("retryDeadLetters", {
  one: async (view, call) => {
    const lane = chosenLane(view, call.params);
    const { environment } = lane;
    const { dryRun, eventsPerSecond } = call.query;
    const { destination: name } = call.params;
    const choice = { deadLetters: filterOf(call.query) };
    if (dryRun === true)
      return answerOf<"retryDeadLetters", 200>(200, {
        events: await call.reads.use(() => environment.replays.count(name, choice)),
      });
    const place = placeOf(view, environment.name);
    const begin = async (): Promise<ReplayView> => {
      if (place?.partition === undefined) return environment.replays.begin(name, choice, eventsPerSecond);
      const to = lane.destination.deadLetters.log.head;
      const total = await environment.replays.count(name, choice, to);
      const part = { partition: place.partition, from: 0, to, total };
      return place.replays.retry({ destination: name, choice: choice.deadLetters, eventsPerSecond, part });
    };
    checkRoomForReplay(place?.replays.kept([place.partition ?? 0]) ?? environment.replays.views().length);
    return answerOf<"retryDeadLetters", 202>(202, await call.reads.use(begin));
  },
  all: retryOfAll,
});

export const discard: Handler<"discardDeadLetters"> = answering("discardDeadLetters", {
  one: async (view, call) =>
    answerOf<"discardDeadLetters", 200>(200, await call.reads.use(() => discardAll(view, call))),
  all: discardOfAll,
});

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
    if (!isDryRun) {
      await deadLetters.mark(chosen, "discarded");
      // A retry may have delivered some meanwhile.
      discarded += chosen.filter((id) => deadLetters.stateOf(id) === "discarded").length;
    }
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
async function page(lane: ChosenLane, { query, response, turns }: PageOptions): Promise<string> {
  const { destination } = lane;
  const { after, limit } = query;
  const filter = filterOf(query);
  const texts: string[] = [];
  let characters = 0;
  let last = 0;
  const range = { from: after === undefined ? undefined : idOf(after) + 1, turns };
  const isFew = query.id !== undefined && query.id.length <= ATTEMPTS_SHOWN_MAX;
  for await (const dead of chosenDeadLetters(destination.deadLetters, filter, range)) {
    if (texts.length === limit || characters > PAGE_MAX_CHARACTERS) return pageText(lane, texts, `,"next":${last}`);
    // To look them up takes a while: only for a few dead letters that were chosen by id.
    const attempts = isFew ? await destination.attempts(dead.position) : undefined;
    const text = textOf(dead, lane, attempts);
    texts.push(text);
    characters += text.length;
    last = dead.deadLetterId;
    if (response.destroyed) break;
  }
  return pageText(lane, texts, "");
}

function pageText({ destination }: ChosenLane, texts: readonly string[], next: string): string {
  return `{"deadLetters":[${texts.join(",")}]${next},"damaged":${destination.deadLetters.counts().damaged}}`;
}

/** With the event's bytes as they were stored: parsing them here could change a number. */
function textOf(dead: DeadLetter, { environment }: ChosenLane, attempts: DeadLetterView["attempts"]): string {
  const { deadLetterId, state, position, source, receivedAtMs, rejectedAtMs, reason, event } = dead;
  const { messageId, name } = namesOfDead(dead);
  const { partition } = partitionOf(environment.name) ?? {};
  const where = { deadLetterId, partition, state, position };
  // What is undefined is left out.
  const text = JSON.stringify({ ...where, source, receivedAtMs, rejectedAtMs, reason, messageId, name, attempts });
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
    ...(id === undefined ? {} : { deadLetterIds: id.map(idOf) }),
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
  };
}

function idOf(name: string): number {
  if (!name.includes(":")) return Number(name);
  throw invalid(`${quoted(name)} names a partition: write it where the destination of all partitions is meant.`);
}
