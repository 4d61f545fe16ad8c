import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WaybillError } from "@waybill/core";

export interface DirectoryLock {
  release(): Promise<void>;
}

/**
 * Makes sure that one process alone writes to a data directory: two would write over each other's records.
 *
 * The lock is a listening socket named after the directory. The kernel lets go of it when the process dies in whatever
 * way, so a killed relay never blocks its successor. It guards one machine; do not share a data directory over a network.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const name = createHash("sha256").update(realpathSync(directory)).digest("hex").slice(0, 32);
  const path = process.platform === "win32" ? `\\\\.\\pipe\\waybill-${name}` : join(tmpdir(), `waybill-${name}.lock`);
  const server = (await tryListen(path)) ?? (await takeOver(path));
  if (server === undefined)
    throw new WaybillError("WAYBILL_LOG_LOCKED", `Another process is using the data directory ${directory}`, {
      hint: "Stop the other relay, or give this one a directory of its own (dataDirectory).",
    });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** A socket file nobody answers on was left by a killed process. */
async function takeOver(path: string): Promise<Server | undefined> {
  if (await answers(path)) return undefined;
  await rm(path, { force: true });
  return tryListen(path);
}

function tryListen(path: string): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", () => resolve(undefined));
    server.listen(path, () => resolve(server));
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
