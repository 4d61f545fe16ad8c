import type { Disk } from "@waybill/core";
import { SEGMENT_HEADER_BYTES, segmentFormat } from "./record.ts";
import { readFully, withFile } from "./segment.ts";
import { segmentNames } from "./walk.ts";

/**
 * The format of the newest segment whose header is whole, whatever this program reads; `undefined`
 * when there is no log. Changes nothing. **Errors**: `WAYBILL_DISK`.
 */
export async function logFormat(directory: string, disk: Disk): Promise<number | undefined> {
  const names = await segmentNames(directory, disk);
  for (const name of names.toReversed()) {
    const header = await withFile(disk, `${directory}/${name}`, (file) => readFully(file, 0, SEGMENT_HEADER_BYTES));
    const format = segmentFormat(header);
    if (format !== undefined) return format;
  }
  return undefined;
}
