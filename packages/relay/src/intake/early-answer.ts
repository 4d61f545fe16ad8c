/**
 * Answers to requests that are not read to their end.
 *
 * To close the connection at once would destroy the answer: what the client still sends meets a
 * reset, which overtakes it. To read on until the client has sent all would let it send for ever.
 * So the answer leaves whole, a little more is read and thrown away, and then the connection ends.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "@waybill/core";
import { type Answer, problem, writeAnswer } from "./answers.ts";
import type { ReadGate } from "./read-gate.ts";

/** A rest that is no longer than this is read, and the connection can be used again. */
const REST_MAX_BYTES = 64 * 1024;
const LINGER_MAX_BYTES = 1024 * 1024;
const LINGER_MAX_MS = 1_000;
/** A piece of a body costs at least as much as so many bytes of a large one. */
const PIECE_MIN_BYTES = 64;

export interface EarlyOptions {
  readonly clock: Clock | undefined;
  readonly gate?: ReadGate | undefined;
  /** The client waits for `100 Continue` and may send no body at all. */
  readonly expected?: boolean;
}

export function answerEarly(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  { clock, gate, expected = false }: EarlyOptions,
): void {
  if (response.destroyed) return;
  if (!expected && (request.complete || restOf(request) <= REST_MAX_BYTES)) {
    request.resume();
    return writeAnswer(response, answer);
  }
  const { status, headers, body, bytes } = answer;
  const content = bytes ?? Buffer.from(body);
  response.writeHead(status, { ...headers, "content-length": content.length, connection: "close" });
  if (content.length > 0) response.write(content);
  else response.flushHeaders();
  let restBytes = 0;
  const timer = clock?.after(LINGER_MAX_MS, () => response.end());
  const end = (): void => {
    timer?.cancel();
    response.end();
  };
  request.on("data", (chunk: Buffer) => {
    gate?.tick();
    restBytes += Math.max(chunk.length, PIECE_MIN_BYTES);
    if (restBytes > LINGER_MAX_BYTES) end();
  });
  request.on("end", end);
  request.on("close", end);
  request.on("error", end);
}

/** How much may still come, as far as the head says. */
function restOf({ headers }: IncomingMessage): number {
  if (headers["transfer-encoding"] !== undefined) return Number.POSITIVE_INFINITY;
  return Number(headers["content-length"] ?? 0);
}

const BROKEN: ReadonlyMap<string, readonly [status: number, code: string, message: string]> = new Map([
  ["HPE_HEADER_OVERFLOW", [431, "head_too_large", "The request's head is larger than this relay takes."]],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", [413, "body_too_large", "The body's chunk extensions are too large."]],
  ["ERR_HTTP_REQUEST_TIMEOUT", [408, "too_slow", "The request did not come in time."]],
]);
const BAD_REQUEST = [400, "bad_request", "This is not a request of HTTP/1.1."] as const;

/** Ends connections on which something else than a request came, or none in time. */
export class BrokenRequests {
  readonly #clock: Clock | undefined;
  /** What a connection had sent when it was answered. */
  readonly #answered = new WeakMap<Duplex, number>();

  constructor(clock: Clock | undefined) {
    this.#clock = clock;
  }

  /** For the server's `clientError`. */
  end(error: NodeJS.ErrnoException, socket: Duplex): void {
    const sentBytes = (socket as { readonly bytesRead?: number }).bytesRead ?? 0;
    const before = this.#answered.get(socket);
    if (before !== undefined) {
      if (sentBytes - before > LINGER_MAX_BYTES) socket.destroy();
      return;
    }
    if (error.code === "ECONNRESET" || !socket.writable || isAnswering(socket)) {
      socket.destroy();
      return;
    }
    this.#answered.set(socket, sentBytes);
    this.#write(socket, BROKEN.get(error.code ?? "") ?? BAD_REQUEST);
  }

  /** For `connect`: there is nothing to connect to. */
  refuseConnect(socket: Duplex): void {
    socket.on("error", () => socket.destroy());
    this.#write(socket, [405, "method_not_allowed", "This is not a proxy."]);
  }

  #write(socket: Duplex, [status, code, message]: readonly [number, string, string]): void {
    const { headers, body } = problem(status, code, message);
    const lines = Object.entries({ ...headers, "content-length": Buffer.byteLength(body), connection: "close" });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${head}\r\n${body}`);
    const timer = this.#clock?.after(LINGER_MAX_MS, () => socket.destroy());
    socket.on("close", () => timer?.cancel());
  }
}

/** Part of an answer to an earlier request has left: nothing may be put into it. */
function isAnswering(socket: Duplex): boolean {
  const { _httpMessage: response } = socket as { readonly _httpMessage?: ServerResponse | null };
  return response?.headersSent === true;
}
