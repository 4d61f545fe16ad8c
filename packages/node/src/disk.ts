/**
 * The real disk, over the callback functions of `node:fs`: they cost about half of what the promise
 * versions do.
 */
import fs from "node:fs";
import { dirname } from "node:path";
import { type Disk, type DiskErrorCode, type DiskFile, messageOf, WaybillError } from "@waybill/core";

/**
 * On Linux a file opened with O_DSYNC syncs with each write: one trip to the thread pool where
 * write and fdatasync take two. Elsewhere the flag is missing, or (macOS) does not reach through
 * the drive's cache as fdatasync does.
 */
const SYNCS_WRITES = process.platform === "linux";

/** What others on this machine may do with the events: nothing. */
export const DEFAULT_FILE_MODE = 0o600;
export const DEFAULT_DIRECTORY_MODE = 0o700;
const ANYONE_ELSE = 0o077;

export interface NodeDiskOptions {
  /** Permissions of files that are created, as of `chmod`. Default 0600. */
  readonly fileMode?: number;
  /** Of directories. Default 0700. */
  readonly directoryMode?: number;
}

export function createNodeDisk(options: NodeDiskOptions = {}): Disk {
  const { fileMode = DEFAULT_FILE_MODE, directoryMode = DEFAULT_DIRECTORY_MODE } = options;
  return {
    async open(path, { create = false, durable = false, isPrivate = false } = {}) {
      const { O_RDWR, O_CREAT, O_EXCL } = fs.constants;
      const flags = O_RDWR | (create ? O_CREAT | O_EXCL : 0) | (durable && SYNCS_WRITES ? fs.constants.O_DSYNC : 0);
      const mode = isPrivate ? DEFAULT_FILE_MODE : fileMode;
      const descriptor = await call<number>(`open ${path}`, (done) => fs.open(path, flags, mode, done));
      const file = new NodeFile(path, descriptor, durable && !SYNCS_WRITES);
      // The process's umask may have taken what the configuration gives to others.
      if (create && (mode & ANYONE_ELSE) !== 0) await file.chmod(mode);
      return file;
    },
    async list(directory) {
      const entries = await call<fs.Dirent[]>(`list ${directory}`, (done) =>
        fs.readdir(directory, { withFileTypes: true }, done),
      );
      const names: string[] = [];
      for (const entry of entries) if (await isFile(directory, entry)) names.push(entry.name);
      return names.sort();
    },
    async makeDirectory(path) {
      const first = await call<string | undefined>(`create ${path}`, (done) =>
        fs.mkdir(path, { recursive: true, mode: directoryMode }, done),
      );
      if (first === undefined) return;
      // The name of each new directory is an entry of its parent.
      for (let directory = path; directory.length >= first.length; directory = dirname(directory)) {
        if ((directoryMode & ANYONE_ELSE) !== 0)
          await call<void>(`change the mode of ${directory}`, (done) => fs.chmod(directory, directoryMode, done));
        await syncDirectory(dirname(directory));
      }
    },
    rename: (from, to) => call<void>(`rename ${from}`, (done) => fs.rename(from, to, done)),
    remove: (path) => call<void>(`remove ${path}`, (done) => fs.unlink(path, done)),
    syncDirectory,
  };
}

/** With the default permissions. */
export const nodeDisk: Disk = createNodeDisk();

/**
 * The permissions of `path` where they allow others more than `mode` does. `undefined` where they
 * do not, or where that is not known.
 */
export async function widerThan(path: string, mode: number): Promise<number | undefined> {
  if (process.platform === "win32") return undefined;
  const stats = await call<fs.Stats>(`stat ${path}`, (done) => fs.stat(path, done)).catch(() => undefined);
  if (stats === undefined || (stats.mode & ANYONE_ELSE & ~mode) === 0) return undefined;
  return stats.mode & PERMISSION_BITS;
}

const PERMISSION_BITS = 0o777;

async function syncDirectory(path: string): Promise<void> {
  const descriptor = await call<number>(`open ${path}`, (done) => fs.open(path, "r", done));
  try {
    await call<void>(`sync ${path}`, (done) => fs.fsync(descriptor, done));
  } finally {
    await call<void>(`close ${path}`, (done) => fs.close(descriptor, done));
  }
}

/** Directories, pipes and devices are left out: opening one fails or never returns. */
async function isFile(directory: string, entry: fs.Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  const path = `${directory}/${entry.name}`;
  const target = await call<fs.Stats>(`stat ${path}`, (done) => fs.stat(path, done)).catch(() => undefined);
  return target?.isFile() === true;
}

class NodeFile implements DiskFile {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #syncAfterWrite: boolean;
  /** The system gives a closed descriptor to the next file: no call may use it any more. */
  #closed = false;

  constructor(path: string, descriptor: number, syncAfterWrite: boolean) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#syncAfterWrite = syncAfterWrite;
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    await this.#write(buffers, position);
    if (this.#syncAfterWrite) await this.sync();
  }

  async #write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    let left: readonly Uint8Array[] = buffers;
    let at = position;
    let bytesLeft = buffers.reduce((total, buffer) => total + buffer.length, 0);
    while (bytesLeft > 0) {
      const written = await call<number>(`write ${this.#path}`, (done) => fs.writev(this.#open(), left, at, done));
      if (written === bytesLeft) return;
      // A short write does not have a cause; the next write reports it, if writing is impossible.
      at += written;
      bytesLeft -= written;
      left = after(left, written);
    }
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let got = 0;
    while (got < target.length) {
      const offset = got;
      const bytes = await call<number>(`read ${this.#path}`, (done) =>
        fs.read(this.#open(), target, offset, target.length - offset, position + offset, done),
      );
      if (bytes === 0) break;
      got += bytes;
    }
    return got;
  }

  sync(): Promise<void> {
    return call<void>(`sync ${this.#path}`, (done) => fs.fdatasync(this.#open(), done));
  }

  truncate(size: number): Promise<void> {
    return call<void>(`truncate ${this.#path}`, (done) => fs.ftruncate(this.#open(), size, done));
  }

  async size(): Promise<number> {
    const stats = await call<fs.Stats>(`stat ${this.#path}`, (done) => fs.fstat(this.#open(), done));
    return stats.size;
  }

  chmod(mode: number): Promise<void> {
    return call<void>(`change the mode of ${this.#path}`, (done) => fs.fchmod(this.#open(), mode, done));
  }

  async close(): Promise<void> {
    const descriptor = this.#open();
    this.#closed = true;
    await call<void>(`close ${this.#path}`, (done) => fs.close(descriptor, done));
  }

  #open(): number {
    if (this.#closed)
      throw new WaybillError("WAYBILL_DISK", `Cannot use ${this.#path}: it is closed`, { reason: "EIO" });
    return this.#descriptor;
  }
}

/** What is left of `buffers` after their first `bytes` bytes. */
function after(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = bytes;
  for (const buffer of buffers) {
    if (skip >= buffer.length) skip -= buffer.length;
    else {
      left.push(buffer.subarray(skip));
      skip = 0;
    }
  }
  return left;
}

type Done<T> = (error: NodeJS.ErrnoException | null, result?: T) => void;

function call<T>(what: string, run: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((error, result) => {
      if (error === null || error === undefined) resolve(result as T);
      else reject(diskError(what, error));
    });
  });
}

/** Codes that mean "no room", each for another reason: the disk, the quota, the largest file. */
const NO_ROOM: readonly string[] = ["ENOSPC", "EDQUOT", "EFBIG"];
const KNOWN: readonly string[] = ["ENOENT", "EEXIST"];

function diskError(what: string, error: NodeJS.ErrnoException): WaybillError {
  const code = error.code ?? "";
  const reason: DiskErrorCode = NO_ROOM.includes(code)
    ? "ENOSPC"
    : KNOWN.includes(code)
      ? (code as DiskErrorCode)
      : "EIO";
  return new WaybillError("WAYBILL_DISK", `Cannot ${what}: ${messageOf(error)}`, { reason, cause: error });
}
