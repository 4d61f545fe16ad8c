/** What became of events: by their id, a receipt or a position. */

import { partitionOf } from "../../cluster/partition-name.ts";
import type { Environment } from "../../environment.ts";
import type { PlaceInLog } from "../../open-environment.ts";
import { parseRanges, printRange, type ReceiptRange } from "../../receipt.ts";
import { othersAnswers } from "../cluster/pass-on.ts";
import { unanswered } from "../cluster/unanswered.ts";
import { invalid, quoted, unknown } from "../refusal.ts";
import { receipt as receiptSchema, trace as traceSchema } from "../schemas/inspection.ts";
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
  const [here, others] = await Promise.all([
    trace(view, messageId, { query: call.query, signal: gone.signal }),
    othersAnswers(view, call, traceSchema),
  ]);
  const { events, isCut } = merged([here, ...others.found]);
  if (events.length > 0) return answer(call, 200, { messageId, events, ...(isCut ? { isCut } : {}) });
  if (others.faults.length > 0) throw unanswered(others.faults);
  const message = `No event of id ${quoted(messageId)} is in the log${beginnings(view, call.query)}.`;
  throw unknown("unknown_event", message);
}

export async function showReceipt(view: AdminView, call: Call<"traceReceipt">): Promise<void> {
  const { environment } = call.params;
  const [here, others] = await Promise.all([receiptHere(view, call), othersAnswers(view, call, receiptSchema)]);
  const { events, isCut } = merged([here, ...others.found]);
  if (events.length > 0) return answer(call, 200, { events, ...(isCut ? { isCut } : {}) });
  if (others.faults.length > 0) throw unanswered(others.faults);
  const head = view.environment(environment)?.log.head;
  const next = head === undefined ? "" : `; the next one is ${head}`;
  throw unknown("unknown_event", `Environment ${quoted(environment)} has not given these positions yet${next}.`);
}

/** What is known here: of a partition that is elsewhere, nothing. */
async function receiptHere(view: AdminView, { params }: Call<"traceReceipt">): Promise<Found> {
  const ranges = parseRanges(params.positions) ?? [];
  const isInCluster = view.peers?.() !== undefined;
  if (!isInCluster) chosenEnvironment(view, params.environment);
  const name = partitionOf(params.environment)?.environment ?? params.environment;
  if (isInCluster && view.plan().every(({ environment }) => environment !== name))
    throw unknown("unknown_environment", `There is no environment ${quoted(name)}.`);
  const events: TracedEvent[] = [];
  let left = TRACE_MAX_EVENTS;
  for (const range of ranges) {
    const place = await placeOf(view, params.environment, range);
    for (let index = 0; index < Math.min(range.count, left) && place !== undefined; index++) {
      const traced = await place.environment.traceAt(place.position + index);
      if (traced !== undefined) events.push(traced);
    }
    left -= range.count;
    if (left < 0) return { events, isCut: true };
  }
  return { events };
}

async function placeOf(view: AdminView, name: string, range: ReceiptRange): Promise<PlaceInLog | undefined> {
  const isInCluster = view.peers?.() !== undefined;
  if ("position" in range) {
    const environment = view.environment(name);
    if (environment === undefined && partitionOf(name) === undefined)
      throw invalid(`The log of ${quoted(name)} is in partitions: name one, as ${quoted(name)}/0.`);
    return environment === undefined ? undefined : { environment, position: range.position };
  }
  if (!isInCluster)
    throw invalid(`The range ${quoted(printRange(range))} is a place on Kafka; this log is on the disk.`);
  return view.placeOf?.(name, range);
}

interface Found {
  readonly events: readonly TracedEvent[];
  readonly isCut?: boolean;
}

/** A partition may be at several relays: each knows of the destinations that it delivers it to. */
function merged(parts: readonly Found[]): Found {
  const events = new Map<string, TracedEvent>();
  for (const event of parts.flatMap((part) => part.events)) {
    const key = `${event.environment} ${event.position}`;
    const known = events.get(key);
    events.set(
      key,
      known === undefined
        ? event
        : { ...event, ...known, destinations: [...known.destinations, ...othersOf(known, event)] },
    );
  }
  const isCut = events.size > TRACE_MAX_EVENTS || parts.some((part) => part.isCut === true);
  return { events: [...events.values()].slice(0, TRACE_MAX_EVENTS), isCut };
}

/** One that is on its way from a relay to another is known to both. */
function othersOf(known: TracedEvent, { destinations }: TracedEvent): TracedEvent["destinations"] {
  const names = new Set(known.destinations.map(({ destination }) => destination));
  return destinations.filter(({ destination }) => !names.has(destination));
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
  const environments = environmentsOf(view, name);
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

/** Those that are here: of an environment in partitions some of these, or none. */
function environmentsOf(view: AdminView, name: string | undefined): readonly Environment[] {
  if (name === undefined) return view.environments();
  if (view.peers?.() === undefined) return [chosenEnvironment(view, name)];
  return view.environments().filter((one) => one.name === name || partitionOf(one.name)?.environment === name);
}

/** Epoch ms. */
function timeOfUuidV7(id: string): number | undefined {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(id)
    ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    : undefined;
}

/** Of a log on Kafka a relay knows some partitions, from where it has read them. */
function beginnings(view: AdminView, { environment }: TraceQuery): string {
  if (view.peers?.() !== undefined) return " of any partition; what retention has removed is not found";
  const logs = environmentsOf(view, environment)
    .map(({ name, log }) =>
      log.oldestAtMs === undefined
        ? `the log of ${name} is empty`
        : `the log of ${name} begins at ${new Date(log.oldestAtMs).toISOString()}`,
    )
    .join(", ");
  return `; ${logs}`;
}
