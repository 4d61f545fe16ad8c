/**
 * Everything the delivery code needs from the outside: time, chance, the network and the disk.
 *
 * `Date.now`, `Math.random`, `setTimeout`, sockets and files occur only in the packages that
 * implement these interfaces: `@waybill/node` (the real ones) and `@waybill/testing` (virtual,
 * seeded, simulated). Nothing else may touch them; that is what lets the simulation run the whole
 * system from one seed.
 */

/** A pending call of {@link Clock.after}. */
export interface Timer {
  /** Forgets the call. Harmless when it already ran. */
  cancel(): void;
}

export interface Clock {
  /** Wall-clock time in epoch milliseconds, an integer. May jump in both directions. */
  now(): number;
  /**
   * Milliseconds since an arbitrary start, with a fraction. Never goes back; for measuring and
   * waiting.
   */
  monotonic(): number;
  /**
   * Calls `run` once, `delayMs` from now. The timer does not keep the process alive unless `hold`
   * is true. `run` must not throw.
   */
  after(delayMs: number, run: () => void, hold?: boolean): Timer;
}

export interface Random {
  /** A number in [0, 1). Not for secrets. */
  next(): number;
  /**
   * Fills `target` with random bytes (cryptographic ones in production), at most 65,536 of them.
   */
  fill(target: Uint8Array): void;
}

/** Part of a request body. Strings go out as UTF-8. */
export type Chunk = string | Uint8Array;

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: string;
  /** Lower-case names. The transport adds `host` and `content-length`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Sent one after another; never changed by the transport. */
  readonly body: readonly Chunk[];
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** As text. */
  readonly body: string;
  /** The body is longer than the transport reads; this is how it begins. */
  readonly cut?: boolean;
}

/**
 * Makes one HTTP exchange: no retry, no redirect, no timeout of its own.
 *
 * Rejects with a `WaybillError` of code `WAYBILL_TRANSPORT` (refused, reset, aborted, no such
 * host); any answer of the server, whatever its status, resolves. Must settle soon after `signal`
 * aborts.
 */
export type Transport = (request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse>;

/** Why a disk operation failed: the POSIX codes that the log treats differently. */
export type DiskErrorCode = "ENOSPC" | "ENOENT" | "EEXIST" | "EIO";

/**
 * Files as the log needs them. All paths are absolute or relative to the process; directories use
 * `/`.
 *
 * Durability: written bytes survive a process crash, but a power cut only after
 * {@link DiskFile.sync}; a created, renamed or removed name survives a power cut only after
 * {@link Disk.syncDirectory} of its directory. Failures reject with a `WaybillError` of code
 * `WAYBILL_DISK` whose `reason` is a {@link DiskErrorCode}.
 */
export interface Disk {
  /** Opens for reading and writing. */
  open(path: string, options?: OpenOptions): Promise<DiskFile>;
  /** Names of the files in a directory, sorted; not of directories. `ENOENT` when there is none. */
  list(directory: string): Promise<readonly string[]>;
  /** Creates a directory and its parents; harmless when it exists. Makes the names durable. */
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
}

export interface OpenOptions {
  /** Creates the file, which must not exist yet. */
  readonly create?: boolean;
  /**
   * Each write is durable when it resolves: write and sync in one operation. After a failure the
   * bytes must be taken for lost.
   */
  readonly durable?: boolean;
  /** What is created is for its owner alone, whatever other files are. */
  readonly isPrivate?: boolean;
}

export interface DiskFile {
  /**
   * Writes all of `buffers`, one after another, from byte `position`; fewer bytes are a failure
   * (some may be written).
   */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /**
   * Reads into `target` from byte `position`; resolves to the number of bytes read, fewer only at
   * the end of the file.
   */
  read(target: Uint8Array, position: number): Promise<number>;
  /**
   * Makes data and size durable (`fdatasync`). After a failure the unsynced bytes must be taken for
   * lost.
   */
  sync(): Promise<void>;
  /** Cuts the file to `size` bytes. Needs no free space. */
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** What delivery itself needs; hosts that keep events on disk also carry a {@link Disk}. */
export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
}

export interface DiskRuntime extends Runtime {
  readonly disk: Disk;
}

/** Waits `delayMs`; resolves early, to `false`, when `signal` aborts. Never rejects. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onAbort = (): void => {
      timer.cancel();
      resolve(false);
    };
    const timer = clock.after(delayMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve(true);
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
