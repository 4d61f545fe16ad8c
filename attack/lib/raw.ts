/**
 * A connection on which any bytes may be sent, and whose answers are read as far as they are HTTP.
 */
import { connect, type Socket } from "node:net";
import { Broken, check, until, within } from "./check.ts";
import { ANSWER_MAX_MS } from "./http.ts";

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names; the last of several. */
  readonly headers: ReadonlyMap<string, string>;
  readonly text: string;
}

const HEAD_END = "\r\n\r\n";

export class RawConnection {
  readonly socket: Socket;
  /** Final answers, 1xx left out. */
  readonly answers: RawAnswer[] = [];
  readonly interim: number[] = [];
  closed = false;
  bytesReceived = 0;
  #pending: Buffer = Buffer.alloc(0);
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => this.#received(chunk));
    socket.on("error", () => undefined);
    // The relay ended its half; ours follows, as with any client.
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  static open(port: number, options: { readonly localAddress?: string } = {}): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", ...options });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        socket.setNoDelay(true);
        resolve(new RawConnection(socket));
      });
    });
  }

  /** Writes; resolves when the bytes are with the kernel, or the connection is gone. */
  write(bytes: string | Buffer): Promise<void> {
    if (this.socket.destroyed || !this.socket.writable) return Promise.resolve();
    return new Promise((resolve) => {
      this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, () => resolve());
    });
  }

  /**
   * Waits for `count` answers in all or the end of the connection. **Errors**: `Broken` when
   * neither comes.
   */
  async settled(count = 1, ms: number = ANSWER_MAX_MS): Promise<void> {
    await until(
      () => this.answers.length >= count || this.closed,
      ms,
      () => `neither an answer nor an end within ${ms} ms (${this.answers.length} of ${count} answers)`,
    );
  }

  /** Waits for `count` answers in all. **Errors**: `Broken` when they do not come. */
  received(count: number, ms: number = ANSWER_MAX_MS): Promise<void> {
    if (this.answers.length >= count) return Promise.resolve();
    return within(
      ms,
      new Promise((resolve, reject) => {
        this.#wake = () => {
          if (this.answers.length >= count) resolve();
          else if (this.closed) reject(new Broken(`the connection ended after ${this.answers.length} answers`));
        };
      }),
      `${this.answers.length} of ${count} answers within ${ms} ms`,
    );
  }

  /** The answer to what was sent; `undefined` when the connection was closed without one. */
  async answer(ms: number = ANSWER_MAX_MS): Promise<RawAnswer | undefined> {
    await this.settled(1, ms);
    return this.answers[0];
  }

  /** Ends without a good-bye. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  #received(chunk: Buffer): void {
    this.bytesReceived += chunk.length;
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (;;) {
      const read = parseAnswer(this.#pending);
      if (read === undefined) return this.#wake();
      this.#pending = this.#pending.subarray(read.bytes);
      if (read.answer.status < 200) this.interim.push(read.answer.status);
      else this.answers.push(read.answer);
    }
  }
}

function parseAnswer(bytes: Buffer): { readonly answer: RawAnswer; readonly bytes: number } | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const [first = "", ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? "0");
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const bodyAt = headEnd + HEAD_END.length;
  if (status < 200 || status === 204 || status === 304) return { answer: { status, headers, text: "" }, bytes: bodyAt };
  if (headers.get("transfer-encoding") === "chunked") {
    const end = bytes.indexOf("\r\n0\r\n\r\n", bodyAt - 2);
    if (end === -1) return undefined;
    return {
      answer: { status, headers, text: bytes.toString("utf8", bodyAt, end) },
      bytes: end + "\r\n0\r\n\r\n".length,
    };
  }
  const length = Number(headers.get("content-length") ?? "0");
  if (bytes.length < bodyAt + length) return undefined;
  return { answer: { status, headers, text: bytes.toString("utf8", bodyAt, bodyAt + length) }, bytes: bodyAt + length };
}

/** Of {@link openMany}. */
const AT_ONCE = 250;

/** Connections on which nothing was sent yet. */
export async function openMany(port: number, count: number, localAddress?: string): Promise<RawConnection[]> {
  const connections: RawConnection[] = [];
  while (connections.length < count) {
    const size = Math.min(AT_ONCE, count - connections.length);
    const options = localAddress === undefined ? {} : { localAddress };
    connections.push(...(await Promise.all(Array.from({ length: size }, () => RawConnection.open(port, options)))));
  }
  return connections;
}

/**
 * Sends `bytes` on a connection of its own; the answer, `undefined` for an end without one.
 * **Errors**: `Broken` when it hangs.
 */
export async function exchangeRaw(
  port: number,
  bytes: string | Buffer,
  ms: number = ANSWER_MAX_MS,
): Promise<RawAnswer | undefined> {
  const connection = await RawConnection.open(port);
  try {
    void connection.write(bytes);
    return await connection.answer(ms);
  } finally {
    connection.destroy();
  }
}

/**
 * A request as bytes: `content-length` is added when there is a body and nothing else says how long
 * it is.
 */
export function rawRequest(line: string, headers: readonly string[], body: string | Buffer = ""): Buffer {
  const content = typeof body === "string" ? Buffer.from(body) : body;
  const isFramed = headers.some((header) => /^(?:content-length|transfer-encoding)/i.test(header));
  const all = [
    line,
    ...(headers.some((header) => /^host/i.test(header)) ? [] : ["host: 127.0.0.1"]),
    ...headers,
    ...(isFramed || content.length === 0 ? [] : [`content-length: ${content.length}`]),
  ];
  return Buffer.concat([Buffer.from(`${all.join("\r\n")}\r\n\r\n`, "latin1"), content]);
}

export interface RawFlood {
  /** Answers by status. */
  readonly byStatus: ReadonlyMap<number, number>;
}

const CONNECTIONS = 32;
/** Requests under way on a connection. */
const WINDOW = 8;
/** Beside other floods on a busy machine. */
const FLOODED_MS = 20_000;

/**
 * Many small requests, for a tenth of what an HTTP client costs. **Errors**: `Broken` when a
 * connection ends or is not answered.
 */
export async function floodRaw(port: number, count: number, requestAt: (index: number) => Buffer): Promise<RawFlood> {
  const byStatus = new Map<number, number>();
  let next = 0;
  const worker = async (): Promise<void> => {
    const connection = await RawConnection.open(port);
    let sent = 0;
    while (next < count) {
      const burst: Buffer[] = [];
      while (burst.length < WINDOW && next < count) burst.push(requestAt(next++));
      sent += burst.length;
      void connection.write(Buffer.concat(burst));
      await connection.received(sent, FLOODED_MS);
    }
    for (const { status } of connection.answers) byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    connection.destroy();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  return { byStatus };
}

/** A refusal is a 4xx or 503 that a client can read, or the end of the connection. */
export function checkRefused(answer: RawAnswer | undefined, what: string): void {
  if (answer === undefined) return;
  const isRefusal = (answer.status >= 400 && answer.status < 500) || answer.status === 503;
  check(isRefusal, `${what}: answered ${answer.status}`);
}
