/**
 * Which version of Waybill has written a data directory, and whether this one reads it.
 *
 * The file `.format` in it names the version that started there last and the format of all that is
 * in the directory. The number grows when a version writes what those before it could not read; a
 * start reads every older one. A directory without the file is of a version before there was one:
 * format 1. Each log tells its format by itself as well.
 */
import { type Disk, type DiskRuntime, WaybillError } from "@waybill/core";
import { logFormat } from "@waybill/log";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import { VERSION } from "../version.ts";

/** Of what this version writes. */
export const DATA_FORMAT = 1;

/** No environment has a name that begins with a dot. */
export const FORMAT_NAME = ".format";
export const FORMAT_UNFINISHED = ".format.new";
const FILE_MAX_BYTES = 4_096;
const SHOWN_CHARACTERS = 40;

export interface DataFormat {
  readonly directory: string;
  /** The newest of its parts. */
  readonly format: number;
  /** The version that started there last. `undefined`: one before 0.2, or none. */
  readonly writtenBy: string | undefined;
  /** Of those environments that have a log. */
  readonly logs: readonly { readonly environment: string; readonly format: number }[];
  /** Whether nothing of ours is there. */
  readonly isEmpty: boolean;
}

/** Changes nothing. **Errors**: `WAYBILL_DISK`. */
export async function dataFormatOf(
  directory: string,
  environments: readonly string[],
  disk: Disk,
): Promise<DataFormat> {
  const noted = await notedFormat(directory, disk);
  const logs: DataFormat["logs"][number][] = [];
  for (const environment of environments) {
    const format = await logFormat(`${directory}/${environment}/log`, disk).catch(whenMissing);
    if (format !== undefined) logs.push({ environment, format });
  }
  return {
    directory,
    format: Math.max(noted?.format ?? DATA_FORMAT_OF_OLD, ...logs.map(({ format }) => format)),
    writtenBy: noted?.writtenBy,
    logs,
    isEmpty: noted === undefined && logs.length === 0,
  };
}

const DATA_FORMAT_OF_OLD = 1;

/** **Errors**: `WAYBILL_DATA_FORMAT`. */
export function refuseNewer({ directory, format, writtenBy }: DataFormat): void {
  if (format <= DATA_FORMAT) return;
  const whose = writtenBy === undefined ? "a newer version" : `waybill ${writtenBy}`;
  throw new WaybillError(
    "WAYBILL_DATA_FORMAT",
    `The data in ${directory} has format ${format}, written by ${whose}; this is waybill ${VERSION}, which reads format ${DATA_FORMAT} and older. Nothing was changed.`,
    {
      hint: `Run ${writtenBy === undefined ? "the version that wrote it" : `waybill ${writtenBy} or newer`} on it; docs/operating/upgrade.md says how to go back.`,
    },
  );
}

/** From now on this version writes there. Never rejects: the next start tries again. */
export async function noteFormat(
  directory: string,
  { disk }: Pick<DiskRuntime, "disk">,
  write: WriteLine,
): Promise<void> {
  try {
    const noted = await notedFormat(directory, disk);
    if (noted?.format === DATA_FORMAT && noted.writtenBy === VERSION) return;
    const unfinished = `${directory}/${FORMAT_UNFINISHED}`;
    await disk.remove(unfinished).catch(() => undefined);
    const file = await disk.open(unfinished, { create: true });
    try {
      await file.write([Buffer.from(`${JSON.stringify({ format: DATA_FORMAT, writtenBy: VERSION })}\n`)], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(unfinished, `${directory}/${FORMAT_NAME}`);
    await disk.syncDirectory(directory);
    if (noted !== undefined && noted.writtenBy !== VERSION)
      write("version_changed", { before: noted.writtenBy, now: VERSION });
  } catch (error) {
    write("version_not_noted", { error: safeError(error) });
  }
}

interface Noted {
  readonly format: number;
  readonly writtenBy: string;
}

/** `undefined` for what is missing or is not what was written. */
async function notedFormat(directory: string, disk: Disk): Promise<Noted | undefined> {
  const text = await textOf(`${directory}/${FORMAT_NAME}`, disk).catch(() => "");
  try {
    const { format, writtenBy } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (!Number.isSafeInteger(format) || typeof writtenBy !== "string") return undefined;
    return { format: format as number, writtenBy: writtenBy.slice(0, SHOWN_CHARACTERS) };
  } catch {
    return undefined;
  }
}

async function textOf(path: string, disk: Disk): Promise<string> {
  const file = await disk.open(path);
  try {
    const bytes = Buffer.alloc(FILE_MAX_BYTES);
    return bytes.toString("utf8", 0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

function whenMissing(error: unknown): undefined {
  if (error instanceof WaybillError && (error.reason === "ENOENT" || error.reason === "ENOTDIR")) return undefined;
  throw error;
}
