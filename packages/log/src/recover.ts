/**
 * Opening a log: which segments there are, where the newest one ends, and what is wrong with it.
 *
 * Only the newest segment is read through, so a start takes the same time whatever lies on disk. Older segments were
 * whole when the next one was begun; damage in them is found, skipped and counted when they are read.
 *
 * What may be found behind the last acknowledged record, and what is done:
 * - part of a write that was never acknowledged (torn): cut off and synced, so that a second recovery finds nothing to do
 * - whole records that were never acknowledged (the process died between fsync and answer): kept; their senders send again
 * - a damaged record with whole ones behind it: left where it is, skipped by every reader, counted
 * - a segment file without a whole header: its creation was cut short, before any record: removed
 */
import type { Disk } from "@waybill/core";
import { SEGMENT_HEADER_BYTES } from "./record.ts";
import { isSegmentName, readSegmentHeader, type Segment, scanSegment, withFile } from "./segment.ts";
import type { DamagedRange, Position, RecoveryReport } from "./types.ts";

export interface Recovered {
  /** Oldest first. */
  readonly segments: Segment[];
  readonly head: Position;
  readonly report: RecoveryReport;
}

export async function recover(disk: Disk, directory: string): Promise<Recovered> {
  await disk.makeDirectory(directory);
  const names = (await disk.list(directory)).filter(isSegmentName);
  const segments: Segment[] = [];
  for (const name of names) {
    const segment = await readSegment(disk, `${directory}/${name}`, name, segments.at(-1));
    if (segment !== undefined) segments.push(segment);
    else await disk.remove(`${directory}/${name}`);
  }
  const newest = segments.at(-1);
  if (newest === undefined) return { segments, head: 0, report: { segments: 0, bytes: 0, tornBytes: 0, damaged: [] } };
  // A process that was killed before its directory sync left a name that the next power cut would take.
  await disk.syncDirectory(directory);
  const { head, tornBytes, damaged } = await recoverNewest(disk, directory, newest);
  const bytes = segments.reduce((total, segment) => total + segment.sizeBytes, 0);
  return { segments, head, report: { segments: segments.length, bytes, tornBytes, damaged } };
}

async function readSegment(
  disk: Disk,
  path: string,
  name: string,
  before: Segment | undefined,
): Promise<Segment | undefined> {
  return withFile(disk, path, async (file) => {
    const header = await readSegmentHeader(file, name, {
      startByte: before === undefined ? 0 : before.startByte + before.sizeBytes,
      createdAtMs: before?.createdAtMs ?? 0,
    });
    if (header === undefined) return undefined;
    // A sealed segment may be longer than what was acknowledged of it: the next one says where it ended.
    if (before !== undefined) before.sizeBytes = Math.min(before.sizeBytes, header.startByte - before.startByte);
    return { name, ...header, sizeBytes: await file.size() };
  });
}

async function recoverNewest(
  disk: Disk,
  directory: string,
  newest: Segment,
): Promise<{ head: Position; tornBytes: number; damaged: readonly DamagedRange[] }> {
  return withFile(disk, `${directory}/${newest.name}`, async (file) => {
    let head = newest.base;
    let end = SEGMENT_HEADER_BYTES;
    const damaged: DamagedRange[] = [];
    let suspect: { offset: number; bytes: number } | undefined;
    for await (const found of scanSegment(file, SEGMENT_HEADER_BYTES, newest.sizeBytes)) {
      if (found.kind === "damaged") {
        suspect = found;
        continue;
      }
      if (suspect !== undefined)
        damaged.push({ segment: newest.name, ...rangeOf(suspect), events: Math.max(0, found.record.first - head) });
      suspect = undefined;
      head = found.record.first + found.record.count;
      end = found.offset + found.record.sizeBytes;
    }
    const tornBytes = newest.sizeBytes - end;
    if (tornBytes > 0) await file.truncate(end);
    newest.sizeBytes = end;
    // What was found may stand in the page cache alone: a process that was killed before its fsync left it there.
    await file.sync();
    return { head, tornBytes, damaged };
  });
}

function rangeOf(found: { readonly offset: number; readonly bytes: number }): { offset: number; bytes: number } {
  return { offset: found.offset, bytes: found.bytes };
}
