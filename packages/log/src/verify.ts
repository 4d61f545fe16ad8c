import type { Disk } from "@waybill/core";
import { SEGMENT_HEADER_BYTES } from "./record.ts";
import { isSegmentName, readSegmentHeader, scanSegment, withFile } from "./segment.ts";
import type { DamagedRange, Position } from "./types.ts";

export interface VerifyReport {
  readonly segments: number;
  /** The first position it has; 0 for none. */
  readonly first: Position;
  readonly records: number;
  readonly events: number;
  readonly bytes: number;
  readonly damaged: readonly DamagedRange[];
  /**
   * Bytes after the last whole record of the newest segment: a write that was never acknowledged,
   * harmless.
   */
  readonly tornBytes: number;
}

export interface VerifyProgress {
  /** Read until now. */
  readonly bytes: number;
  /** Of the whole log, when it began. */
  readonly totalBytes: number;
  readonly events: number;
}

/**
 * Reads every record of the log in `directory` against its checksum. Changes nothing; the log may
 * be in use. `onProgress` is called after each record.
 */
export async function verifyLog(
  directory: string,
  disk: Disk,
  { onProgress }: { readonly onProgress?: (progress: VerifyProgress) => void } = {},
): Promise<VerifyReport> {
  const names = (await disk.list(directory)).filter(isSegmentName);
  const totalBytes = onProgress === undefined ? 0 : await sizeOf(names, directory, disk);
  const damaged: DamagedRange[] = [];
  let records = 0;
  let events = 0;
  let bytes = 0;
  let tornBytes = 0;
  let expected: number | undefined;
  let first: Position | undefined;
  for (const [index, name] of names.entries()) {
    await withFile(disk, `${directory}/${name}`, async (file) => {
      const size = await file.size();
      const before = bytes;
      bytes += size;
      const header = await readSegmentHeader(file, name, { startByte: 0, createdAtMs: 0 });
      const from = expected ?? header?.base ?? 0;
      let position = from;
      first ??= from;
      for await (const found of scanSegment(file, SEGMENT_HEADER_BYTES, size)) {
        if (found.kind === "record") {
          records += 1;
          events += found.record.count;
          const lost = found.record.first - position;
          const last = damaged.at(-1);
          if (lost > 0 && last !== undefined) damaged[damaged.length - 1] = { ...last, events: last.events + lost };
          position = found.record.first + found.record.count;
          onProgress?.({ bytes: before + found.offset + found.record.sizeBytes, totalBytes, events });
        } else if (index === names.length - 1 && found.offset + found.bytes === size) tornBytes = found.bytes;
        else damaged.push({ segment: name, offset: found.offset, bytes: found.bytes, events: 0 });
      }
      expected = position;
    });
  }
  return { segments: names.length, first: first ?? 0, records, events, bytes, damaged, tornBytes };
}

async function sizeOf(names: readonly string[], directory: string, disk: Disk): Promise<number> {
  let bytes = 0;
  for (const name of names)
    await withFile(disk, `${directory}/${name}`, async (file) => {
      bytes += await file.size();
    });
  return bytes;
}
