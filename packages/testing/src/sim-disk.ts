/**
 * A disk in memory that knows what is durable.
 *
 * Every file has what a reader sees now and what a power cut would leave. Writes and truncations
 * change the first at once and the second at the next sync; names (created, renamed, removed)
 * become durable with a sync of their directory.
 *
 * - {@link SimDisk.killProcess}: what was written stays, open files close: SIGKILL.
 * - {@link SimDisk.crash}: unsynced writes and names are each kept, lost or torn, as the seed says:
 *   a power cut.
 */
import { type Disk, type DiskErrorCode, type DiskFile, type OpenOptions, WaybillError } from "@waybill/core";
import type { SeededRandom } from "./seeded-random.ts";

/** Sectors reach the disk whole or not at all. */
const SECTOR_BYTES = 512;

interface Inode {
  /** What a reader sees. */
  data: Uint8Array;
  size: number;
  /** What the last sync made durable. */
  durable: Uint8Array;
  /** Since the last sync, in order. */
  unsynced: Change[];
}

type Change =
  | { readonly kind: "write"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly size: number };

export type DiskOperation =
  | "open"
  | "write"
  | "read"
  | "sync"
  | "truncate"
  | "rename"
  | "remove"
  | "syncDirectory"
  | "list"
  | "makeDirectory";

export interface DiskFaults {
  /** Probability that a write fails with EIO after part of it. */
  readonly write?: number;
  /** Probability that a sync fails; the unsynced changes of that file are then lost for good. */
  readonly sync?: number;
}

export class SimDisk implements Disk {
  /** Names now and names after a power cut. */
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  readonly #directories = new Set<string>(["", "/"]);
  #generation = 0;
  #failNext: { readonly operation: DiskOperation; readonly code: DiskErrorCode; left: number } | undefined;
  /** Bytes that all files together may have. */
  capacityBytes: number = Number.POSITIVE_INFINITY;
  faults: DiskFaults = {};
  readonly #random: SeededRandom | undefined;
  /** Operations so far, by kind. */
  readonly operations: Map<DiskOperation, number> = new Map();
  /** Called before each operation that changes something; may throw to stop the world there. */
  onOperation: ((operation: DiskOperation, path: string) => void) | undefined;

  constructor(random?: SeededRandom) {
    this.#random = random;
  }

  /** A disk with these files and directories, all of them durable. */
  static of(files: ReadonlyMap<string, Uint8Array>, directories: readonly string[]): SimDisk {
    const disk = new SimDisk();
    for (const directory of directories) disk.#directories.add(directory);
    for (const [path, bytes] of files) {
      const inode: Inode = { data: bytes.slice(), size: bytes.length, durable: bytes.slice(), unsynced: [] };
      disk.#names.set(path, inode);
      disk.#durableNames.set(path, inode);
    }
    return disk;
  }

  /** The next operations of this kind fail. */
  failNext(operation: DiskOperation, code: DiskErrorCode = "EIO", times = 1): void {
    this.#failNext = { operation, code, left: times };
  }

  get usedBytes(): number {
    let bytes = 0;
    for (const inode of this.#names.values()) bytes += inode.size;
    return bytes;
  }

  /** Flips one bit of a file, durably: bit rot. */
  flipBit(path: string, offset: number, bit = 0): void {
    const inode = this.#inode(path);
    const flip = (bytes: Uint8Array): void => {
      if (offset < bytes.length) bytes[offset] = (bytes[offset] as number) ^ (1 << bit);
    };
    flip(inode.data);
    flip(inode.durable);
  }

  /** A copy of a file's bytes as a reader sees them. */
  contents(path: string): Uint8Array {
    const inode = this.#inode(path);
    return inode.data.slice(0, inode.size);
  }

  /** All paths there are. */
  paths(): readonly string[] {
    return [...this.#names.keys()].sort();
  }

  /** The process dies: handles are gone, what was written stays. */
  killProcess(): void {
    this.#generation += 1;
  }

  /** The power fails. Without a generator nothing unsynced survives. */
  crash(random?: SeededRandom): void {
    this.#generation += 1;
    const names = new Map(this.#durableNames);
    if (random !== undefined) this.#keepSomeNames(names, random);
    for (const inode of new Set(names.values())) revert(inode, random);
    this.#names = names;
    this.#durableNames = new Map(names);
  }

  async open(path: string, options: OpenOptions = {}): Promise<DiskFile> {
    this.#enter("open", path);
    const existing = this.#names.get(path);
    const durable = options.durable === true;
    if (options.create === true) {
      if (existing !== undefined) throw diskError("EEXIST", `open ${path}`);
      this.#existing(directoryOf(path));
      const inode: Inode = { data: new Uint8Array(0), size: 0, durable: new Uint8Array(0), unsynced: [] };
      this.#names.set(path, inode);
      return this.#file(path, inode, durable);
    }
    if (existing === undefined) throw diskError("ENOENT", `open ${path}`);
    return this.#file(path, existing, durable);
  }

  async list(directory: string): Promise<readonly string[]> {
    this.#enter("list", directory);
    this.#existing(directory);
    const names: string[] = [];
    for (const path of this.#names.keys())
      if (directoryOf(path) === directory) names.push(path.slice(directory.length + 1));
    return names.sort();
  }

  async makeDirectory(path: string): Promise<void> {
    this.#enter("makeDirectory", path);
    if (this.#names.has(path)) throw diskError("EEXIST", `create ${path}`);
    for (let directory = path; directory !== "" && directory !== "/"; directory = directoryOf(directory))
      this.#directories.add(directory);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#enter("rename", from);
    const inode = this.#inode(from);
    this.#existing(directoryOf(to));
    this.#names.delete(from);
    this.#names.set(to, inode);
  }

  async remove(path: string): Promise<void> {
    this.#enter("remove", path);
    this.#inode(path);
    this.#names.delete(path);
  }

  async syncDirectory(path: string): Promise<void> {
    this.#enter("syncDirectory", path);
    this.#existing(path);
    for (const name of this.#durableNames.keys())
      if (directoryOf(name) === path && !this.#names.has(name)) this.#durableNames.delete(name);
    for (const [name, inode] of this.#names) if (directoryOf(name) === path) this.#durableNames.set(name, inode);
  }

  #file(path: string, inode: Inode, durable: boolean): DiskFile {
    const generation = this.#generation;
    let closed = false;
    const checkOpen = (operation: string): void => {
      if (generation !== this.#generation)
        throw diskError("EIO", `${operation} ${path}: the process that opened it is gone`);
      if (closed) throw diskError("EIO", `${operation} ${path}: it is closed`);
    };
    const enter = (operation: DiskOperation): void => {
      checkOpen(operation);
      this.#enter(operation, path);
    };
    const sync = (): void => {
      enter("sync");
      if (this.#strikes(this.faults.sync)) {
        inode.unsynced = [];
        throw diskError("EIO", `sync ${path}`);
      }
      inode.durable = inode.data.slice(0, inode.size);
      inode.unsynced = [];
    };
    return {
      write: async (buffers, position) => {
        enter("write");
        this.#write(path, inode, buffers, position);
        if (durable) sync();
      },
      read: async (target, position) => {
        enter("read");
        const bytes = inode.data.subarray(position, Math.min(inode.size, position + target.length));
        target.set(bytes);
        return bytes.length;
      },
      sync: async () => sync(),
      truncate: async (size) => {
        enter("truncate");
        resize(inode, size);
        inode.unsynced.push({ kind: "truncate", size });
      },
      size: async () => {
        checkOpen("stat");
        return inode.size;
      },
      close: async () => {
        checkOpen("close");
        closed = true;
      },
    };
  }

  #write(path: string, inode: Inode, buffers: readonly Uint8Array[], position: number): void {
    let at = position;
    const fails = this.#strikes(this.faults.write);
    for (const buffer of buffers) {
      const growth = Math.max(0, at + buffer.length - inode.size);
      const room = this.capacityBytes - this.usedBytes;
      const fits = growth <= room ? buffer.length : Math.max(0, buffer.length - (growth - room));
      put(inode, at, buffer.subarray(0, fits));
      if (fits < buffer.length) throw diskError("ENOSPC", `write ${path}`);
      if (fails) throw diskError("EIO", `write ${path}`);
      at += buffer.length;
    }
  }

  #strikes(probability: number | undefined): boolean {
    return probability !== undefined && this.#random !== undefined && this.#random.chance(probability);
  }

  #enter(operation: DiskOperation, path: string): void {
    this.operations.set(operation, (this.operations.get(operation) ?? 0) + 1);
    this.onOperation?.(operation, path);
    const failure = this.#failNext;
    if (failure?.operation !== operation) return;
    failure.left -= 1;
    if (failure.left <= 0) this.#failNext = undefined;
    throw diskError(failure.code, `${operation} ${path}`);
  }

  #keepSomeNames(names: Map<string, Inode>, random: SeededRandom): void {
    for (const [name, inode] of this.#names) if (!names.has(name) && random.chance(0.5)) names.set(name, inode);
    for (const name of names.keys()) if (!this.#names.has(name) && random.chance(0.5)) names.delete(name);
  }

  #existing(directory: string): void {
    if (!this.#directories.has(directory)) throw diskError("ENOENT", directory);
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw diskError("ENOENT", path);
    return inode;
  }
}

/** Back to what is durable, with those unsynced changes that the seed keeps, whole or in part. */
function revert(inode: Inode, random: SeededRandom | undefined): void {
  const changes = inode.unsynced;
  inode.data = inode.durable.slice();
  inode.size = inode.durable.length;
  inode.unsynced = [];
  if (random !== undefined) {
    for (const change of changes) {
      if (random.chance(0.4)) continue;
      if (change.kind === "truncate") resize(inode, change.size);
      else if (random.chance(0.5)) put(inode, change.at, change.bytes);
      else putSectors(inode, change.at, change.bytes, random);
    }
  }
  inode.durable = inode.data.slice(0, inode.size);
  inode.unsynced = [];
}

/** Some of the sectors that a write touches. */
function putSectors(inode: Inode, at: number, bytes: Uint8Array, random: SeededRandom): void {
  for (let start = 0; start < bytes.length; ) {
    const end = Math.min(bytes.length, start + SECTOR_BYTES - ((at + start) % SECTOR_BYTES));
    if (random.chance(0.5)) put(inode, at + start, bytes.subarray(start, end));
    start = end;
  }
}

function put(inode: Inode, at: number, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  const end = at + bytes.length;
  if (end > inode.data.length) {
    const grown = new Uint8Array(Math.max(end, 2 * inode.data.length));
    grown.set(inode.data.subarray(0, inode.size));
    inode.data = grown;
  }
  inode.data.set(bytes, at);
  inode.size = Math.max(inode.size, end);
  inode.unsynced.push({ kind: "write", at, bytes: bytes.slice() });
}

function resize(inode: Inode, size: number): void {
  if (size < inode.size) inode.data.fill(0, size, inode.size);
  inode.size = Math.min(inode.size, size);
}

function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function diskError(code: DiskErrorCode, what: string): WaybillError {
  return new WaybillError("WAYBILL_DISK", `Cannot ${what}: ${code}`, { reason: code });
}
