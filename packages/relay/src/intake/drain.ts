/**
 * Ends an HTTP server so that its clients notice as little as possible.
 *
 * | time | what happens |
 * |---|---|
 * | 0 | The port is closed. Requests on open connections are answered as usual, but the answer after which no other request waits on its connection carries `Connection: close`. |
 * | `LAST_REQUEST_MS` | Connections without a request are closed: a client in use has had its last answer by now. Every answer carries `Connection: close`, or a client that always sends the next request before it has the answer would go on. |
 * | `CUT_MS` | Connections whose request has not come completely are cut. |
 * | the deadline | So are those whose answer is still being worked on: their events wait for a disk or a vendor that does not answer. |
 *
 * To close idle connections at once would cut off requests that are on their way to us: their
 * senders could not know what became of them.
 */
import { type IncomingMessage, type Server, ServerResponse } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import { type Clock, sleep } from "@waybill/core";

/** Time for the next request of a connection that is in use. */
const LAST_REQUEST_MS = 250;
/** Time for a body that is on its way. */
const CUT_MS = 600;
const LOOK_EVERY_MS = 10;

export class Drain {
  /** For `createServer`: its answers say when they are a connection's last one. */
  readonly Response: typeof ServerResponse;
  /** Which answers are the last ones of their connections. */
  #last: "none" | "latest" | "all" = "none";
  /** Requests that came completely and whose answer is being worked on. */
  #working = 0;

  constructor() {
    const latest = new WeakMap<Socket, ServerResponse>();
    const isLast = (response: ServerResponse): boolean =>
      this.#last === "all" || (this.#last === "latest" && latest.get(response.req.socket) === response);
    this.Response = class extends ServerResponse {
      constructor(...given: [IncomingMessage]) {
        super(...given);
        latest.set(given[0].socket, this);
      }

      override writeHead(status: number, second?: unknown, third?: unknown): this {
        if (isLast(this)) this.setHeader("connection", "close");
        return super.writeHead(status, second as never, third as never);
      }
    } as typeof ServerResponse;
  }

  /** A request has come completely; {@link answered} follows. */
  working(): void {
    this.#working += 1;
  }

  answered(): void {
    this.#working -= 1;
  }

  /**
   * Resolves once the server is closed and has no connection any more. `cut` is called when bodies
   * that are on their way are given up.
   */
  async end(server: Server, clock: Clock, deadlineMs: number, cut: () => void = () => undefined): Promise<void> {
    this.#last = "latest";
    if (!server.listening) return;
    const startedAtMs = clock.monotonic();
    const closed = new Promise<void>((resolve) => {
      // Not http.Server's own: that one closes idle connections too.
      NetServer.prototype.close.call(server, () => resolve());
    });
    const ended = new AbortController();
    void closed.then(() => ended.abort());
    const elapsedMs = (): number => clock.monotonic() - startedAtMs;
    const pause = (ms: number): Promise<boolean> =>
      sleep(clock, Math.max(0, Math.min(ms, deadlineMs - elapsedMs())), ended.signal);
    if (await pause(LAST_REQUEST_MS)) {
      this.#last = "all";
      server.closeIdleConnections();
      cut();
      while (elapsedMs() < deadlineMs && (elapsedMs() < CUT_MS || this.#working > 0)) {
        if (!(await pause(LOOK_EVERY_MS))) break;
        server.closeIdleConnections();
      }
      // The last answers leave.
      await pause(LOOK_EVERY_MS);
      server.closeAllConnections();
    }
    await closed;
  }
}
