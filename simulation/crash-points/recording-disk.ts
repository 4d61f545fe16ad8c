import type { Disk, DiskFile, OpenOptions } from "@waybill/core";
import { WaybillError } from "@waybill/core";

export type Effect =
  | { readonly kind: "write"; readonly inode: number; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly inode: number; readonly size: number }
  | { readonly kind: "link"; readonly path: string; readonly inode: number }
  | { readonly kind: "unlink"; readonly path: string }
  /** Both names at once, or neither. */
  | { readonly kind: "rename"; readonly from: string; readonly path: string; readonly inode: number };

export type Operation =
  | Effect
  /** Makes the effects on an inode durable, or the names of a directory. */
  | { readonly kind: "sync"; readonly inode: number }
  | { readonly kind: "syncDirectory"; readonly path: string };

/** A disk in memory that writes down what is done to it. */
export class RecordingDisk implements Disk {
  readonly operations: Operation[] = [];
  capacityBytes = Number.POSITIVE_INFINITY;
  readonly #names = new Map<string, number>();
  readonly #directories = new Set<string>();
  readonly #data: Uint8Array[] = [];

  async open(path: string, options: OpenOptions = {}): Promise<DiskFile> {
    let inode = this.#names.get(path);
    if (options.create === true) {
      if (inode !== undefined) throw failure("EEXIST");
      inode = this.#data.push(new Uint8Array(0)) - 1;
      this.#names.set(path, inode);
      this.operations.push({ kind: "link", path, inode });
    }
    if (inode === undefined) throw failure("ENOENT");
    return this.#file(inode, options.durable === true);
  }

  async list(directory: string): Promise<readonly string[]> {
    if (!this.#directories.has(directory)) throw failure("ENOENT");
    const prefix = `${directory}/`;
    return [...this.#names.keys()].map((path) => path.slice(prefix.length));
  }

  async makeDirectory(path: string): Promise<void> {
    this.#directories.add(path);
  }

  async rename(from: string, to: string): Promise<void> {
    const inode = this.#names.get(from);
    if (inode === undefined) throw failure("ENOENT");
    this.#names.delete(from);
    this.#names.set(to, inode);
    this.operations.push({ kind: "rename", from, path: to, inode });
  }

  async remove(path: string): Promise<void> {
    if (!this.#names.delete(path)) throw failure("ENOENT");
    this.operations.push({ kind: "unlink", path });
  }

  async syncDirectory(path: string): Promise<void> {
    this.operations.push({ kind: "syncDirectory", path });
  }

  #usedBytes(): number {
    return [...this.#names.values()].reduce((total, inode) => total + (this.#data[inode] as Uint8Array).length, 0);
  }

  #file(inode: number, durable: boolean): DiskFile {
    const sync = async (): Promise<void> => {
      this.operations.push({ kind: "sync", inode });
    };
    return {
      write: async (buffers, position) => {
        let at = position;
        for (const buffer of buffers) {
          const room = Math.max(0, this.capacityBytes - this.#usedBytes());
          const growth = Math.max(0, at + buffer.length - (this.#data[inode] as Uint8Array).length);
          const fits = Math.max(0, buffer.length - Math.max(0, growth - room));
          const bytes = Uint8Array.from(buffer.subarray(0, fits));
          this.#data[inode] = written(this.#data[inode] as Uint8Array, at, bytes);
          this.operations.push({ kind: "write", inode, at, bytes });
          if (bytes.length < buffer.length) throw failure("ENOSPC");
          at += buffer.length;
        }
        if (durable) await sync();
      },
      read: async (target, position) => {
        const bytes = (this.#data[inode] as Uint8Array).subarray(position, position + target.length);
        target.set(bytes);
        return bytes.length;
      },
      sync,
      truncate: async (size) => {
        this.#data[inode] = (this.#data[inode] as Uint8Array).slice(0, size);
        this.operations.push({ kind: "truncate", inode, size });
      },
      size: async () => (this.#data[inode] as Uint8Array).length,
      close: async () => undefined,
    };
  }
}

/** `bytes` put into `data` at `at`. */
export function written(data: Uint8Array, at: number, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return data;
  const result = new Uint8Array(Math.max(data.length, at + bytes.length));
  result.set(data);
  result.set(bytes, at);
  return result;
}

function failure(reason: "ENOENT" | "EEXIST" | "ENOSPC"): WaybillError {
  return new WaybillError("WAYBILL_DISK", reason, { reason });
}
