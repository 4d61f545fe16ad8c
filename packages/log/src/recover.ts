/**
 * Opening a log: which segments there are, where the newest one ends, and what is wrong with it.
 *
 * Only the newest segment is read through, so a start takes the same time whatever lies on disk.
 * Older segments were whole when the next one was begun; damage in them is found, skipped and
 * counted when they are read.
 *
 * What may be found after the last acknowledged record, and what is done:
 * - part of a write that was never acknowledged (torn): cut off and synced, so that a second
 *   recovery finds nothing to do
 * - whole records that were never acknowledged (the process died between fsync and answer): kept;
 *   their senders send again
 * - a damaged record with whole ones after it: left where it is, skipped by every reader, counted
 * - a segment file without a whole header: its creation was cut short, before any record: removed
 * - a file with the name of a segment that is not one, or another one's: set aside under another
 *   name
 */
import type { Disk, DiskFile } from "@waybill/core";
import { makeDirectoryInPlace, setAside } from "./aside.ts";
import { SEGMENT_HEADER_BYTES } from "./record.ts";
import { baseOf, isSegmentName, readSegmentHeader, type Segment, scanSegment, withFile } from "./segment.ts";
import type { DamagedRange, Position, RecoveryReport } from "./types.ts";

export interface Recovered {
  /** Oldest first. */
  readonly segments: Segment[];
  readonly head: Position;
  readonly report: RecoveryReport;
}

export async function recover(disk: Disk, directory: string): Promise<Recovered> {
  const setAsideNames: string[] = [];
  const moved = await makeDirectoryInPlace(disk, directory);
  if (moved !== undefined) setAsideNames.push(moved);
  const names = (await disk.list(directory)).filter(isSegmentName);
  const segments: Segment[] = [];
  for (const name of names) {
    const path = `${directory}/${name}`;
    const segment = await readSegment(disk, path, name, segments.at(-1));
    if (segment === "cut short") await disk.remove(path);
    else if (segment === "foreign") setAsideNames.push(await setAside(disk, path));
    else segments.push(segment);
  }
  const newest = segments.at(-1);
  if (newest === undefined)
    return { segments, head: 0, report: { segments: 0, bytes: 0, tornBytes: 0, damaged: [], setAside: setAsideNames } };
  // A process that was killed before its directory sync left a name that the next power cut would
  // take.
  await disk.syncDirectory(directory);
  const { head, tornBytes, damaged } = await recoverNewest(disk, directory, newest);
  const bytes = segments.reduce((total, segment) => total + segment.sizeBytes, 0);
  const report = { segments: segments.length, bytes, tornBytes, damaged, setAside: setAsideNames };
  return { segments, head, report };
}

function readSegment(
  disk: Disk,
  path: string,
  name: string,
  before: Segment | undefined,
): Promise<Segment | "cut short" | "foreign"> {
  return withFile(disk, path, async (file) => {
    const follows = {
      startByte: before === undefined ? 0 : before.startByte + before.sizeBytes,
      createdAtMs: before?.createdAtMs ?? 0,
    };
    const header = await readSegmentHeader(file, name, follows);
    if (header === undefined) return "cut short";
    const size = await file.size();
    // The name has the position of its first event. Where the header does not, or has another one,
    // only records can show that it is a segment of this log: else events of others would be looked
    // for in it.
    if (header.base !== baseOf(name)) return "foreign";
    if (header.isDamaged === true && !(await holdsRecords(file, header.base, size))) return "foreign";
    if (before === undefined) return { name, ...header, sizeBytes: size };
    const isAfter = header.startByte >= before.startByte + SEGMENT_HEADER_BYTES;
    const startByte = isAfter ? header.startByte : follows.startByte;
    // A sealed segment may be longer than what was acknowledged of it: the next one records where
    // it ended.
    before.sizeBytes = Math.min(before.sizeBytes, startByte - before.startByte);
    return { name, base: header.base, createdAtMs: header.createdAtMs, startByte, sizeBytes: size };
  });
}

async function holdsRecords(file: DiskFile, base: Position, size: number): Promise<boolean> {
  for await (const found of scanSegment(file, SEGMENT_HEADER_BYTES, size))
    if (found.kind === "record") return found.record.first >= base;
  return false;
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
    let suspect: { readonly offset: number } | undefined;
    for await (const found of scanSegment(file, SEGMENT_HEADER_BYTES, newest.sizeBytes)) {
      // Events that were there before come once: a record that claims otherwise was copied by
      // whatever damaged the disk.
      if (found.kind === "damaged" || found.record.first < head) {
        suspect ??= { offset: found.offset };
        continue;
      }
      if (suspect !== undefined) {
        const bytes = found.offset - suspect.offset;
        const events = found.record.first - head;
        damaged.push({ segment: newest.name, offset: suspect.offset, bytes, events });
      }
      suspect = undefined;
      head = found.record.first + found.record.count;
      end = found.offset + found.record.sizeBytes;
    }
    const tornBytes = newest.sizeBytes - end;
    if (tornBytes > 0) await file.truncate(end);
    newest.sizeBytes = end;
    // What was found may be in the page cache only: a process that was killed before its fsync left
    // it there.
    await file.sync();
    return { head, tornBytes, damaged };
  });
}
