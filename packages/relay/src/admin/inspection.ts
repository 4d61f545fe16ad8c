/** The part of the admin API that shows and repeats single events: trace, dead letters, replays. Shapes in admin-types.ts. */
import type { DeadLetter, DeadLetterFilter } from "@waybill/log";
import type { LogChoice } from "../delivery/chosen-events.ts";
import type { Destination } from "../delivery/destination.ts";
import type { Environment } from "../environment.ts";
import { problem, writeAnswer, writeJson } from "../intake/answers.ts";
import { fieldsOf, invalid, type Params, quoted, Refusal, textField, timeOf, unknown, wholeNumberOf } from "./input.ts";
import type { AddRoute, AdminView, Call } from "./server.ts";
import { eventLine } from "./tail.ts";
import type { DeadLetterState, DeadLetterView, ReplayRequest, Trace, TracedEvent } from "./types.ts";

const PAGE_DEFAULT = 100;
const PAGE_MAX = 1_000;
/** A page is made in memory: one that is full of large events ends earlier. */
const PAGE_MAX_CHARACTERS = 8 * 1024 * 1024;
/** More are chosen by a filter. */
const LETTERS_MAX = 1_000;
const MARK_AT_ONCE = 1_000;
/** An event of Segment's has at most 32 KiB, and its id is a part of it. */
const ID_MAX_CHARACTERS = 32 * 1024;
/** An id that is told so often names nothing; each event's story is read from files. */
const TRACE_MAX_EVENTS = 100;
/** The time in a UUIDv7 is that of the client's clock, which may be fast. */
const SKEW_MS = 10 * 60_000;
/** Most events come soon after they are made; the others are found by the second look. */
const DELAY_MS = 3_600_000;
const RATE_MIN = 0.001;
const RATE_MAX = 1_000_000;
/** Of an environment, over or not: each has files open until retention takes it. */
const REPLAYS_MAX = 200;
const STATES: readonly DeadLetterState[] = ["waiting", "retried", "discarded"];
const REPLAY_FIELDS = [
  "destination",
  "since",
  "until",
  "source",
  "type",
  "event",
  "userId",
  "eventsPerSecond",
  "dryRun",
];

export function addInspectionRoutes(add: AddRoute, view: AdminView): void {
  add("GET", "/v1/trace/:messageId", async ({ response, params, query }) => {
    const messageId = params["messageId"] ?? "";
    if (messageId === "" || messageId.length > ID_MAX_CHARACTERS)
      throw invalid(`an id has 1 to ${ID_MAX_CHARACTERS} characters`);
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const found = await trace(view, messageId, { query, signal: gone.signal });
    if (found.events.length > 0) return writeJson(response, 200, found);
    throw unknown("unknown_event", `No event of id ${quoted(messageId)} is in the log; ${beginnings(view, query)}.`);
  });
  add("GET", "/v1/receipts/:environment/:positions", async ({ response, params }) => {
    const environment = chosenEnvironment(view, params["environment"] ?? "");
    const positions = positionsOf(params["positions"] ?? "");
    const events: TracedEvent[] = [];
    for (const position of positions.slice(0, TRACE_MAX_EVENTS)) {
      const traced = await environment.traceAt(position);
      if (traced !== undefined) events.push(traced);
    }
    const isCut = positions.length > TRACE_MAX_EVENTS;
    if (events.length > 0) return writeJson(response, 200, { events, ...(isCut ? { isCut } : {}) });
    throw unknown("unknown_event", `Environment ${environment.name} has not given these positions yet.`);
  });

  const letters = "/v1/dead-letters/:environment/:destination";
  add("GET", letters, async (call) => {
    const { destination } = chosenLane(view, call.params);
    const after = wholeNumberOf("after", call.query["after"], { min: 0, max: Number.MAX_SAFE_INTEGER - 1 });
    const limit = wholeNumberOf("limit", call.query["limit"], { min: 1, max: PAGE_MAX }) ?? PAGE_DEFAULT;
    const body = await page(destination, filterOf(call.query), { after, limit }, call);
    writeAnswer(call.response, { status: 200, headers: { "content-type": "application/json" }, body });
  });
  add("GET", `${letters}/export`, async ({ response, params, query, streams }) => {
    const { destination } = chosenLane(view, params);
    const filter = filterOf(query);
    const stream = streams.open(response, { "content-type": "application/x-ndjson" });
    // Leaving the loop closes what the letters are read from, also when the reader is gone.
    for await (const letter of destination.deadLetters.list(filter))
      if (!(await stream.write(`${letterText(letter, undefined)}\n`))) return;
    stream.end();
  });
  add("POST", `${letters}/retry`, async ({ response, params, query }) => {
    const { environment, destination } = chosenLane(view, params);
    const rate = wholeNumberOf("eventsPerSecond", query["eventsPerSecond"], { min: 1, max: RATE_MAX });
    const filter = filterOf(query);
    checkRoom(environment);
    writeJson(response, 202, await environment.replays.begin(destination.config.name, { deadLetters: filter }, rate));
  });
  add("POST", `${letters}/discard`, async ({ response, params, query }) => {
    const { destination } = chosenLane(view, params);
    writeJson(response, 200, { discarded: await discard(destination, filterOf(query)) });
  });

  add("GET", "/v1/replays", ({ response }) => writeJson(response, 200, view.accounts().replays));
  add("POST", "/v1/replays/:environment", async ({ response, params, body }) => {
    const environment = chosenEnvironment(view, params["environment"] ?? "");
    const wanted = replayRequest(body);
    const { destination, dryRun, eventsPerSecond } = wanted;
    const choice = { log: choiceOf(environment, wanted) };
    if (dryRun === true)
      return writeJson(response, 200, { events: await environment.replays.count(destination, choice) });
    checkRoom(environment);
    writeJson(response, 202, await environment.replays.begin(destination, choice, eventsPerSecond));
  });
  add("DELETE", "/v1/replays/:environment/:id", async ({ response, params }) => {
    const { id = "" } = params;
    const environment = chosenEnvironment(view, params["environment"] ?? "");
    if (!(await environment.replays.cancel(id))) throw unknown("unknown_replay", `There is no replay ${quoted(id)}.`);
    response.writeHead(204).end();
  });
}

/** An id that names its time is looked for about then first; any other, and one that is not found there, in all of the log. */
async function trace(
  view: AdminView,
  messageId: string,
  { query, signal }: { readonly query: Params; readonly signal: AbortSignal },
): Promise<Trace> {
  const { environment: name } = query;
  const environments = name === undefined ? view.environments() : [chosenEnvironment(view, name)];
  const given = { ...timeOf("since", query["since"], "sinceMs"), ...timeOf("until", query["until"], "untilMs") };
  const hinted = Object.keys(given).length > 0;
  const bornAtMs = hinted ? undefined : timeOfUuidV7(messageId);
  const ranges = bornAtMs === undefined ? [given] : [{ sinceMs: bornAtMs - SKEW_MS, untilMs: bornAtMs + DELAY_MS }, {}];
  for (const range of ranges) {
    const options = { ...range, signal, max: TRACE_MAX_EVENTS };
    const traced = await Promise.all(environments.map((one) => one.trace(messageId, options)));
    const events = traced.flatMap((one) => one.events);
    const isCut = events.length > TRACE_MAX_EVENTS || traced.some((one) => one.isCut);
    if (events.length > 0) return { messageId, events: events.slice(0, TRACE_MAX_EVENTS), ...(isCut ? { isCut } : {}) };
  }
  return { messageId, events: [] };
}

/** Epoch ms. */
function timeOfUuidV7(id: string): number | undefined {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(id)
    ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    : undefined;
}

/** A {@link DeadLetterPage} as JSON, with the events' own bytes. */
/** Of a receipt, `1841+2,57+1;more=3`, or one position. */
function positionsOf(text: string): readonly number[] {
  const [ranges = ""] = text.split(";more=");
  const positions: number[] = [];
  for (const range of ranges.split(",")) {
    const [, first, count = "1"] = /^(\d{1,15})(?:\+(\d{1,15}))?$/.exec(range) ?? [];
    if (first === undefined) throw invalid("a receipt is <environment>/<position>+<count>, or several of them");
    for (let index = 0; index < Number(count) && positions.length <= TRACE_MAX_EVENTS; index++)
      positions.push(Number(first) + index);
  }
  return positions;
}

function beginnings(view: AdminView, { environment }: Params): string {
  return view
    .environments()
    .filter(({ name }) => environment === undefined || name === environment)
    .map(({ name, log }) =>
      log.oldestAtMs === undefined
        ? `the log of ${name} is empty`
        : `the log of ${name} begins at ${new Date(log.oldestAtMs).toISOString()}`,
    )
    .join(", ");
}

async function page(
  destination: Destination,
  filter: DeadLetterFilter,
  { after, limit }: { readonly after: number | undefined; readonly limit: number },
  { response }: Call,
): Promise<string> {
  const letters: string[] = [];
  let characters = 0;
  let last = 0;
  for await (const letter of destination.deadLetters.list(filter, after === undefined ? undefined : after + 1)) {
    if (letters.length === limit || characters > PAGE_MAX_CHARACTERS)
      return pageText(destination, letters, `,"next":${last}`);
    // To look them up takes a while: only for letters that were asked for by name.
    const attempts = filter.letters === undefined ? undefined : await destination.attempts(letter.position);
    const text = letterText(letter, attempts);
    letters.push(text);
    characters += text.length;
    last = letter.letter;
    if (response.destroyed) break;
  }
  return pageText(destination, letters, "");
}

function pageText({ deadLetters }: Destination, letters: readonly string[], next: string): string {
  return `{"letters":[${letters.join(",")}]${next},"damaged":${deadLetters.counts().damaged}}`;
}

/** The event's bytes as they stand: parsing them here could change a number. */
function letterText(dead: DeadLetter, attempts: DeadLetterView["attempts"]): string {
  const { letter, state, position, source, receivedAtMs, rejectedAtMs, reason, event } = dead;
  const fields = { letter, state, position, source, receivedAtMs, rejectedAtMs, reason };
  const text = JSON.stringify(attempts === undefined ? fields : { ...fields, attempts });
  return `${text.slice(0, -1)},"event":${eventLine(event)}}`;
}

/** Those that are there now; a thousand at a time, so that memory does not grow with them. */
async function discard({ deadLetters }: Destination, filter: DeadLetterFilter): Promise<number> {
  const { head } = deadLetters.log;
  let chosen: number[] = [];
  let discarded = 0;
  const mark = async (): Promise<void> => {
    await deadLetters.mark(chosen, "discarded");
    discarded += chosen.length;
    chosen = [];
  };
  for await (const { letter } of deadLetters.list({ state: "waiting", ...filter })) {
    if (letter >= head) break;
    chosen.push(letter);
    if (chosen.length === MARK_AT_ONCE) await mark();
  }
  await mark();
  return discarded;
}

function filterOf(query: Params): DeadLetterFilter {
  const { state, source, reason, letter } = query;
  if (state !== undefined && !STATES.includes(state as DeadLetterState))
    throw invalid(`state is one of ${STATES.join(", ")}, not ${quoted(state)}`);
  return {
    ...(state === undefined ? {} : { state: state as DeadLetterState }),
    ...(source === undefined ? {} : { source }),
    ...(reason === undefined ? {} : { reason }),
    ...(letter === undefined ? {} : { letters: lettersOf(letter) }),
    ...timeOf("since", query["since"], "sinceMs"),
    ...timeOf("until", query["until"], "untilMs"),
  };
}

function lettersOf(text: string): readonly number[] {
  const names = text.split(",");
  if (names.length > LETTERS_MAX) throw invalid(`letter names more than ${LETTERS_MAX}; choose by a filter`);
  return names.map((name) => wholeNumberOf("letter", name, { min: 0, max: Number.MAX_SAFE_INTEGER }) as number);
}

function choiceOf(environment: Environment, { since, until, source, type, event, userId }: ReplayRequest): LogChoice {
  const { log } = environment;
  const times = { ...timeOf("since", since, "sinceMs"), ...timeOf("until", until, "untilMs") };
  return {
    from: times.sinceMs === undefined ? log.first : Math.max(log.first, log.positionAt(times.sinceMs)),
    to: log.head,
    ...times,
    ...(source === undefined ? {} : { source }),
    ...(type === undefined ? {} : { type }),
    ...(event === undefined ? {} : { event }),
    ...(userId === undefined ? {} : { userId }),
  };
}

function replayRequest(body: unknown): ReplayRequest {
  const fields = fieldsOf(body, REPLAY_FIELDS);
  const { destination, eventsPerSecond: rate, dryRun } = fields;
  if (typeof destination !== "string") throw invalid("destination is missing");
  if (rate !== undefined && !(typeof rate === "number" && rate >= RATE_MIN && rate <= RATE_MAX))
    throw invalid(`eventsPerSecond is a number above zero, from ${RATE_MIN} to ${RATE_MAX}`);
  if (dryRun !== undefined && typeof dryRun !== "boolean") throw invalid("dryRun is true or false");
  const times = { ...timeOf("since", fields["since"], "since"), ...timeOf("until", fields["until"], "until") };
  return {
    destination,
    ...times,
    ...textField(fields, "source"),
    ...textField(fields, "type"),
    ...textField(fields, "event"),
    ...textField(fields, "userId"),
    ...(rate === undefined ? {} : { eventsPerSecond: rate }),
    ...(dryRun === undefined ? {} : { dryRun }),
  };
}

function checkRoom({ replays }: Environment): void {
  if (replays.views().length >= REPLAYS_MAX)
    throw new Refusal(
      problem(
        409,
        "too_many_replays",
        `There are ${REPLAYS_MAX} replays; those that are over go with retention.maxAge.`,
      ),
    );
}

function chosenEnvironment(view: AdminView, name: string): Environment {
  const environment = view.environment(name);
  if (environment === undefined) throw unknown("unknown_environment", `There is no environment ${quoted(name)}.`);
  return environment;
}

function chosenLane(
  view: AdminView,
  params: Params,
): { readonly environment: Environment; readonly destination: Destination } {
  const environment = chosenEnvironment(view, params["environment"] ?? "");
  const name = params["destination"] ?? "";
  const destination = environment.destination(name);
  if (destination === undefined)
    throw unknown("unknown_lane", `There is no destination ${environment.name}/${quoted(name)}.`);
  return { environment, destination };
}
