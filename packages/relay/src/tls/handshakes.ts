/**
 * Connections before their TLS handshake is over. Node would do each handshake as its first bytes
 * come, any number in one turn of the event loop, and give each two minutes.
 *
 * | state of a connection | until |
 * |---|---|
 * | silent | its first byte |
 * | waits | its turn: {@link STARTED_PER_TURN} begin in a turn of the event loop |
 * | begun | it is secure, and HTTP's; or TLS refuses it |
 *
 * Plain HTTP is answered that this is TLS; what else does not begin as a handshake is closed. All
 * of it together has as long as the head of a request.
 */
import type { Server } from "node:https";
import type { Socket } from "node:net";
import type { Clock } from "@waybill/core";
import { peerOf } from "../intake/shares.ts";

/** One costs a third of a millisecond with RSA of 2,048 bits, and less with a curve. */
const STARTED_PER_TURN = 8;
/** Of a record of TLS that has a handshake in it. */
const HANDSHAKE = 0x16;
const LETTER_A = 0x41;
const LETTER_Z = 0x5a;
/** For the answer to plain HTTP to be read. */
const LINGER_MS = 1_000;

const BODY = JSON.stringify({
  type: "about:blank",
  title: "Bad Request",
  status: 400,
  code: "tls_required",
  detail: "This port speaks TLS: use https.",
});
const PLAIN_ANSWER = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(BODY)}\r\nconnection: close\r\n\r\n${BODY}`;

export interface HandshakesOptions {
  readonly clock: Clock;
  /** Runs it in a later turn of the event loop. */
  readonly defer: (run: () => void) => void;
}

interface Ready {
  readonly socket: Socket;
  readonly begin: () => void;
}

export class Handshakes {
  readonly #options: HandshakesOptions;
  /** Without a finished handshake. */
  readonly #open = new Set<Socket>();
  /** By address, so that one with many holds up no other; whose turn it is comes first. */
  readonly #waiting = new Map<string, Ready[]>();
  #isScheduled = false;
  /** Begun and refused, or not finished in time. */
  failed = 0;

  constructor(options: HandshakesOptions) {
    this.#options = options;
  }

  get open(): number {
    return this.#open.size;
  }

  watch(server: Server): void {
    // It is Node's own, and begins a handshake at once.
    const begin = server.listeners("connection")[0] as (socket: Socket) => void;
    server.removeListener("connection", begin);
    server.prependListener("connection", (socket: Socket) => this.#opened(server, socket, begin));
    server.on("secureConnection", (socket) => this.#open.delete(underlying(socket)));
    // Node's own would have its error answered in plain text.
    server.removeAllListeners("tlsClientError");
    server.on("tlsClientError", (_error, socket) => {
      this.failed += 1;
      socket.destroy();
    });
  }

  /** Closes all of them. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #opened(server: Server, socket: Socket, begin: (socket: Socket) => void): void {
    this.#open.add(socket);
    const late = this.#options.clock.after(server.headersTimeout, () => {
      if (!this.#open.has(socket)) return;
      this.failed += 1;
      socket.destroy();
    });
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      this.#open.delete(socket);
      late.cancel();
    });
    const look = (): void => {
      const first = socket.read() as Buffer | null;
      if (first === null) return;
      socket.removeListener("readable", look);
      const [byte = 0] = first;
      if (byte !== HANDSHAKE) return this.#refuse(socket, byte >= LETTER_A && byte <= LETTER_Z);
      socket.unshift(first);
      this.#wait({
        socket,
        begin: () => begin.call(server, socket),
      });
    };
    socket.on("readable", look);
  }

  #wait(ready: Ready): void {
    const peer = peerOf(ready.socket.remoteAddress);
    const line = this.#waiting.get(peer);
    if (line === undefined) this.#waiting.set(peer, [ready]);
    else line.push(ready);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    this.#options.defer(() => this.#turn());
  }

  #turn(): void {
    this.#isScheduled = false;
    for (let begun = 0; begun < STARTED_PER_TURN; ) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [peer, line] = next;
      const ready = line.shift();
      // It is the others' turn.
      this.#waiting.delete(peer);
      if (line.length > 0) this.#waiting.set(peer, line);
      if (ready === undefined || ready.socket.destroyed) continue;
      ready.begin();
      begun += 1;
    }
    this.#schedule();
  }

  #refuse(socket: Socket, isHttp: boolean): void {
    this.failed += 1;
    if (!isHttp) return void socket.destroy();
    socket.resume();
    socket.end(PLAIN_ANSWER);
    const timer = this.#options.clock.after(LINGER_MS, () => socket.destroy());
    socket.once("close", () => timer.cancel());
  }
}

/**
 * The connection that carries a secure one: `connection` of a server has it. Any other
 * socket is its own. Not a public interface of Node.
 */
export function underlying(socket: Socket): Socket {
  return (socket as { readonly _parent?: Socket | null })._parent ?? socket;
}
