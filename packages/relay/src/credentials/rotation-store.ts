/**
 * The rotations of the admin API on disk: one file in the data directory, for its owner alone,
 * replaced as a whole: written beside it, synced, renamed, the directory synced. So at every
 * instant it is the one before or the one after.
 *
 * A file that cannot be read, or is not what was written, is set aside: a start goes on with the
 * keys of the configuration, and says so.
 */
import { crc32 } from "node:zlib";
import { type Disk, messageOf, WaybillError } from "@waybill/core";
import { setAside } from "@waybill/log";
import { type KeptRotation, parseRotations } from "./kept-rotations.ts";

/** No environment has a name that begins with a dot. */
export const ROTATIONS_NAME = ".rotations";
export const ROTATIONS_UNFINISHED = ".rotations.new";
const VERSION = 1;
/** Far more than key sets of a hundred keys need. */
const FILE_MAX_BYTES = 16 * 1024 * 1024;

export interface FoundRotations {
  readonly rotations: readonly KeptRotation[];
  /** What was wrong with the file. */
  readonly warning?: string;
}

export class RotationStore {
  readonly #disk: Disk;
  readonly #directory: string;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** What was kept. Never rejects. */
  async read(): Promise<FoundRotations> {
    // A write that was never finished, and so never confirmed to its caller.
    await this.#disk.remove(`${this.#directory}/${ROTATIONS_UNFINISHED}`).catch(() => undefined);
    let fault: string;
    try {
      const rotations = parseText(await this.#text());
      if (rotations !== undefined) return { rotations };
      fault = "is damaged";
    } catch (error) {
      if (error instanceof WaybillError && error.reason === "ENOENT") return { rotations: [] };
      fault = `cannot be read: ${messageOf(error)}`;
    }
    const path = `${this.#directory}/${ROTATIONS_NAME}`;
    const aside = await setAside(this.#disk, path).catch(() => undefined);
    const where = aside === undefined ? "it could not be set aside" : `it was set aside as ${aside}`;
    const warning = `${path} ${fault}; ${where}. Keys that were rotated by the admin API are again those of the configuration: rotate them once more, or put them into the file`;
    return { rotations: [], warning };
  }

  /**
   * Durable when it resolves. **Errors**: `WAYBILL_DISK`; then it may hold after a restart, or not.
   */
  async write(rotations: readonly KeptRotation[]): Promise<void> {
    const path = `${this.#directory}/${ROTATIONS_NAME}`;
    const unfinished = `${this.#directory}/${ROTATIONS_UNFINISHED}`;
    await this.#disk.remove(unfinished).catch(() => undefined);
    const file = await this.#disk.open(unfinished, { create: true, isPrivate: true });
    try {
      await file.write([Buffer.from(textOf(rotations))], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(unfinished, path);
    await this.#disk.syncDirectory(this.#directory);
  }

  async #text(): Promise<string> {
    const file = await this.#disk.open(`${this.#directory}/${ROTATIONS_NAME}`);
    try {
      const bytes = Buffer.alloc(Math.min(await file.size(), FILE_MAX_BYTES));
      return bytes.toString("utf8", 0, await file.read(bytes, 0));
    } finally {
      await file.close();
    }
  }
}

function textOf(rotations: readonly KeptRotation[]): string {
  return `${JSON.stringify({ version: VERSION, crc: crc32(JSON.stringify(rotations)), rotations })}\n`;
}

/** `undefined` when it is not what was written. */
function parseText(text: string): readonly KeptRotation[] | undefined {
  try {
    const { version, crc, rotations } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (version !== VERSION || crc !== crc32(JSON.stringify(rotations))) return undefined;
    return parseRotations(rotations);
  } catch {
    return undefined;
  }
}
