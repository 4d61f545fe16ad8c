import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { underlying } from "../tls/handshakes.ts";

/** An operator's tools hold a handful. */
const CONNECTIONS_MAX = 256;

/**
 * Bounds a server's connections without locking anyone out: when there are too many, the oldest one
 * that waits for its peer (idle, or with a request that has not come whole,
 * or an answer that is not read) gives way. Those whose request is being worked on stay.
 */
export class Connections {
  readonly #open = new Set<Socket>();
  readonly #busy = new Set<Socket>();

  constructor(server: Server) {
    server.on("connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.once("close", () => this.#open.delete(socket));
      if (this.#open.size <= CONNECTIONS_MAX) return;
      const oldest = [...this.#open].find((one) => !this.#busy.has(one));
      (oldest ?? socket).destroy();
    });
  }

  /** Works on a request that has come whole. */
  async work(request: IncomingMessage, response: ServerResponse, run: () => unknown): Promise<void> {
    const socket = underlying(request.socket);
    this.#busy.add(socket);
    response.once("close", () => this.#busy.delete(socket));
    try {
      await run();
    } finally {
      this.#busy.delete(socket);
    }
  }
}
