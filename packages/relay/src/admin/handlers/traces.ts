/** What became of events: by their id, a receipt or a position. */
import { parseRanges, printRange } from "../../receipt.ts";
import { invalid, quoted, unknown } from "../refusal.ts";
import type { AdminView } from "../view.ts";
import type { Trace, TracedEvent } from "../views.ts";
import { answer, type Call } from "./call.ts";
import { chosenEnvironment } from "./lookup.ts";

/** An id that so many events have names nothing; each event's story is read from files. */
const TRACE_MAX_EVENTS = 100;
/** The time in a UUIDv7 is that of the client's clock, which may be fast. */
const SKEW_MS = 10 * 60_000;
/** Most events come soon after they are made; the others are found by the second look. */
const DELAY_MS = 3_600_000;

type TraceQuery = Call<"trace">["query"];

export async function showTrace(view: AdminView, call: Call<"trace">): Promise<void> {
  const { messageId } = call.params;
  const gone = new AbortController();
  call.response.once("close", () => gone.abort());
  const found = await trace(view, messageId, { query: call.query, signal: gone.signal });
  if (found.events.length > 0) answer(call, 200, found);
  else
    throw unknown(
      "unknown_event",
      `No event of id ${quoted(messageId)} is in the log; ${beginnings(view, call.query)}.`,
    );
}

export async function showReceipt(view: AdminView, call: Call<"traceReceipt">): Promise<void> {
  const environment = chosenEnvironment(view, call.params.environment);
  const positions = positionsOf(call.params.positions);
  const events: TracedEvent[] = [];
  for (const position of positions.slice(0, TRACE_MAX_EVENTS)) {
    const traced = await environment.traceAt(position);
    if (traced !== undefined) events.push(traced);
  }
  const isCut = positions.length > TRACE_MAX_EVENTS;
  if (events.length > 0) answer(call, 200, { events, ...(isCut ? { isCut } : {}) });
  else
    throw unknown(
      "unknown_event",
      `Environment ${environment.name} has not given these positions yet; the next one is ${environment.log.head}.`,
    );
}

/**
 * An id that names its time is looked for about then first. Any other id, and one that is not found
 * there, is looked
 * for in all of the log.
 */
async function trace(
  view: AdminView,
  messageId: string,
  { query, signal }: { readonly query: TraceQuery; readonly signal: AbortSignal },
): Promise<Trace> {
  const { environment: name, since, until } = query;
  const environments = name === undefined ? view.environments() : [chosenEnvironment(view, name)];
  const given = {
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
  };
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

/** Of a receipt's ranges, or of one position: one more than are shown at most. */
function positionsOf(text: string): readonly number[] {
  const positions: number[] = [];
  for (const range of parseRanges(text) ?? []) {
    if (!("position" in range))
      throw invalid(`The range ${quoted(printRange(range))} is a place on Kafka; this log is on the disk.`);
    for (let index = 0; index < range.count && positions.length <= TRACE_MAX_EVENTS; index++)
      positions.push(range.position + index);
  }
  return positions;
}

function beginnings(view: AdminView, { environment }: TraceQuery): string {
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
