import type { Server } from "node:http";
import type { Socket } from "node:net";
import { underlying } from "../tls/handshakes.ts";

const CLOSE_IDLE_EVERY = 64;

/**
 * Keeps the number of connections within a limit: each may hold the head of a request in memory.
 * When there are too many, those that are idle are closed, then the oldest of those that have not
 * sent a whole head yet; only when all others are in use a new one is refused.
 */
export class Connections {
  readonly #maxConnections: number;
  /** Without a whole head so far, oldest first. */
  readonly #silent = new Set<Socket>();
  #count = 0;
  /** How often there were too many. */
  #crowded = 0;

  constructor(maxConnections: number) {
    this.#maxConnections = maxConnections;
  }

  watch(server: Server): void {
    server.on("connection", (socket: Socket) => this.#opened(server, socket));
  }

  /** A request's head has come. */
  spoke(socket: Socket): void {
    if (this.#silent.size > 0) this.#silent.delete(underlying(socket));
  }

  #opened(server: Server, socket: Socket): void {
    this.#count += 1;
    this.#silent.add(socket);
    socket.once("close", () => {
      this.#count -= 1;
      this.#silent.delete(socket);
    });
    if (this.#count > this.#maxConnections) this.#makeRoom(server, socket);
  }

  /** One comes, one goes. */
  #makeRoom(server: Server, socket: Socket): void {
    // It looks at every connection: not for each that comes.
    if (this.#crowded++ % CLOSE_IDLE_EVERY === 0) server.closeIdleConnections();
    for (const oldest of this.#silent) {
      this.#silent.delete(oldest);
      oldest.destroy();
      return;
    }
    socket.destroy();
  }
}
