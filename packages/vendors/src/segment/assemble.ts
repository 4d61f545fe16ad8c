/**
 * Makes the stored form of what a scan found. In the common case (every event new, with an id and a type) that is one
 * view of the request's own bytes; otherwise the events at fault are copied with as little changed as possible.
 */
import { assert } from "@waybill/core";
import { encodeMetadata, skewOf } from "./metadata.ts";
import type { FoundEvent, Range, SegmentScan } from "./scan.ts";

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
  /** For each event the offset in `body` behind it (and the white space that follows). */
  readonly ends: Uint32Array;
  readonly metadata: string;
}

const COMMA: Uint8Array = Uint8Array.of(0x2c);
const encoder = new TextEncoder();

export function assemble(scan: SegmentScan, options: AssembleOptions): Assembled {
  const { events } = scan;
  const { keep } = options;
  const metadata = encodeMetadata({
    context: rawText(scan, scan.context),
    integrations: rawText(scan, scan.integrations),
    skewMs: skewOf(scan.sentAt, options.receivedAtMs),
  });
  if (keep === undefined && unchanged(scan)) return { ...wholeBody(scan), metadata };
  const body: Uint8Array[] = [];
  const ends: number[] = [];
  let bytes = 0;
  for (const [index, event] of events.entries()) {
    if (keep !== undefined && !keep(index)) continue;
    if (body.length > 0) {
      body.push(COMMA);
      bytes += 1;
    }
    for (const piece of eventPieces(scan, event, () => options.makeId(index))) {
      body.push(piece);
      bytes += piece.length;
    }
    ends.push(bytes);
  }
  assert(ends.length > 0, "something is kept");
  return { body, ends: Uint32Array.from(ends), metadata };
}

function unchanged({ events, refused, members, nonFinite }: SegmentScan): boolean {
  return (
    refused.length === 0 &&
    members === undefined &&
    nonFinite.length === 0 &&
    events.every((event) => event.idStart >= 0 && !event.needsType)
  );
}

/** All events as they stand in the request, from the first one's start to the last one's end. */
function wholeBody({ bytes, events }: SegmentScan): Pick<Assembled, "body" | "ends"> {
  const first = (events[0] as FoundEvent).start;
  const ends = new Uint32Array(events.length);
  for (let index = 0; index < events.length; index++) {
    let end = (events[index] as FoundEvent).end;
    // Up to the comma: the table counts white space to the event before it.
    if (index < events.length - 1) while (bytes[end] !== 0x2c) end++;
    ends[index] = end - first;
  }
  return { body: [bytes.subarray(first, (events[events.length - 1] as FoundEvent).end)], ends };
}

/** One event's bytes with what it needs put in and what must not travel on left out. */
function eventPieces(scan: SegmentScan, event: FoundEvent, makeId: () => string): Uint8Array[] {
  const added: string[] = [];
  if (event.needsType && scan.type !== undefined) added.push(`"type":"${scan.type}"`);
  if (event.idStart < 0 && event.badId === undefined) added.push(`"messageId":"${makeId()}"`);
  const replacedId = event.badId === undefined ? undefined : { range: event.badId, text: `"${makeId()}"` };
  const pieces: Uint8Array[] = [];
  if (scan.members === undefined) {
    const inside = insideOf(scan.bytes, event);
    pieces.push(encoder.encode(`{${added.join(",")}${added.length > 0 && inside.start < inside.end ? "," : ""}`));
    copy(scan, inside, replacedId, pieces);
  } else {
    pieces.push(encoder.encode(`{${added.join(",")}`));
    for (const [index, member] of scan.members.entries()) {
      if (index > 0 || added.length > 0) pieces.push(COMMA);
      copy(scan, member, replacedId, pieces);
    }
  }
  pieces.push(encoder.encode("}"));
  return pieces;
}

/** Between the braces; empty when there is only white space. */
function insideOf(bytes: Uint8Array, { start, end }: Range): Range {
  let first = start + 1;
  while ((bytes[first] as number) <= 0x20) first++;
  return { start: first, end: end - 1 };
}

/** Copies a range with bare NaN and infinities as null and the replaced id in its place. */
function copy(
  scan: SegmentScan,
  range: Range,
  replacedId: { readonly range: Range; readonly text: string } | undefined,
  pieces: Uint8Array[],
): void {
  let at = range.start;
  for (const { start, end, text } of replacements(scan, range, replacedId)) {
    // An id that is a bare NaN stands in both lists.
    if (start < at) continue;
    pieces.push(scan.bytes.subarray(at, start), encoder.encode(text));
    at = end;
  }
  if (at < range.end) pieces.push(scan.bytes.subarray(at, range.end));
}

/** What changes within `range`, in order of place. */
function* replacements(
  { nonFinite }: SegmentScan,
  range: Range,
  replacedId: { readonly range: Range; readonly text: string } | undefined,
): Generator<Range & { readonly text: string }> {
  const inside = replacedId !== undefined && replacedId.range.start >= range.start && replacedId.range.end <= range.end;
  let id = inside ? replacedId : undefined;
  for (let index = firstFrom(nonFinite, range.start); index < nonFinite.length; index += 2) {
    const start = nonFinite[index] as number;
    if (start >= range.end) break;
    if (id !== undefined && id.range.start <= start) {
      yield { ...id.range, text: id.text };
      id = undefined;
    }
    yield { start, end: nonFinite[index + 1] as number, text: "null" };
  }
  if (id !== undefined) yield { ...id.range, text: id.text };
}

/** Index of the first pair that starts at or behind `offset`. A hostile body has many pairs and many events: search, do not walk. */
function firstFrom(pairs: readonly number[], offset: number): number {
  let low = 0;
  let high = pairs.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((pairs[2 * middle] as number) < offset) low = middle + 1;
    else high = middle;
  }
  return 2 * low;
}

function rawText(scan: SegmentScan, range: Range | undefined): string | undefined {
  if (range === undefined) return undefined;
  const pieces: Uint8Array[] = [];
  copy(scan, range, undefined, pieces);
  return pieces.map((piece) => new TextDecoder().decode(piece)).join("");
}
