/**
 * What was tried for which events: one line per request to a destination, for as long as the log
 * keeps the events.
 *
 * It is for inspection only: nothing is decided by it, a line that cannot be written is counted and
 * delivery goes on, and lines are not synced (they survive the process; a power cut may take the
 * last second's). So it costs a small write per request.
 *
 * Files are named `<sequence>-<from>-<to>.attempts`, 10 and twice 20 digits: the file speaks of
 * events from `from` to `to - 1`. Many requests are on their way at once, of events that are far
 * apart, so that is known when it is finished: until then it is `<sequence>-<position>.attempts`,
 * and may speak of any event. A process begins a new one, and another each time one has 4 MiB; the
 * one that a dead process has left is finished by the next.
 *
 * Versions before had `<sequence>-<position>.attempts` alone: `position` is that of the first event
 * the file speaks of, and there is a batch at most after that of the next file.
 * A line is `<CRC-32 of the rest, 8 hex digits> <JSON>\n`; one that does not agree is skipped.
 */
import { crc32 } from "node:zlib";
import type { Attempt, Disk, DiskFile } from "@waybill/core";
import { makeDirectoryInPlace } from "../aside.ts";
import type { Run } from "../batch.ts";
import { withFile } from "../segment.ts";
import type { Position } from "../types.ts";
import { isCount, isObject } from "./lane-value.ts";

/** One request. */
export interface RecordedAttempt {
  /** Position of the first event that it held. */
  readonly first: Position;
  /** Events that it held. */
  readonly count: number;
  /** When it began, epoch ms. */
  readonly atMs: number;
  readonly durationMs: number;
  /** The HTTP status; absent when no answer came. */
  readonly status?: number;
  /** Events per outcome. */
  readonly delivered: number;
  readonly retryable: number;
  readonly rejected: number;
  readonly halted: number;
  /** The first reason among the outcomes. */
  readonly reason?: string;
}

const FILE_MAX_BYTES = 4 * 1024 * 1024;
/** A file has a little more than its limit; what is much longer, we have not written. */
const READ_MAX_BYTES: number = 16 * FILE_MAX_BYTES;
/** Far from what ten digits hold: one more always fits. */
const SEQUENCE_MAX = 9_000_000_000;
const NAME = /^(\d{10})-(\d{20})(?:-(\d{20}))?\.attempts$/;
const SEQUENCE_DIGITS = 10;
const POSITION_DIGITS = 20;
const REASON_MAX_CHARACTERS = 500;

/** A line of the file. */
interface Line extends RecordedAttempt {
  /**
   * Where the events are not consecutive: the range from the first to the last one, and a bit for
   * each of them that the request held, as base64.
   */
  readonly span?: number;
  readonly held?: string;
}

interface NamedFile {
  readonly name: string;
  readonly sequence: number;
  readonly position: Position;
  /** After the last event; `undefined` while it is not finished. */
  readonly end: Position | undefined;
}

export class AttemptJournal {
  readonly #directory: string;
  readonly #disk: Disk;
  #sequence: number;
  #file: DiskFile | undefined;
  #fileBytes = 0;
  #lines: string[] = [];
  #name = "";
  /** What the lines speak of that are not written, and those of the file. */
  #waiting: Span | undefined;
  #written: Span | undefined;
  #writing: Promise<void> | undefined;
  #failed = 0;

  private constructor(directory: string, disk: Disk, sequence: number) {
    this.#directory = directory;
    this.#disk = disk;
    this.#sequence = sequence;
  }

  static async open(directory: string, disk: Disk): Promise<AttemptJournal> {
    await makeDirectoryInPlace(disk, directory);
    const newest = (await filesOf(directory, disk)).at(-1);
    if (newest !== undefined && newest.end === undefined) await finishLeft(directory, disk, newest);
    return new AttemptJournal(directory, disk, (newest?.sequence ?? 0) + 1);
  }

  /** Lines that could not be written since the start. */
  get failed(): number {
    return this.#failed;
  }

  /** Notes a request that held these events; written in the background. */
  note(held: readonly Run[], attempt: Attempt): void {
    const [{ first } = { first: 0 }] = held;
    const recorded: Line = {
      first,
      ...placesOf(held),
      atMs: attempt.atMs,
      durationMs: Math.round(attempt.durationMs * 10) / 10,
      ...(attempt.status === undefined ? {} : { status: attempt.status }),
      delivered: attempt.delivered,
      retryable: attempt.retryable,
      rejected: attempt.rejected,
      halted: attempt.halted,
      ...(attempt.reason === undefined ? {} : { reason: attempt.reason.slice(0, REASON_MAX_CHARACTERS) }),
    };
    const text = JSON.stringify(recorded);
    this.#lines.push(`${checksum(text)} ${text}\n`);
    const last = held.at(-1);
    this.#waiting = joined(this.#waiting, { from: first, to: last === undefined ? first : last.first + last.count });
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when everything noted is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Removes the files that speak only of events before `from`. */
  async retain(from: Position): Promise<void> {
    const files = await filesOf(this.#directory, this.#disk);
    for (const [index, { name, end }] of files.entries()) {
      const next = files[index + 1];
      if (next === undefined) break;
      if ((end ?? next.position) <= from) await this.#disk.remove(`${this.#directory}/${name}`);
    }
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#finish();
  }

  /** Where it cannot be renamed, the next process does it. */
  async #finish(): Promise<void> {
    const [file, written] = [this.#file, this.#written];
    this.#file = undefined;
    this.#written = undefined;
    await file?.close();
    if (file === undefined || written === undefined) return;
    const { disk, directory, name } = { disk: this.#disk, directory: this.#directory, name: this.#name };
    await disk.rename(`${directory}/${name}`, `${directory}/${finishedName(name, written)}`).catch(() => undefined);
  }

  async #writeAll(): Promise<void> {
    while (this.#lines.length > 0) {
      const lines = this.#lines;
      const span = this.#waiting;
      this.#lines = [];
      this.#waiting = undefined;
      try {
        const file = await this.#current(span?.from ?? 0);
        this.#written = joined(this.#written, span);
        const bytes = Buffer.from(lines.join(""));
        await file.write([bytes], this.#fileBytes);
        this.#fileBytes += bytes.length;
      } catch {
        this.#failed += lines.length;
      }
    }
    this.#writing = undefined;
  }

  async #current(from: Position): Promise<DiskFile> {
    if (this.#file !== undefined && this.#fileBytes < FILE_MAX_BYTES) return this.#file;
    await this.#finish();
    const name = `${digits(this.#sequence, SEQUENCE_DIGITS)}-${digits(from, POSITION_DIGITS)}.attempts`;
    // Whatever may be in its place, the next one has another name.
    this.#sequence += 1;
    this.#file = await this.#disk.open(`${this.#directory}/${name}`, { create: true });
    this.#name = name;
    this.#fileBytes = 0;
    return this.#file;
  }
}

/** Events from `from` to `to - 1`. */
interface Span {
  readonly from: Position;
  readonly to: Position;
}

function joined(one: Span | undefined, other: Span | undefined): Span | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return { from: Math.min(one.from, other.from), to: Math.max(one.to, other.to) };
}

function digits(number: number, count: number): string {
  return String(number).padStart(count, "0");
}

function finishedName(name: string, { from, to }: Span): string {
  const sequence = name.slice(0, SEQUENCE_DIGITS);
  return `${sequence}-${digits(from, POSITION_DIGITS)}-${digits(to, POSITION_DIGITS)}.attempts`;
}

/** Of a process that has died. A file that cannot be read stays as it is. */
async function finishLeft(directory: string, disk: Disk, { name }: NamedFile): Promise<void> {
  try {
    let span: Span | undefined;
    for (const line of await linesOf(`${directory}/${name}`, disk)) {
      const match = PLACES.exec(line);
      const first = Number(match?.[1]);
      const to = first + Number(match?.[2]);
      if (isCount(first) && isCount(to)) span = joined(span, { from: first, to });
    }
    if (span !== undefined) await disk.rename(`${directory}/${name}`, `${directory}/${finishedName(name, span)}`);
  } catch {
    // It may speak of any event.
  }
}

async function linesOf(path: string, disk: Disk): Promise<readonly string[]> {
  const bytes = await withFile(disk, path, async (open) => {
    const buffer = Buffer.allocUnsafe(Math.min(await open.size(), READ_MAX_BYTES));
    return buffer.subarray(0, await open.read(buffer, 0));
  });
  return bytes.toString("latin1").split("\n");
}

/** `span` first: a line is looked at by it before it is parsed. */
function placesOf(held: readonly Run[]): Pick<Line, "span" | "count" | "held"> {
  const [start, ...more] = held;
  const last = more.at(-1);
  if (start === undefined || last === undefined) return { count: start?.count ?? 0 };
  const span = last.first + last.count - start.first;
  const bits = Buffer.alloc(Math.ceil(span / BYTE_BITS));
  let count = 0;
  for (const run of held) {
    count += run.count;
    for (let at = run.first - start.first; at < run.first - start.first + run.count; at++)
      bits[at >> BYTE_SHIFT] = (bits[at >> BYTE_SHIFT] as number) | (1 << (at % BYTE_BITS));
  }
  return { span, count, held: bits.toString("base64") };
}

const BYTE_BITS = 8;
const BYTE_SHIFT = 3;

function holds({ first, held }: Line, position: Position): boolean {
  if (held === undefined) return true;
  const at = position - first;
  return (((Buffer.from(held, "base64")[at >> BYTE_SHIFT] ?? 0) >> (at % BYTE_BITS)) & 1) === 1;
}

/** The attempts for the event at `position`, oldest first. */
export async function attemptsFor(
  directory: string,
  disk: Disk,
  position: Position,
): Promise<readonly RecordedAttempt[]> {
  const files = await filesOf(directory, disk);
  const found: RecordedAttempt[] = [];
  for (const [index, file] of files.entries()) {
    if (!maySpeakOf(files, index, position)) continue;
    for (const line of await linesNow(directory, disk, file))
      if (speaksOf(line, position)) {
        const attempt = parse(Buffer.from(line, "latin1").toString());
        if (attempt !== undefined && holds(attempt, position)) found.push(withoutPlaces(attempt));
      }
  }
  return found;
}

/** The file may be finished, and have another name, or removed meanwhile. */
async function linesNow(directory: string, disk: Disk, { name, sequence }: NamedFile): Promise<readonly string[]> {
  try {
    return await linesOf(`${directory}/${name}`, disk);
  } catch (error) {
    const now = (await filesOf(directory, disk)).find((file) => file.sequence === sequence);
    if (now?.name === name) throw error;
    return now === undefined ? [] : linesOf(`${directory}/${now.name}`, disk);
  }
}

/**
 * A file that is not finished may speak of any event. One of an earlier version does of its own
 * first one up to that of the next one, or a batch beyond; where the next one begins earlier (the
 * cursor had not survived a power cut) nothing is certain.
 */
function maySpeakOf(files: readonly NamedFile[], index: number, position: Position): boolean {
  const file = files[index] as NamedFile;
  if (file.end !== undefined) return file.position <= position && position < file.end;
  const next = files[index + 1];
  if (next === undefined) return true;
  if (file.position > position) return false;
  if (next.position > position || next.position < file.position) return true;
  const afterNext = files[index + 2];
  return afterNext === undefined || afterNext.position > position || afterNext.position < next.position;
}

const PLACES = /^[0-9a-f]{8} \{"first":(\d+),"(?:span|count)":(\d+),/;

/** Looked at before the line is parsed: most speak of other events. */
function speaksOf(line: string, position: Position): boolean {
  const match = PLACES.exec(line);
  if (match === null) return false;
  const first = Number(match[1]);
  return first <= position && position < first + Number(match[2]);
}

function withoutPlaces({ span: _span, held: _held, ...attempt }: Line): RecordedAttempt {
  return attempt;
}

function parse(line: string): Line | undefined {
  const text = line.slice(9);
  if (line.slice(0, 8) !== checksum(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isLine(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isLine(value: unknown): value is Line {
  if (!isObject(value)) return false;
  const { first, count, span, held, atMs, durationMs, status, delivered, retryable, rejected, halted, reason } = value;
  return (
    [first, count, atMs, delivered, retryable, rejected, halted].every(isCount) &&
    typeof durationMs === "number" &&
    (status === undefined || typeof status === "number") &&
    (reason === undefined || typeof reason === "string") &&
    (span === undefined ? held === undefined : isCount(span) && typeof held === "string")
  );
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

async function filesOf(directory: string, disk: Disk): Promise<readonly NamedFile[]> {
  const files: NamedFile[] = [];
  for (const name of await disk.list(directory)) {
    const match = NAME.exec(name);
    if (match === null) continue;
    const end = match[3] === undefined ? undefined : Number(match[3]);
    const file = { name, sequence: Number(match[1]), position: Number(match[2]), end };
    const isOurs = Number.isSafeInteger(file.position) && (end === undefined || Number.isSafeInteger(end));
    if (file.sequence < SEQUENCE_MAX && isOurs) files.push(file);
  }
  return files;
}
