/**
 * What was tried for which events: one line per request to a destination, for as long as the log
 * keeps the events.
 *
 * It is for inspection only: nothing is decided by it, a line that cannot be written is counted and
 * delivery goes on, and lines are not synced (they survive the process; a power cut may take the
 * last second's). So it costs a small write per request.
 *
 * Files are named `<sequence>-<position>.attempts`, 10 and 20 digits: `position` is that of the
 * first event the file speaks of. A process begins a new one, and another each time one has 4 MiB.
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
const NAME = /^(\d{10})-(\d{20})\.attempts$/;
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
}

export class AttemptJournal {
  readonly #directory: string;
  readonly #disk: Disk;
  #sequence: number;
  #file: DiskFile | undefined;
  #fileBytes = 0;
  #lines: string[] = [];
  #firstPosition: Position | undefined;
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
    this.#firstPosition = Math.min(this.#firstPosition ?? first, first);
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when everything noted is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Removes the files that speak only of events before `from`. */
  async retain(from: Position): Promise<void> {
    const files = await filesOf(this.#directory, this.#disk);
    for (const [index, { name }] of files.entries()) {
      const next = files[index + 1];
      // The next file may still hold attempts for the last batch of this one, never the other way
      // round.
      if (next === undefined || next.position > from) break;
      await this.#disk.remove(`${this.#directory}/${name}`);
    }
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#file?.close();
    this.#file = undefined;
  }

  async #writeAll(): Promise<void> {
    while (this.#lines.length > 0) {
      const lines = this.#lines;
      this.#lines = [];
      try {
        const file = await this.#current();
        const bytes = Buffer.from(lines.join(""));
        await file.write([bytes], this.#fileBytes);
        this.#fileBytes += bytes.length;
      } catch {
        this.#failed += lines.length;
      }
    }
    this.#writing = undefined;
  }

  async #current(): Promise<DiskFile> {
    if (this.#file !== undefined && this.#fileBytes < FILE_MAX_BYTES) return this.#file;
    const name = `${String(this.#sequence).padStart(10, "0")}-${String(this.#firstPosition ?? 0).padStart(20, "0")}.attempts`;
    // Whatever may be in its place, the next one has another name.
    this.#sequence += 1;
    const file = await this.#disk.open(`${this.#directory}/${name}`, { create: true });
    await this.#file?.close();
    this.#file = file;
    this.#fileBytes = 0;
    this.#firstPosition = undefined;
    return file;
  }
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
    const bytes = await withFile(disk, `${directory}/${file.name}`, async (open) => {
      const buffer = Buffer.allocUnsafe(Math.min(await open.size(), READ_MAX_BYTES));
      return buffer.subarray(0, await open.read(buffer, 0));
    });
    for (const line of bytes.toString("latin1").split("\n"))
      if (speaksOf(line, position)) {
        const attempt = parse(Buffer.from(line, "latin1").toString());
        if (attempt !== undefined && holds(attempt, position)) found.push(withoutPlaces(attempt));
      }
  }
  return found;
}

/**
 * A file speaks of its own first event up to that of the next one, or a batch beyond. Where the
 * next one begins earlier (the cursor had not survived a power cut) nothing is certain.
 */
function maySpeakOf(files: readonly NamedFile[], index: number, position: Position): boolean {
  const file = files[index] as NamedFile;
  if (file.position > position) return false;
  const next = files[index + 1];
  if (next === undefined || next.position > position || next.position < file.position) return true;
  const afterNext = files[index + 2];
  return afterNext === undefined || afterNext.position > position || afterNext.position < next.position;
}

/** Looked at before the line is parsed: most speak of other events. */
function speaksOf(line: string, position: Position): boolean {
  const match = /^[0-9a-f]{8} \{"first":(\d+),"(?:span|count)":(\d+),/.exec(line);
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
    const file = { name, sequence: Number(match[1]), position: Number(match[2]) };
    if (file.sequence < SEQUENCE_MAX && Number.isSafeInteger(file.position)) files.push(file);
  }
  return files;
}
