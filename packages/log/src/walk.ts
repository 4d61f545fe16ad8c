import type { Disk } from "@waybill/core";
import { SEGMENT_HEADER_BYTES } from "./record.ts";
import { baseOf, isSegmentName, scanSegment } from "./segment.ts";
import type { LogRecord, Position } from "./types.ts";

/** A place in the files of a log. */
export interface FilePlace {
  readonly segment: string;
  /** Byte of the file. */
  readonly offset: number;
}

export type Walked = FilePlace &
  (
    | { readonly kind: "record"; readonly record: LogRecord }
    | { readonly kind: "damaged"; readonly bytes: number }
    /** What follows the last whole record of the newest segment: not yet, or never, a record. */
    | { readonly kind: "unfinished"; readonly bytes: number }
  );

/** Names of the segments in `directory`, oldest first. */
export async function segmentNames(directory: string, disk: Disk): Promise<readonly string[]> {
  return (await disk.list(directory)).filter(isSegmentName);
}

/** What is in a directory; nothing when it is not there. */
export async function namesIn(disk: Disk, directory: string): Promise<readonly string[]> {
  try {
    return await disk.list(directory);
  } catch {
    return [];
  }
}

/**
 * Everything in the files of a log from a place on, record by record. Changes nothing; the log may
 * be in use. A record's bytes are valid until the next step.
 */
export async function* walkLog(directory: string, disk: Disk, from?: FilePlace): AsyncGenerator<Walked> {
  const names = await segmentNames(directory, disk);
  for (const segment of names) {
    if (from !== undefined && segment < from.segment) continue;
    const start = segment === from?.segment ? from.offset : SEGMENT_HEADER_BYTES;
    const file = await disk.open(`${directory}/${segment}`);
    try {
      const size = await file.size();
      for await (const found of scanSegment(file, start, size)) {
        const { offset } = found;
        if (found.kind === "record") yield { segment, ...found };
        else {
          const atEnd = segment === names.at(-1) && offset + found.bytes === size;
          yield { segment, offset, bytes: found.bytes, kind: atEnd ? "unfinished" : "damaged" };
        }
      }
    } finally {
      await file.close();
    }
  }
}

/**
 * Where a log begins and ends, by its files: only the newest segment is read. `undefined` without a
 * segment. Changes nothing; the log may be in use. **Errors**: `WAYBILL_DISK`.
 */
export async function logBounds(
  directory: string,
  disk: Disk,
): Promise<{ readonly first: Position; readonly head: Position } | undefined> {
  const names = (await namesIn(disk, directory)).filter(isSegmentName);
  const [oldest, newest] = [names[0], names.at(-1)];
  if (oldest === undefined || newest === undefined) return undefined;
  let head = baseOf(newest);
  for await (const found of walkLog(directory, disk, { segment: newest, offset: SEGMENT_HEADER_BYTES }))
    if (found.kind === "record") head = found.record.first + found.record.count;
  return { first: baseOf(oldest), head };
}
