import type { Disk } from "@waybill/core";
import { makeDirectoryInPlace } from "./aside.ts";
import { encodeSegmentHeader } from "./record.ts";
import { segmentName } from "./segment.ts";
import type { Position } from "./types.ts";

/**
 * Makes an empty log whose first event will get the position `base`. **Errors**: `WAYBILL_DISK`,
 * also when there is a segment of that name.
 */
export async function beginLogAt(directory: string, base: Position, disk: Disk, createdAtMs: number): Promise<void> {
  await makeDirectoryInPlace(disk, directory);
  const file = await disk.open(`${directory}/${segmentName(base)}`, { create: true });
  try {
    await file.write([encodeSegmentHeader({ base, startByte: 0, createdAtMs })], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.syncDirectory(directory);
}
