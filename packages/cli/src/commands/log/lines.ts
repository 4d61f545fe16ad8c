/** The events of a log on disk as lines of JSON. */
import { type FilePlace, type LogRecord, segmentNames, type Walked, walkLog } from "@waybill/log";
import { nodeDisk } from "@waybill/node";
import { complain, EXIT, type Io } from "../../io.ts";
import { LineWriter, NEWLINE } from "../../line-writer.ts";

export interface DumpOptions {
  readonly from?: number;
  readonly to?: number;
  /** Epoch ms. */
  readonly since?: number;
  readonly until?: number;
  readonly source?: string;
  readonly raw?: boolean;
}

/** Writes what is asked for; damage is named on standard error. Returns the exit code. */
export async function dump(walk: AsyncGenerator<Walked>, options: DumpOptions, io: Io): Promise<number> {
  let damaged = false;
  const writer = new LineWriter(io);
  for await (const walked of walk) {
    if (writer.isGone) break;
    if (walked.kind === "record") await writer.write(linesOf(walked.record, options));
    else if (walked.kind === "damaged") {
      damaged = true;
      complain(io, `damaged: ${walked.segment} bytes ${walked.offset} to ${walked.offset + walked.bytes}`);
    }
  }
  await writer.flush();
  return damaged ? EXIT.failed : EXIT.ok;
}

/** Dumps, and says where the next walk should begin. */
export async function dumpOn(
  walk: AsyncGenerator<Walked>,
  options: DumpOptions,
  io: Io,
  from: FilePlace | undefined,
): Promise<FilePlace | undefined> {
  let place = from;
  async function* noted(): AsyncGenerator<Walked> {
    for await (const walked of walk) {
      if (walked.kind === "record")
        place = { segment: walked.segment, offset: walked.offset + walked.record.sizeBytes };
      yield walked;
    }
  }
  await dump(noted(), options, io);
  return place;
}

/** Where the newest `events` begin: a position, and a place at or before it. */
export async function newest(
  directory: string,
  events: number,
): Promise<{ readonly from: number; readonly place: FilePlace }> {
  const names = await segmentNames(directory, nodeDisk);
  for (const segment of [...names].reverse()) {
    const place = { segment, offset: 64 };
    let first: number | undefined;
    let head = 0;
    for await (const walked of walkLog(directory, nodeDisk, place)) {
      if (walked.kind !== "record") continue;
      first ??= walked.record.first;
      head = walked.record.first + walked.record.count;
    }
    if ((first !== undefined && head - first >= events) || segment === names[0])
      return { from: Math.max(0, head - events), place };
  }
  throw new Error("unreachable: the oldest segment ends the search");
}

/**
 * The lines of a record's events that are asked for; the events' own bytes are copied, never
 * parsed. `place`: the first field of an event's line. Default: its position.
 */
export function linesOf(
  record: LogRecord,
  options: DumpOptions,
  place: (index: number) => string = (index) => `"position":${record.first + index}`,
): Buffer[] {
  const { first, count, source, receivedAtMs, metadata, body, ends } = record;
  const { from = 0, to = Number.POSITIVE_INFINITY, raw = false } = options;
  const { since = 0, until = Number.POSITIVE_INFINITY } = options;
  if (options.source !== undefined && options.source !== source) return [];
  if (receivedAtMs < since || receivedAtMs >= until) return [];
  const rest = `,"receivedAt":"${new Date(receivedAtMs).toISOString()}","source":${JSON.stringify(source)}${metadata === "" ? "" : `,"metadata":${JSON.stringify(metadata)}`},"event":`;
  const lines: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const position = first + index;
    if (position < from || position >= to) continue;
    const start = index === 0 ? 0 : (ends[index - 1] as number) + 1;
    const event = oneLine(body.subarray(start, ends[index]));
    if (raw) lines.push(event, NEWLINE);
    else lines.push(Buffer.from(`{${place(index)}${rest}`), event, CLOSED);
  }
  return lines;
}

const CLOSED = Buffer.from("}\n");

/** Line ends within an event are white space of its JSON: texts cannot hold them. */
function oneLine(event: Uint8Array): Buffer {
  const line = Buffer.from(event);
  for (const end of LINE_ENDS)
    for (let at = line.indexOf(end); at !== -1; at = line.indexOf(end, at + 1)) line[at] = SPACE;
  return line;
}

const LINE_ENDS = [0x0a, 0x0d];
const SPACE = 0x20;
