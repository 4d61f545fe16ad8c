/**
 * What became of events: found by their id in the log's bytes, or by their position. What is
 * answered is bounded: how often an id occurs is for senders to decide.
 */
import { own } from "@waybill/core";
import type { Log, LogRecord, Position } from "@waybill/log";
import { vendorOf } from "@waybill/vendors";
import { adapterOf } from "@waybill/vendors/registry";
import type { TraceDestination, TracedEvent } from "../admin/views.ts";
import type { Destination } from "./destination.ts";
import { recordAt } from "./record-at.ts";
import type { Replays } from "./replays.ts";

export interface TraceOptions {
  /** Only the segments that were written to between these times, epoch ms. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Most events that are reported. Default 1,000. */
  readonly max?: number;
  /** Ends the search; what was found until then is reported. */
  readonly signal?: AbortSignal;
}

export interface Traced {
  readonly events: readonly TracedEvent[];
  /** Whether there are more than are reported. */
  readonly isCut: boolean;
}

export interface Traceable {
  readonly environment: string;
  readonly log: Log;
  readonly destinations: readonly Destination[];
  readonly replays: Replays;
  /** What became of these events at destinations that are not configured any more, by position. */
  readonly removed: (positions: readonly Position[]) => Promise<ReadonlyMap<Position, readonly TraceDestination[]>>;
}

const EVENTS_MAX = 1_000;
/** Of all events that are reported, as they are stored. */
const BYTES_MAX = 4 * 1024 * 1024;

/** What became of the events of this id: of the segments written to in that time, or of all. */
export async function traceEvents(from: Traceable, messageId: string, options: TraceOptions): Promise<Traced> {
  const { max = EVENTS_MAX, signal } = options;
  const events: TracedEvent[] = [];
  let bytes = 0;
  let isCut = false;
  for await (const { record, index } of from.log.find(Buffer.from(JSON.stringify(messageId)), options)) {
    if (signal?.aborted === true) break;
    if (index === undefined) continue;
    const text = textAt(record, index);
    const event = parse(text);
    // The same text may be in another event's properties.
    const member = adapterOf(vendorOf(record.metadata))?.idMember;
    if (event === undefined || member === undefined || memberOf(event, member) !== messageId) continue;
    isCut = events.length === max || (events.length > 0 && bytes + text.length > BYTES_MAX);
    if (isCut) break;
    bytes += text.length;
    const { source, receivedAtMs } = record;
    const position = record.first + index;
    const destinations = await traceDestinations(from, position);
    events.push({ environment: from.environment, source, position, receivedAtMs, event, destinations });
  }
  const removed = await from.removed(events.map(({ position }) => position));
  return { events: events.map((event) => withRemoved(event, removed)), isCut };
}

/** The value at names joined by dots. */
function memberOf(event: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce(
      (at, name) =>
        typeof at === "object" && at !== null ? own(at as Readonly<Record<string, unknown>>, name) : undefined,
      event,
    );
}

function withRemoved<T extends { readonly position: Position; readonly destinations: readonly TraceDestination[] }>(
  traced: T,
  removed: ReadonlyMap<Position, readonly TraceDestination[]>,
): T {
  return { ...traced, destinations: [...traced.destinations, ...(removed.get(traced.position) ?? [])] };
}

/**
 * What became of the event at `position`, also when the event itself is no longer in the log.
 * `undefined`: no event has this position yet.
 */
export async function tracePosition(from: Traceable, position: Position): Promise<TracedEvent | undefined> {
  const { environment, log } = from;
  if (position >= log.head) return undefined;
  const destinations = await traceDestinations(from, position);
  const record = await recordAt(log, position);
  const event = record === undefined ? undefined : parse(textAt(record, position - record.first));
  const stored =
    record === undefined || event === undefined
      ? {}
      : { source: record.source, receivedAtMs: record.receivedAtMs, event };
  return withRemoved({ environment, position, ...stored, destinations }, await from.removed([position]));
}

function traceDestinations(
  { destinations, replays }: Traceable,
  position: Position,
): Promise<readonly TraceDestination[]> {
  return Promise.all(
    destinations.map(async (destination) => {
      const traced = await destination.trace(position);
      const deadLetterId = traced.deadLetter?.deadLetterId;
      return { ...traced, replays: await replays.trace(destination.config.name, position, deadLetterId) };
    }),
  );
}

function textAt({ body, ends }: LogRecord, index: number): string {
  const start = index === 0 ? 0 : (ends[index - 1] as number) + 1;
  return Buffer.from(body.subarray(start, ends[index])).toString();
}

/** `undefined` for what is not a JSON object: it has no id. */
function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const event: unknown = JSON.parse(text);
    return typeof event === "object" && event !== null ? (event as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
