/**
 * The durable state of a lane: a file of two slots of 4 KiB, made once at its full size and only
 * ever overwritten in place, so that a full disk cannot stop it.
 *
 * A slot is: CRC-32 (4 bytes) of the rest that is used, length of the text (4), a sequence number
 * (8), a JSON text. The whole slot with the highest sequence number counts.
 *
 * One slot is always the last one that was synced; writes go to the other one until the next sync
 * swaps them. So a power cut may lose what was written since the last sync (events go out again
 * under their old ids), but never the file. A killed process loses nothing: what was written stays.
 *
 * What is read is believed only when it has the shape that its owner expects: a slot that has not
 * counts as damaged. A directory in the file's place is set aside.
 */
import { crc32 } from "node:zlib";
import { assert, type Disk, type DiskFile } from "@waybill/core";
import { createInPlace, makeDirectoryInPlace, setAside } from "../aside.ts";
import { withFile } from "../segment.ts";
import type { DurableState } from "./durable-state.ts";

const SLOT_BYTES = 4096;
const SLOT_HEADER_BYTES = 16;
/** No lane or replay has a name with a dot. */
const UNFINISHED = ".new";

/** The state that a JSON value is; `undefined` when it is none. */
export type ParseState<T> = (value: unknown) => T | undefined;

export class LaneState<T extends object> implements DurableState<T> {
  readonly #file: DiskFile;
  #sequence: number;
  /** The slot that the next write goes to: 0 or 1. */
  #target: 0 | 1;
  #dirty = false;
  #writing: Promise<void> = Promise.resolve();
  /** The last one that was encoded: first asked whether it fits, then written. */
  #encoded: { readonly value: T; readonly text: string } | undefined;
  readonly initial: T;

  private constructor(file: DiskFile, sequence: number, target: 0 | 1, initial: T) {
    this.#file = file;
    this.#sequence = sequence;
    this.#target = target;
    this.initial = initial;
  }

  /**
   * Opens `directory/name`, or creates it with what `create` returns. `damaged` is true when there
   * was a state that cannot be read: a lane must then begin early rather than late. `parse` checks
   * what a slot holds; it returns `undefined` for what is not a state.
   */
  static async open<T extends object>(
    disk: Disk,
    directory: string,
    name: string,
    create: (damaged: boolean) => T,
    parse: ParseState<T> = (value) => value as T,
  ): Promise<LaneState<T>> {
    await makeDirectoryInPlace(disk, directory);
    const path = `${directory}/${name}`;
    const exists = (await disk.list(directory)).includes(name);
    const opened = exists ? await openExisting(disk, path, parse) : undefined;
    if (opened?.found !== undefined) {
      const { file, found } = opened;
      // The newest slot may never have been synced, nor the name: a killed process left both to the
      // page cache. Only when they are durable may the other slot be overwritten.
      await file.sync();
      await disk.syncDirectory(directory);
      return new LaneState(file, found.sequence, found.slot === 0 ? 1 : 0, found.value);
    }
    if (opened !== undefined) {
      const value = create(true);
      await writeFirst(opened.file, value);
      await disk.syncDirectory(directory);
      return new LaneState(opened.file, 0, 1, value);
    }
    return LaneState.#create(disk, path, create);
  }

  /**
   * Under another name until it is whole: a state that was never finished must not pass for one
   * that was lost.
   */
  static async #create<T extends object>(
    disk: Disk,
    path: string,
    create: (damaged: boolean) => T,
  ): Promise<LaneState<T>> {
    const unfinished = `${path}${UNFINISHED}`;
    await disk.remove(unfinished).catch(() => undefined);
    const file = await createInPlace(disk, unfinished);
    try {
      const wasThere = await isDirectory(disk, path);
      const value = create(wasThere);
      await writeFirst(file, value);
      if (wasThere) await setAside(disk, path);
      await disk.rename(unfinished, path);
      await disk.syncDirectory(path.slice(0, path.lastIndexOf("/")));
      return new LaneState(file, 0, 1, value);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Reads a state without keeping it open; `undefined` when there is none, or none that can be
   * read.
   */
  static async peek<T extends object>(disk: Disk, path: string, parse: ParseState<T>): Promise<T | undefined> {
    try {
      return await withFile(disk, path, async (file) => (await readNewest(file, parse))?.value);
    } catch {
      return undefined;
    }
  }

  fits(value: T): boolean {
    return Buffer.byteLength(this.#textOf(value)) <= SLOT_BYTES - SLOT_HEADER_BYTES;
  }

  #textOf(value: T): string {
    if (this.#encoded?.value !== value) this.#encoded = { value, text: JSON.stringify(value) };
    return this.#encoded.text;
  }

  /** Replaces the state. Survives the process at once, a power cut after {@link sync}. */
  write(value: T): Promise<void> {
    this.#sequence += 1;
    const bytes = encodeSlot(this.#textOf(value), this.#sequence);
    this.#encoded = undefined;
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(async () => {
        await this.#file.write([bytes], this.#target * SLOT_BYTES);
        this.#dirty = true;
      });
    return this.#writing;
  }

  /** Makes the last written state durable. */
  sync(): Promise<void> {
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(async () => {
        if (!this.#dirty) return;
        await this.#file.sync();
        this.#dirty = false;
        this.#target = this.#target === 0 ? 1 : 0;
      });
    return this.#writing;
  }

  async close(): Promise<void> {
    await this.sync().catch(() => undefined);
    await this.#file.close();
  }
}

function encodeSlot(text: string, sequence: number): Buffer {
  const slot = Buffer.alloc(SLOT_BYTES);
  const length = slot.write(text, SLOT_HEADER_BYTES);
  assert(length === Buffer.byteLength(text), "a lane's state fits its slot");
  slot.writeUInt32LE(length, 4);
  slot.writeBigUInt64LE(BigInt(sequence), 8);
  slot.writeUInt32LE(crc32(slot.subarray(4, SLOT_HEADER_BYTES + length)), 0);
  return slot;
}

interface Found<T> {
  readonly slot: 0 | 1;
  readonly sequence: number;
  readonly value: T;
}

/** **Errors**: `WAYBILL_DISK`: a disk that fails now does not reveal what the state was. */
async function openExisting<T>(
  disk: Disk,
  path: string,
  parse: ParseState<T>,
): Promise<{ readonly file: DiskFile; readonly found: Found<T> | undefined }> {
  const file = await disk.open(path);
  try {
    return { file, found: await readNewest(file, parse) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function writeFirst(file: DiskFile, value: object): Promise<void> {
  await file.write([encodeSlot(JSON.stringify(value), 0), Buffer.alloc(SLOT_BYTES)], 0);
  await file.sync();
}

/** Whether the path is a directory. Anything else is replaced. */
async function isDirectory(disk: Disk, path: string): Promise<boolean> {
  try {
    await disk.list(path);
    return true;
  } catch {
    return false;
  }
}

async function readNewest<T>(file: DiskFile, parse: ParseState<T>): Promise<Found<T> | undefined> {
  const bytes = Buffer.alloc(2 * SLOT_BYTES);
  const size = await file.read(bytes, 0);
  let newest: Found<T> | undefined;
  for (const slot of [0, 1] as const) {
    const at = slot * SLOT_BYTES;
    if (size < at + SLOT_HEADER_BYTES) continue;
    const length = bytes.readUInt32LE(at + 4);
    if (length > SLOT_BYTES - SLOT_HEADER_BYTES) continue;
    const end = at + SLOT_HEADER_BYTES + length;
    if (end > size || bytes.readUInt32LE(at) !== crc32(bytes.subarray(at + 4, end))) continue;
    const sequence = Number(bytes.readBigUInt64LE(at + 8));
    if (!Number.isSafeInteger(sequence + 1) || (newest !== undefined && newest.sequence >= sequence)) continue;
    const value = parseText(bytes.toString("utf8", at + SLOT_HEADER_BYTES, end), parse);
    if (value !== undefined) newest = { slot, sequence, value };
  }
  return newest;
}

function parseText<T>(text: string, parse: ParseState<T>): T | undefined {
  try {
    return parse(JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}
