/**
 * Repairing a log that no process uses: what is damaged is set aside, what is whole stays, at its
 * positions.
 *
 * A segment with damage is written anew beside the old one without the damaged bytes, synced,
 * renamed over it, and the directory synced; the bytes are copied to `damaged/` and synced before.
 * So a crash between any two steps leaves the old segment or the new one, both with every whole
 * record, and the next repair goes on. The positions that were lost stay a gap: each lane counts
 * them as `log_damaged`, once.
 */
import { type Disk, type DiskFile, WaybillError } from "@waybill/core";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./record.ts";
import { readFully, readSegmentHeader, type Scanned, scanSegment, withFile } from "./segment.ts";
import { segmentNames } from "./walk.ts";

export interface SegmentRepair {
  readonly segment: string;
  /**
   * Bytes that were not a whole record, and where their copies are; none for the unfinished end of
   * the newest segment.
   */
  readonly removed: readonly { readonly offset: number; readonly bytes: number; readonly copy: string | undefined }[];
  /** Positions that no record has (any more), the first one and the one after the last. */
  readonly lost: readonly { readonly from: number; readonly to: number }[];
}

const ASIDE = "damaged";
const SUFFIX = ".repair";
const COPY_BYTES = 1024 * 1024;

/**
 * What has to be done; with `dryRun` nothing is. **Errors**: `WAYBILL_DISK`, `WAYBILL_LOG_DAMAGED`
 * for a format of another version.
 */
export async function repairLog(
  directory: string,
  disk: Disk,
  { dryRun }: { readonly dryRun: boolean },
): Promise<readonly SegmentRepair[]> {
  const names = await segmentNames(directory, disk);
  const repairs: SegmentRepair[] = [];
  let before = { startByte: 0, createdAtMs: 0 };
  if (!dryRun)
    for (const name of await disk.list(directory)) if (name.endsWith(SUFFIX)) await disk.remove(`${directory}/${name}`);
  for (const [index, segment] of names.entries()) {
    const repair = await withFile(disk, `${directory}/${segment}`, (file) =>
      repairSegment(file, { directory, disk, segment, dryRun, isNewest: index === names.length - 1, before }),
    );
    before = repair.next;
    if (repair.done !== undefined) repairs.push(repair.done);
  }
  return repairs;
}

interface Job {
  readonly directory: string;
  readonly disk: Disk;
  readonly segment: string;
  readonly dryRun: boolean;
  readonly isNewest: boolean;
  /** What a damaged header is made anew from. */
  readonly before: { readonly startByte: number; readonly createdAtMs: number };
}

async function repairSegment(
  file: DiskFile,
  job: Job,
): Promise<{ readonly done: SegmentRepair | undefined; readonly next: Job["before"] }> {
  const { segment, before, isNewest } = job;
  const size = await file.size();
  const header = await readSegmentHeader(file, segment, before);
  if (header === undefined) return { done: undefined, next: before };
  const whole: { readonly offset: number; readonly bytes: number }[] = [];
  const damaged: Extract<Scanned, { kind: "damaged" }>[] = [];
  const lost: { from: number; to: number }[] = [];
  let position = header.base;
  for await (const found of scanSegment(file, SEGMENT_HEADER_BYTES, size)) {
    if (found.kind === "damaged") damaged.push(found);
    else {
      const { record, offset } = found;
      if (record.first > position) lost.push({ from: position, to: record.first });
      position = record.first + record.count;
      whole.push({ offset, bytes: record.sizeBytes });
    }
  }
  const next = { startByte: header.startByte + size, createdAtMs: header.createdAtMs };
  if (damaged.length === 0) return { done: undefined, next };
  const removed = damaged.map(({ offset, bytes }) => ({
    offset,
    bytes,
    copy: isNewest && offset + bytes === size ? undefined : `${ASIDE}/${segment}.${offset}`,
  }));
  if (!job.dryRun) {
    for (const { offset, bytes, copy } of removed)
      if (copy !== undefined) await setAside(file, job, { offset, bytes, copy });
    await rewrite(file, job, encodeSegmentHeader(header), whole);
  }
  return { done: { segment, removed, lost }, next };
}

async function setAside(
  file: DiskFile,
  { disk, directory }: Job,
  { offset, bytes, copy }: { readonly offset: number; readonly bytes: number; readonly copy: string },
): Promise<void> {
  await disk.makeDirectory(`${directory}/${ASIDE}`);
  const path = `${directory}/${copy}`;
  await disk.remove(path).catch(() => undefined);
  const target = await disk.open(path, { create: true });
  await copyRanges(file, target, 0, [{ offset, bytes }]);
  await target.close();
  await disk.syncDirectory(`${directory}/${ASIDE}`);
}

async function rewrite(
  file: DiskFile,
  { disk, directory, segment }: Job,
  header: Buffer,
  whole: readonly { readonly offset: number; readonly bytes: number }[],
): Promise<void> {
  const path = `${directory}/${segment}${SUFFIX}`;
  const target = await disk.open(path, { create: true });
  await target.write([header], 0);
  await copyRanges(file, target, header.length, whole);
  await target.close();
  await disk.rename(path, `${directory}/${segment}`);
  await disk.syncDirectory(directory);
}

async function copyRanges(
  from: DiskFile,
  to: DiskFile,
  start: number,
  ranges: readonly { readonly offset: number; readonly bytes: number }[],
): Promise<void> {
  let at = start;
  for (const { offset, bytes } of ranges)
    for (let copied = 0; copied < bytes; copied += COPY_BYTES) {
      const piece = await readFully(from, offset + copied, Math.min(COPY_BYTES, bytes - copied));
      if (piece.length === 0) throw new WaybillError("WAYBILL_DISK", "The segment became shorter while it was read");
      await to.write([piece], at);
      at += piece.length;
    }
  await to.sync();
}
