/**
 * Makes sure that one process alone writes to a data directory: two would write over each other's
 * records.
 *
 * The lock is a socket on which a process listens, in a directory of its own inside the data
 * directory:
 *
 *   <data directory>/.lock/<id>          the holder's socket; `id` is random and never used twice
 *   <data directory>/.lock-<id>/<id>     a contender's, until it becomes the one above
 *
 * The kernel alone knows whether somebody listens, and forgets it when the process ends in whatever
 * way: a file that a killed process left refuses connections from then on.
 *
 * Taking it:
 * 1. Look at what is in `.lock`. A socket that takes a connection: in use, give up. One that
 *    refuses is dead: remove that name. Then remove `.lock` itself, which works only while it is
 *    empty.
 * 2. Make `.lock-<id>`, bind a socket in it, listen.
 * 3. Rename `.lock-<id>` to `.lock`. The kernel does it only where there is no `.lock` or an empty
 *    one. Done: the lock is ours. Refused because `.lock` is not empty: another one was faster,
 *    back to 1.
 *
 * Why two never hold it, however the steps of any number of processes interleave:
 * - A process holds the lock if and only if the directory that it made is named `.lock` and its
 *   socket is in it.
 * - Names appear in `.lock` only by the rename of step 3, each with its socket listening already.
 *   So a name in `.lock` that refuses is dead, not yet unborn, and stays dead.
 * - Only dead names are removed, and a name is never used again: a slow process that removes what
 *   it saw to be dead long ago can hit nothing else. So `.lock` is not empty for as long as its
 *   holder lives.
 * - A rename over a directory that is not empty fails, and so does its removal. So while the holder
 *   lives no other rename succeeds.
 * One of any number always wins: a rename fails only because another one's has succeeded.
 *
 * What killed contenders left (`.lock-<id>`) is removed by the next holder, after a rename to
 * `.lock-<id>.old`: should its owner live after all, its own rename then finds nothing, and it
 * begins again at 1.
 *
 * Nothing is created before the dead lock was removed: a full disk has room for the new one then.
 *
 * What holds where: processes on one kernel see each other, whatever their temporary directories,
 * users, network or process namespaces are (containers that share a volume). Two kernels do not:
 * file systems that machines share are refused. A socket of another user that may not be connected
 * to counts as in use. On Windows the lock is a named pipe, for which all of this is moot.
 */
import { createHash, randomBytes } from "node:crypto";
import { realpathSync } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm, rmdir, unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { relative, resolve } from "node:path";
import { messageOf, WaybillError } from "@waybill/core";
import { type FileSystem, fileSystemOf, sharedFileSystem } from "./file-systems.ts";

export interface DirectoryLock {
  release(): Promise<void>;
}

/** No environment can have this name. */
export const LOCK_NAME = ".lock";
const ID = /^[0-9a-f]{16}$/;
const LEFTOVER = /^\.lock-[0-9a-f]{16}(?:\.old)?$/;
const ID_BYTES = 8;
/**
 * What fits the address of a socket beside its closing zero; Node silently truncates longer ones.
 */
const SOCKET_PATH_MAX_BYTES: number = process.platform === "linux" ? 107 : 103;
/** How often a contender begins again; each time another one held the lock meanwhile. */
const ATTEMPTS_MAX = 100;

/**
 * Locks `directory`, which must exist, until the lock is released or the process ends.
 *
 * **Errors**: `WAYBILL_LOG_LOCKED` when another process has it; `WAYBILL_DISK` when there can be no
 * lock there, with the reason.
 */
export async function lockDirectory(
  directory: string,
  look: (directory: string) => Promise<FileSystem | undefined> = fileSystemOf,
): Promise<DirectoryLock> {
  if (process.platform === "win32") return lockByPipe(directory);
  const place = await openPlace(directory);
  try {
    const fileSystem = await look(directory);
    const shared = fileSystem === undefined ? undefined : sharedFileSystem(fileSystem);
    if (shared !== undefined)
      throw cannotLock(directory, `it is on a file system that other machines may share (${shared})`, {
        hint: "A lock is seen by one machine only. Use a directory on a local disk or volume.",
      });
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await removeDead(place);
      const lock = await tryTake(place);
      if (lock === undefined) continue;
      await removeLeftovers(place);
      return lock;
    }
  } catch (error) {
    await place.close();
    throw error instanceof WaybillError ? error : cannotLock(directory, reasonOf(error), { cause: error });
  }
  await place.close();
  throw inUse(directory);
}

/** The data directory: how it is shown, and a path to it that is short enough for sockets. */
interface Place {
  readonly directory: string;
  readonly base: string;
  close(): Promise<void>;
}

async function openPlace(directory: string): Promise<Place> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(directory, "r");
    if (!(await handle.stat()).isDirectory()) throw cannotLock(directory, "it is not a directory");
  } catch (error) {
    await handle?.close();
    throw error instanceof WaybillError ? error : cannotLock(directory, reasonOf(error), { cause: error });
  }
  const close = (): Promise<void> => handle.close();
  const throughHandle = `/proc/self/fd/${handle.fd}`;
  if (process.platform === "linux" && (await readdir(throughHandle).catch(() => undefined)) !== undefined)
    return { directory, base: throughHandle, close };
  const [base = directory] = [resolve(directory), relative(process.cwd(), directory) || "."].sort(
    (a, b) => Buffer.byteLength(a) - Buffer.byteLength(b),
  );
  const longest = Buffer.byteLength(privatePath(base, "0".repeat(2 * ID_BYTES)).socket);
  if (longest <= SOCKET_PATH_MAX_BYTES) return { directory, base, close };
  await close();
  throw cannotLock(directory, `its path is too long for a socket by ${longest - SOCKET_PATH_MAX_BYTES} bytes`, {
    hint: "Use a shorter path, or start in a directory nearer to it.",
  });
}

function privatePath(base: string, id: string): { readonly directory: string; readonly socket: string } {
  const directory = `${base}/${LOCK_NAME}-${id}`;
  return { directory, socket: `${directory}/${id}` };
}

/**
 * Removes a lock whose holder is dead. **Errors**: `WAYBILL_LOG_LOCKED` when it is alive, or when
 * that cannot be determined.
 */
async function removeDead({ directory, base }: Place): Promise<void> {
  const path = `${base}/${LOCK_NAME}`;
  let names: readonly string[];
  try {
    names = await readdir(path);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return;
    if (code === "ENOTDIR") throw cannotLock(directory, `${LOCK_NAME} in it is not a directory; remove that file`);
    if (code === "EACCES") throw inUse(directory, code);
    throw error;
  }
  for (const name of names) {
    if (!ID.test(name))
      throw cannotLock(directory, `${LOCK_NAME} in it holds "${name}", which is not a lock; remove it`);
    const refusal = await connectionRefusal(`${path}/${name}`);
    if (refusal !== "ECONNREFUSED" && refusal !== "ENOENT") throw inUse(directory, refusal);
    await unlessGone(unlink(`${path}/${name}`));
  }
  await unlessGone(rmdir(path));
}

/** `undefined` when another one was faster. */
async function tryTake(place: Place): Promise<DirectoryLock | undefined> {
  const { directory, base } = place;
  const id = randomBytes(ID_BYTES).toString("hex");
  const own = privatePath(base, id);
  await mkdir(own.directory, { mode: 0o700 });
  let server: Server | undefined;
  try {
    server = await listen(own.socket);
    await rename(own.directory, `${base}/${LOCK_NAME}`);
  } catch (error) {
    await closed(server);
    // Node calls it EACCES when the directory of a socket is not there.
    const code = (await exists(own.directory)) ? codeOf(error) : "ENOENT";
    await rm(own.directory, { recursive: true, force: true });
    // Another one's lock is there; or a new holder took our directory for a leftover.
    if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOENT") return undefined;
    if (code === "ENOTDIR") throw cannotLock(directory, `${LOCK_NAME} in it is not a directory; remove that file`);
    if (server === undefined)
      throw cannotLock(directory, `its file system cannot hold a socket (${messageOf(error)})`, { cause: error });
    throw error;
  }
  const listening = server;
  return {
    async release() {
      // The directory stays, and with it its place on the disk: the next one may find the disk
      // full.
      await unlessGone(unlink(`${base}/${LOCK_NAME}/${id}`)).catch(() => undefined);
      await closed(listening);
      await place.close();
    },
  };
}

/** Costs nothing but space: what cannot be removed is left for the next holder. */
async function removeLeftovers({ base }: Place): Promise<void> {
  try {
    for (const name of await readdir(base)) {
      if (!LEFTOVER.test(name)) continue;
      const old = name.endsWith(".old") ? name : `${name}.old`;
      if (old !== name) await rename(`${base}/${name}`, `${base}/${old}`);
      await rm(`${base}/${old}`, { recursive: true, force: true });
    }
  } catch {
    // As above.
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((settle, fail) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", fail);
    // In a worker of `node:cluster` the primary would hold the socket otherwise, and outlive it.
    server.listen({ path, exclusive: true }, () => {
      server.unref();
      settle(server);
    });
  });
}

/** Why nobody could connect; `undefined` when somebody listens. */
function connectionRefusal(path: string): Promise<string | undefined> {
  return new Promise((settle) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      settle(undefined);
    });
    socket.once("error", (error) => settle(codeOf(error)));
  });
}

function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function closed(server: Server | undefined): Promise<void> {
  return new Promise((settle) => {
    if (server === undefined) settle();
    else server.close(() => settle());
  });
}

/** Another process may do the same at the same time, or have put its lock there. */
async function unlessGone(removed: Promise<void>): Promise<void> {
  try {
    await removed;
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw error;
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}

const REASONS = new Map<string, string>([
  ["ENOENT", "it does not exist"],
  ["ENOTDIR", "it is not a directory"],
  ["EACCES", "this process has no permission there"],
  ["EPERM", "this process has no permission there"],
  ["EROFS", "its file system is read-only"],
  ["ENOSPC", "its disk is full"],
  ["EDQUOT", "its quota is used up"],
  ["ENAMETOOLONG", "its path is too long"],
]);

function reasonOf(error: unknown): string {
  return REASONS.get(codeOf(error)) ?? messageOf(error);
}

function inUse(directory: string, untested?: string): WaybillError {
  const seen =
    untested === undefined
      ? `Another process is using the data directory ${directory}`
      : `The data directory ${directory} has a lock that this process cannot test (${untested}); it counts as in use`;
  return new WaybillError("WAYBILL_LOG_LOCKED", seen, {
    hint:
      untested === "EACCES"
        ? "A process of another user has or had it. Run as that user, or use a directory of its own (dataDirectory)."
        : "Stop the other relay, or give this one a directory of its own (dataDirectory).",
  });
}

function cannotLock(
  directory: string,
  why: string,
  details: { readonly hint?: string; readonly cause?: unknown } = {},
): WaybillError {
  return new WaybillError("WAYBILL_DISK", `Cannot lock the data directory ${directory}: ${why}`, {
    ...(codeOf(details.cause ?? {}) === "" ? {} : { reason: codeOf(details.cause) }),
    ...details,
  });
}

/** Named pipes lie in a name space of the machine and end with their process. */
async function lockByPipe(directory: string): Promise<DirectoryLock> {
  const name = createHash("sha256").update(realpathSync(directory)).digest("hex").slice(0, 32);
  const server = await listen(`\\\\.\\pipe\\waybill-${name}`).catch((error: unknown) => {
    throw codeOf(error) === "EADDRINUSE" || codeOf(error) === "EACCES"
      ? inUse(directory)
      : cannotLock(directory, reasonOf(error), { cause: error });
  });
  return { release: () => closed(server) };
}
