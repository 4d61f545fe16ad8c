/**
 * Keep-alive connections that send events without a pause and want an answer to each: what is
 * refused or cut is sent again, as clients do. Every second connection pipelines.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface LoadReport {
  /** Ids of the events that were answered with 200. */
  readonly accepted: ReadonlySet<string>;
  /** Connections that were refused. */
  readonly refused: number;
  /** Requests that were sent and whose connection ended without an answer. */
  readonly cut: number;
  /** Answers that are not 200. */
  readonly failed: number;
  /** The longest time from an event's first attempt to its answer. */
  readonly waitedMs: number;
}

const CONNECTIONS = 6;
const PIPELINED = 4;
const PAUSE_MS = 2;
const AGAIN_MS = 5;

/** Sends until `stop`. `port` is asked for each new connection. */
export function startLoad(port: () => number, key: string): { stop(): Promise<LoadReport> } {
  const report = { accepted: new Set<string>(), refused: 0, cut: 0, failed: 0, waitedMs: 0 };
  let isStopped = false;
  let made = 0;
  const run = async (perAttempt: number): Promise<void> => {
    const connection = new Connection(port, key, report);
    while (!isStopped) {
      const startedAt = performance.now();
      let left = Array.from({ length: perAttempt }, () => `event-${made++}`);
      while (left.length > 0) {
        const answered = await connection.attempt(left);
        for (const id of left.slice(0, answered)) report.accepted.add(id);
        left = left.slice(answered);
        if (answered === 0) await sleep(AGAIN_MS);
      }
      report.waitedMs = Math.max(report.waitedMs, performance.now() - startedAt);
      await sleep(PAUSE_MS);
    }
    connection.end();
  };
  const running = Promise.all(Array.from({ length: CONNECTIONS }, (_, index) => run(index % 2 === 0 ? 1 : PIPELINED)));
  return {
    async stop() {
      isStopped = true;
      await running;
      return report;
    },
  };
}

class Connection {
  readonly #port: () => number;
  readonly #authorization: string;
  readonly #counts: { refused: number; cut: number; failed: number };
  #socket: Socket | undefined;
  #text = "";
  /** Called when more has come, or nothing more comes. */
  #wake = (): void => undefined;

  constructor(port: () => number, key: string, counts: { refused: number; cut: number; failed: number }) {
    this.#port = port;
    this.#authorization = `Basic ${btoa(`${key}:`)}`;
    this.#counts = counts;
  }

  /** Sends events, a request each, at once. Returns how many of them were answered with 200. */
  async attempt(ids: readonly string[]): Promise<number> {
    const socket = await this.#open();
    if (socket === undefined) return 0;
    socket.write(ids.map((id) => this.#requestOf(id)).join(""));
    for (let answered = 0; answered < ids.length; answered++) {
      const head = await this.#answer(socket);
      if (head === undefined) this.#counts.cut += ids.length - answered;
      else if (!head.startsWith("HTTP/1.1 200")) this.#counts.failed += 1;
      if (!head?.startsWith("HTTP/1.1 200")) {
        this.end();
        return answered;
      }
      if (!/^connection: close/im.test(head)) continue;
      this.#counts.cut += ids.length - answered - 1;
      this.end();
      return answered + 1;
    }
    return ids.length;
  }

  end(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #open(): Promise<Socket | undefined> {
    if (this.#socket !== undefined && !this.#socket.readableEnded && !this.#socket.destroyed) return this.#socket;
    const socket = connect(this.#port(), "127.0.0.1").setNoDelay().setEncoding("latin1");
    try {
      await once(socket, "connect");
    } catch {
      this.#counts.refused += 1;
      return undefined;
    }
    this.#text = "";
    socket.on("data", (text: string) => (this.#text += text));
    socket.on("error", () => undefined);
    for (const event of ["data", "end", "close"]) socket.on(event, () => this.#wake());
    this.#socket = socket;
    return socket;
  }

  /** The head of the next answer; `undefined` when the connection ends before it. */
  async #answer(socket: Socket): Promise<string | undefined> {
    for (;;) {
      const [, head, length] = /^(.*?content-length: (\d+).*?)\r\n\r\n/is.exec(this.#text) ?? [];
      const end = head === undefined ? Infinity : head.length + 4 + Number(length);
      if (this.#text.length >= end) {
        this.#text = this.#text.slice(end);
        return head;
      }
      if (socket.destroyed || socket.readableEnded) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #requestOf(id: string): string {
    const body = JSON.stringify({ batch: [{ type: "track", messageId: id, userId: "u", event: "Restarted" }] });
    return `POST /v1/batch HTTP/1.1\r\nhost: relay\r\nauthorization: ${this.#authorization}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  }
}
