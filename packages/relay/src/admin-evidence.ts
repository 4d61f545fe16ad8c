/** The part of the admin API that shows and repeats single events: trace, dead letters, replays. Shapes in admin-types.ts. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { WaybillError } from "@waybill/core";
import type { DeadLetter, DeadLetterFilter } from "@waybill/log";
import type { AddRoute, AdminView, Params } from "./admin-server.ts";
import type { DeadLetterPage, DeadLetterState, DeadLetterView, ReplayRequest, Trace } from "./admin-types.ts";
import { problem, writeAnswer, writeJson } from "./answers.ts";
import type { Destination } from "./destination.ts";
import type { Environment } from "./environment.ts";
import type { LogChoice } from "./chosen-events.ts";

const PAGE_DEFAULT = 100;
const PAGE_MAX = 1_000;
const BODY_MAX_BYTES = 64 * 1024;
const MARK_AT_ONCE = 1_000;
/** The time in a UUIDv7 is that of the client's clock, which may be fast. */
const SKEW_MS = 10 * 60_000;
/** Most events come soon after they are made; the others are found by the second look. */
const DELAY_MS = 3_600_000;
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

export function addEvidenceRoutes(add: AddRoute, view: AdminView): void {
  add("GET", "/v1/trace/:messageId", async (_request, response, params, query) => {
    const messageId = params["messageId"] ?? "";
    const found = await trace(view, messageId, query);
    if (found.events.length > 0) return writeJson(response, 200, found);
    writeAnswer(response, problem(404, "unknown_event", `No event of id ${messageId} is in the log.`));
  });

  const letters = "/v1/dead-letters/:environment/:destination";
  add("GET", letters, async (_request, response, params, query) => {
    const { destination } = chosenLane(view, params);
    const after = numberOf("after", query["after"]);
    const limit = Math.min(numberOf("limit", query["limit"]) ?? PAGE_DEFAULT, PAGE_MAX);
    writeJson(response, 200, await page(destination, filterOf(query), after, limit));
  });
  add("GET", `${letters}/export`, async (_request, response, params, query) => {
    const { destination } = chosenLane(view, params);
    const filter = filterOf(query);
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    for await (const letter of destination.deadLetters.list(filter)) {
      if (response.destroyed) return;
      if (!response.write(`${letterText(letter, undefined)}\n`)) await once(response, "drain").catch(() => undefined);
    }
    response.end();
  });
  add("POST", `${letters}/retry`, async (_request, response, params, query) => {
    const { environment, destination } = chosenLane(view, params);
    const rate = numberOf("eventsPerSecond", query["eventsPerSecond"]);
    const filter = filterOf(query);
    writeJson(response, 202, await environment.replays.begin(destination.config.name, { deadLetters: filter }, rate));
  });
  add("POST", `${letters}/discard`, async (_request, response, params, query) => {
    const { destination } = chosenLane(view, params);
    writeJson(response, 200, { discarded: await discard(destination, filterOf(query)) });
  });

  add("GET", "/v1/replays", (_request, response) => writeJson(response, 200, view.accounts().replays));
  add("POST", "/v1/replays/:environment", async (request, response, params) => {
    const environment = chosenEnvironment(view, params["environment"] ?? "");
    const wanted = replayRequest(await readJson(request));
    const { destination, dryRun, eventsPerSecond } = wanted;
    const choice = { log: choiceOf(environment, wanted) };
    if (dryRun === true)
      return writeJson(response, 200, { events: await environment.replays.count(destination, choice) });
    writeJson(response, 202, await environment.replays.begin(destination, choice, eventsPerSecond));
  });
  add("DELETE", "/v1/replays/:environment/:id", async (_request, response, params) => {
    const environment = chosenEnvironment(view, params["environment"] ?? "");
    if (await environment.replays.cancel(params["id"] ?? "")) response.writeHead(204).end();
    else writeAnswer(response, problem(404, "unknown_replay", `There is no replay ${params["id"]}.`));
  });
}

/** An id that names its time is looked for about then first; any other, and one that is not found there, in all of the log. */
async function trace(view: AdminView, messageId: string, query: Params): Promise<Trace> {
  const { environment: name } = query;
  const environments = name === undefined ? view.environments() : [chosenEnvironment(view, name)];
  const given = { ...timeOf("since", query["since"], "sinceMs"), ...timeOf("until", query["until"], "untilMs") };
  const hinted = Object.keys(given).length > 0;
  const bornAtMs = hinted ? undefined : timeOfUuidV7(messageId);
  const ranges = bornAtMs === undefined ? [given] : [{ sinceMs: bornAtMs - SKEW_MS, untilMs: bornAtMs + DELAY_MS }, {}];
  for (const range of ranges) {
    const events = (await Promise.all(environments.map((one) => one.trace(messageId, range)))).flat();
    if (events.length > 0) return { messageId, events };
  }
  return { messageId, events: [] };
}

/** Epoch ms. */
function timeOfUuidV7(id: string): number | undefined {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(id)
    ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    : undefined;
}

async function page(
  destination: Destination,
  filter: DeadLetterFilter,
  after: number | undefined,
  limit: number,
): Promise<DeadLetterPage> {
  const letters: DeadLetterView[] = [];
  for await (const letter of destination.deadLetters.list(filter, after === undefined ? undefined : after + 1)) {
    if (letters.length === limit) return { letters, next: (letters.at(-1) as DeadLetterView).letter };
    // To look them up takes a while: only for letters that were asked for by name.
    const attempts = filter.letters === undefined ? undefined : await destination.attempts(letter.position);
    letters.push(JSON.parse(letterText(letter, attempts)) as DeadLetterView);
  }
  return { letters };
}

/** The event's bytes as they stand: parsing them here could change a number. */
function letterText(dead: DeadLetter, attempts: DeadLetterView["attempts"]): string {
  const { letter, state, position, source, receivedAtMs, rejectedAtMs, reason, event } = dead;
  const fields = { letter, state, position, source, receivedAtMs, rejectedAtMs, reason };
  const text = JSON.stringify(attempts === undefined ? fields : { ...fields, attempts });
  return `${text.slice(0, -1)},"event":${Buffer.from(event).toString()}}`;
}

async function discard(destination: Destination, filter: DeadLetterFilter): Promise<number> {
  const { deadLetters } = destination;
  const chosen: number[] = [];
  for await (const { letter } of deadLetters.list({ state: "waiting", ...filter })) chosen.push(letter);
  for (let at = 0; at < chosen.length; at += MARK_AT_ONCE)
    await deadLetters.mark(chosen.slice(at, at + MARK_AT_ONCE), "discarded");
  return chosen.length;
}

function filterOf(query: Params): DeadLetterFilter {
  const { state, source, reason, letter } = query;
  if (state !== undefined && !STATES.includes(state as DeadLetterState))
    throw input(`state is one of ${STATES.join(", ")}, not ${state}`);
  return {
    ...(state === undefined ? {} : { state: state as DeadLetterState }),
    ...(source === undefined ? {} : { source }),
    ...(reason === undefined ? {} : { reason }),
    ...(letter === undefined ? {} : { letters: letter.split(",").map((one) => numberOf("letter", one) as number) }),
    ...timeOf("since", query["since"], "sinceMs"),
    ...timeOf("until", query["until"], "untilMs"),
  };
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

function replayRequest(value: unknown): ReplayRequest {
  if (typeof value !== "object" || value === null) throw input("the body is a JSON object");
  const unknown = Object.keys(value).find((key) => !REPLAY_FIELDS.includes(key));
  if (unknown !== undefined) throw input(`unknown field ${unknown}; there are ${REPLAY_FIELDS.join(", ")}`);
  const request = value as ReplayRequest;
  if (typeof request.destination !== "string") throw input("destination is missing");
  const rate = request.eventsPerSecond;
  if (rate !== undefined && !(typeof rate === "number" && rate > 0))
    throw input("eventsPerSecond is a number above zero");
  return request;
}

/** `{ [field]: epoch ms }`, or nothing when it is not given. */
function timeOf<F extends string>(
  name: string,
  given: string | number | undefined,
  field: F,
): { readonly [K in F]?: number } {
  if (given === undefined) return {};
  const isNumber = typeof given === "number" || /^\d+$/.test(given);
  const ms = isNumber ? Number(given) : Date.parse(given);
  if (Number.isNaN(ms)) throw input(`${name} is a time as ISO 8601 or in epoch milliseconds, not ${given}`);
  return { [field]: ms } as { readonly [K in F]?: number };
}

function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw input(`${name} is a number, not ${text}`);
  return Number(text);
}

function chosenEnvironment(view: AdminView, name: string): Environment {
  const environment = view.environment(name);
  if (environment === undefined) throw input(`there is no environment ${name}`);
  return environment;
}

function chosenLane(
  view: AdminView,
  params: Params,
): { readonly environment: Environment; readonly destination: Destination } {
  const environment = chosenEnvironment(view, params["environment"] ?? "");
  const name = params["destination"] ?? "";
  const destination = environment.destination(name);
  if (destination === undefined) throw input(`there is no destination ${environment.name}/${name}`);
  return { environment, destination };
}

function input(message: string): WaybillError {
  return new WaybillError("WAYBILL_INPUT", message);
}

export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_MAX_BYTES) throw input(`the body has more than ${BODY_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch {
    throw input("the body is not JSON");
  }
}
