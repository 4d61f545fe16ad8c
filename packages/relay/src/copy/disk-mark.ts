/**
 * Files in the directory of an environment that keep a relay from using it: `.copying` while a log
 * is copied to it, `.moved` once its log was copied elsewhere.
 */
import { type Disk, WaybillError } from "@waybill/core";

export type DiskMark = "copying" | "moved";

const MARKS: readonly DiskMark[] = ["copying", "moved"];

/** Durable when it resolves. **Errors**: `WAYBILL_DISK`. */
export async function mark(disk: Disk, directory: string, name: DiskMark): Promise<void> {
  await disk.makeDirectory(directory);
  if (!(await marksOf(disk, directory)).includes(name)) {
    const file = await disk.open(`${directory}/.${name}`, { create: true });
    await file.close();
  }
  await disk.syncDirectory(directory);
}

/** Durable when it resolves. **Errors**: `WAYBILL_DISK`. */
export async function unmark(disk: Disk, directory: string, name: DiskMark): Promise<void> {
  await disk.remove(`${directory}/.${name}`);
  await disk.syncDirectory(directory);
}

export async function marksOf(disk: Disk, directory: string): Promise<readonly DiskMark[]> {
  const names = await disk.list(directory).catch((): readonly string[] => []);
  return MARKS.filter((name) => names.includes(`.${name}`));
}

/** For a relay whose log is here. **Errors**: `WAYBILL_LOG_COPY`. */
export async function refuseMarked(disk: Disk, directory: string): Promise<void> {
  const [found] = await marksOf(disk, directory);
  if (found === "copying")
    throw new WaybillError("WAYBILL_LOG_COPY", `A log is being copied to ${directory}, or the copy was cut short`, {
      hint: "Run waybill log copy again: it begins anew and ends this.",
    });
  if (found === "moved")
    throw new WaybillError("WAYBILL_LOG_COPY", `The log in ${directory} was copied to Kafka`, {
      hint: `Start the relay with engine: kafka. Only where nothing was started there yet: remove ${directory}/.moved to go on here.`,
    });
}
