/**
 * Events appended to a file, a line each, fsynced before they count as delivered. A full or old
 * file is renamed with the time it began and a new one begun; no file is ever written over.
 *
 * A batch is written at the end that was last synced: what an interrupted write left behind is cut
 * off first. After a crash of this relay that end is not known: the file's own is taken (a batch
 * may then be there twice: at least once), after a line end of ours when its last line is torn.
 * A file that was removed, or its directory, takes no event with it: each append looks whether its
 * file is still there before it counts.
 */
import { type DiskFile, type DiskRuntime, messageOf, type Runtime, type Transport, WaybillError } from "@waybill/core";
import type { FileDestinationOptions } from "../config/own-destinations.ts";

const LINE_END = Buffer.from("\n");

interface OpenFile {
  readonly path: string;
  readonly file: DiskFile;
  readonly beganAtMs: number;
  bytes: number;
}

type Settings = FileDestinationOptions;

/**
 * The one hand that writes a destination's file, whatever its settings become: one thing at a time,
 * at most one file open. It outlives a reload, so that a request under the settings of before and
 * one under those of now never write at the same place.
 */
export class FileWriter {
  readonly #runtime: DiskRuntime;
  #open: OpenFile | undefined;
  /** The end that was last synced, of a file that was closed after a failure. */
  #synced: { readonly path: string; readonly bytes: number } | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(runtime: Runtime) {
    this.#runtime = runtime as DiskRuntime;
  }

  transport(settings: Settings): Transport {
    const { path } = settings;
    return async ({ body }, signal) => {
      // Whose bytes they are may use them again once the request was aborted.
      const bytes = Buffer.concat(body.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk) : chunk)));
      await this.#inTurn(async () => {
        if (this.#closed || signal.aborted) throw failure(path, this.#closed ? "it is closed" : "aborted");
        try {
          await this.#append(settings, bytes);
        } catch (error) {
          await this.#letGo();
          throw failure(path, messageOf(error), error);
        }
      });
      return { status: 200, headers: {}, body: "" };
    };
  }

  /** Closes the file once what is under way has ended. Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#inTurn(() => this.#letGo());
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #append({ path, rotateBytes, rotateAfter }: Settings, bytes: Buffer): Promise<void> {
    const { clock } = this.#runtime;
    if (this.#open !== undefined && this.#open.path !== path) await this.#letGo();
    this.#open ??= await this.#openFile(path);
    const { bytes: end, beganAtMs } = this.#open;
    if (end > 0 && (end + bytes.length > rotateBytes || clock.now() - beganAtMs >= rotateAfter)) {
      await this.#rotate(this.#open);
      this.#open = await this.#openFile(path);
    }
    const open = this.#open;
    await open.file.write([bytes], open.bytes);
    await open.file.sync();
    if (await this.#exists(path)) open.bytes += bytes.length;
    else {
      await this.#letGo();
      this.#synced = undefined;
      throw new Error("the file was removed");
    }
  }

  async #openFile(path: string): Promise<OpenFile> {
    const { disk, clock } = this.#runtime;
    const { directory } = partsOf(path);
    await disk.makeDirectory(directory);
    const exists = await this.#exists(path);
    const file = await disk.open(path, exists ? {} : { create: true }).catch((error: unknown) => {
      const isOther = error instanceof WaybillError && error.reason === "EEXIST";
      throw isOther ? new Error("there is something that is not a file") : error;
    });
    try {
      if (!exists) await disk.syncDirectory(directory);
      const size = await file.size();
      const synced = this.#synced?.path === path && this.#synced.bytes <= size ? this.#synced.bytes : undefined;
      if (synced !== undefined && synced < size) await file.truncate(synced);
      const bytes = synced ?? (await endOfLines(file, size));
      this.#synced = undefined;
      return { path, file, beganAtMs: clock.now(), bytes };
    } catch (error) {
      await closeQuietly(file);
      throw error;
    }
  }

  async #rotate({ path, beganAtMs }: OpenFile): Promise<void> {
    const { disk } = this.#runtime;
    const { directory, stem, extension } = partsOf(path);
    await this.#letGo();
    this.#synced = undefined;
    const names = new Set(await disk.list(directory));
    const began = `${stem}-${new Date(beganAtMs).toISOString().replaceAll(/[:.]/g, "-")}`;
    let name = `${began}${extension}`;
    for (let count = 2; names.has(name); count++) name = `${began}-${count}${extension}`;
    await disk.rename(path, `${directory === "/" ? "" : directory}/${name}`);
    await disk.syncDirectory(directory);
  }

  async #exists(path: string): Promise<boolean> {
    const { directory, stem, extension } = partsOf(path);
    return (await this.#runtime.disk.list(directory)).includes(`${stem}${extension}`);
  }

  async #letGo(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    this.#synced = { path: open.path, bytes: open.bytes };
    await closeQuietly(open.file);
  }
}

async function closeQuietly(file: DiskFile): Promise<void> {
  try {
    await file.close();
  } catch {
    // What counts was synced; the descriptor is gone either way.
  }
}

/** The file's end; a torn line there gets one first. */
async function endOfLines(file: DiskFile, size: number): Promise<number> {
  if (size === 0) return 0;
  const last = new Uint8Array(1);
  await file.read(last, size - 1);
  if (last[0] === LINE_END[0]) return size;
  await file.write([LINE_END], size);
  return size + 1;
}

function partsOf(path: string): { readonly directory: string; readonly stem: string; readonly extension: string } {
  const slash = path.lastIndexOf("/");
  const name = path.slice(slash + 1);
  const dot = name.lastIndexOf(".");
  const at = dot > 0 ? dot : name.length;
  const directory = slash === -1 ? "." : slash === 0 ? "/" : path.slice(0, slash);
  return { directory, stem: name.slice(0, at), extension: name.slice(at) };
}

function failure(path: string, why: string, cause?: unknown): WaybillError {
  return new WaybillError("WAYBILL_DISK", `Cannot append to ${path}: ${why}`, { cause, retryable: true });
}
