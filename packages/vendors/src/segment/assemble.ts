/**
 * Makes what is stored of the events that a scan found. In the common case (every event new, with
 * an id and a type) that is one view of the request's own bytes; otherwise the events are copied,
 * once, with as little changed as possible.
 */
import { assert } from "@waybill/core";
import { ByteWriter, firstFrom } from "../byte-writer.ts";
import { encodeMetadata, skewOf } from "./metadata.ts";
import type { FoundEvent, Range, SegmentScan } from "./scan-types.ts";

export interface AssembleOptions {
  /** Which events to keep; all when absent. At least one must be. */
  readonly keep?: ((index: number) => boolean) | undefined;
  /** Gives the event at `index` of the request, which has no id, one. */
  readonly makeId: (index: number) => string;
  readonly receivedAtMs: number;
}

export interface Assembled {
  /** The events, separated by commas (and the white space of the sender). */
  readonly body: readonly Uint8Array[];
  /** For each event the offset in `body` after it (and the white space that follows). */
  readonly ends: Uint32Array;
  readonly metadata: string;
}

const COMMA = 0x2c;
const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
/** Room for what an event may get: a type and an id. */
const ADDED_BYTES = 96;

export function assemble(scan: SegmentScan, options: AssembleOptions): Assembled {
  const { events } = scan;
  const { keep } = options;
  const metadata = metadataOf(scan, options.receivedAtMs);
  if (keep === undefined && unchanged(scan)) return wholeBody(scan, metadata);
  const writer = new ByteWriter(lengthOf(events));
  const ends: number[] = [];
  for (let index = 0; index < events.length; index++) {
    if (keep !== undefined && !keep(index)) continue;
    if (ends.length > 0) writer.byte(COMMA);
    writeEvent(writer, scan, index, options);
    ends.push(writer.length);
  }
  assert(ends.length > 0, "something is kept");
  return { body: [writer.take()], ends: Uint32Array.from(ends), metadata };
}

/** Most requests carry nothing beside their events. */
function metadataOf(scan: SegmentScan, receivedAtMs: number): string {
  const { context, integrations, sentAt } = scan;
  if (context === undefined && integrations === undefined && sentAt === undefined) return "";
  return encodeMetadata({
    context: rawText(scan, context),
    integrations: rawText(scan, integrations),
    skewMs: skewOf(sentAt, receivedAtMs),
  });
}

/** As they came, with room for what they get. */
function lengthOf(events: readonly FoundEvent[]): number {
  const first = events[0];
  const last = events.at(-1);
  if (first === undefined || last === undefined) return 0;
  let changed = 0;
  for (const { idStart, needsType } of events) if (idStart < 0 || needsType) changed += 1;
  return last.end - first.start + changed * ADDED_BYTES;
}

function unchanged({ events, refused, cuts, nonFinite }: SegmentScan): boolean {
  return (
    refused.length === 0 &&
    cuts.length === 0 &&
    nonFinite.length === 0 &&
    events.every((event) => event.idStart >= 0 && !event.needsType)
  );
}

/** All events as they are in the request, from the first one's start to the last one's end. */
function wholeBody({ bytes, events }: SegmentScan, metadata: string): Assembled {
  const first = (events[0] as FoundEvent).start;
  const ends = new Uint32Array(events.length);
  for (let index = 0; index < events.length; index++) {
    let end = (events[index] as FoundEvent).end;
    // Up to the comma: the table counts white space to the event before it.
    if (index < events.length - 1) while (bytes[end] !== COMMA) end++;
    ends[index] = end - first;
  }
  return { body: [bytes.subarray(first, (events[events.length - 1] as FoundEvent).end)], ends, metadata };
}

/** One event's bytes with what it needs put in and what must not travel on left out. */
function writeEvent(
  writer: ByteWriter,
  scan: SegmentScan,
  index: number,
  { makeId }: Pick<AssembleOptions, "makeId">,
): void {
  const event = scan.events[index] as FoundEvent;
  const inside = insideOf(scan, event);
  writer.byte(OPEN_BRACE);
  let added = 0;
  if (event.needsType && scan.type !== undefined) {
    writer.text(`"type":"${scan.type}"`);
    added += 1;
  }
  if (event.idStart < 0 && event.badId === undefined) {
    writer.text(added > 0 ? ',"messageId":"' : '"messageId":"');
    writer.text(makeId(index));
    writer.byte(QUOTE);
    added += 1;
  }
  if (added > 0 && inside.start < inside.end) writer.byte(COMMA);
  const replacedId =
    event.badId === undefined
      ? undefined
      : { start: event.badId.start, end: event.badId.end, text: `"${makeId(index)}"` };
  writer.copyEdited(scan.bytes, inside.start, inside.end, scan, replacedId);
  writer.byte(CLOSE_BRACE);
}

/**
 * Between the braces, without the white space in front and without what is cut there; empty when
 * nothing is left.
 */
function insideOf({ bytes, cuts }: SegmentScan, { start, end }: Range): Range {
  let first = start + 1;
  while ((bytes[first] as number) <= 0x20) first++;
  // Cuts at the beginning take all up to the first member that stays.
  for (let index = firstFrom(cuts, first); cuts[index] === first; index += 2) first = cuts[index + 1] as number;
  return { start: first, end: end - 1 };
}

function rawText(scan: SegmentScan, range: Range | undefined): string | undefined {
  if (range === undefined) return undefined;
  const writer = new ByteWriter(range.end - range.start);
  writer.copyEdited(scan.bytes, range.start, range.end, { nonFinite: scan.nonFinite, cuts: [] });
  return new TextDecoder().decode(writer.take());
}
