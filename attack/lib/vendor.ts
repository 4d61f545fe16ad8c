/**
 * A vendor on a bare TCP socket, which answers whatever a case sets. It keeps what it received:
 * healthy, it is the destination at which cases look for their events.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";

export interface VendorRequest {
  readonly method: string;
  readonly target: string;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Answers on the socket, in whatever way. */
export type Behaviour = (socket: Socket, request: VendorRequest) => void;

/** Requests that are kept to look at. */
const KEPT_REQUESTS = 500;
const HEAD_END = "\r\n\r\n";
const IDS = /"(?:messageId|message_id|uuid|event_id)":"((?:[^"\\]|\\.)*)"/g;
/** Reports success in every vendor's wire format at once. */
const HEALTHY_BODY = JSON.stringify({
  success: true,
  ok: true,
  status: 1,
  accepted: 1,
  errors: [],
  alias: { ok: true },
});

export function respond(status: string, body: string, headers: readonly string[] = []): string {
  const head = [
    `HTTP/1.1 ${status}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  return `${head.join("\r\n")}${HEAD_END}${body}`;
}

export const healthy: Behaviour = (socket) => {
  socket.write(respond("200 OK", HEALTHY_BODY));
};

export class Vendor {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #behaviour: Behaviour;
  /** The newest ones. */
  readonly requests: VendorRequest[] = [];
  /** Of all events that were answered healthily. */
  readonly ids: Set<string> = new Set();
  received = 0;
  bytesReceived = 0;

  private constructor(server: Server, behaviour: Behaviour) {
    this.#server = server;
    this.#behaviour = behaviour;
  }

  static async open(behaviour: Behaviour = healthy): Promise<Vendor> {
    const server = createServer({ noDelay: true });
    const vendor = new Vendor(server, behaviour);
    server.on("connection", (socket) => vendor.#serve(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return vendor;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  behave(behaviour: Behaviour): void {
    this.#behaviour = behaviour;
  }

  /** What was received of late, as text. */
  get text(): string {
    return this.requests.map(({ body }) => body).join("\n");
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => undefined);
    let head = Buffer.alloc(0);
    let request: Omit<VendorRequest, "body"> | undefined;
    let chunks: Buffer[] = [];
    let missing = 0;
    socket.on("data", (data: Buffer) => {
      this.bytesReceived += data.length;
      let chunk = data;
      while (chunk.length > 0) {
        if (request === undefined) {
          head = Buffer.concat([head, chunk]);
          const end = head.indexOf(HEAD_END);
          if (end === -1) return;
          request = readHead(head.toString("latin1", 0, end));
          missing = Number(request.headers.get("content-length") ?? "0");
          chunk = head.subarray(end + HEAD_END.length);
          head = Buffer.alloc(0);
        }
        const part = chunk.subarray(0, missing);
        chunks.push(part);
        missing -= part.length;
        chunk = chunk.subarray(part.length);
        if (missing > 0) return;
        const whole = { ...request, body: Buffer.concat(chunks).toString() };
        request = undefined;
        chunks = [];
        this.#take(socket, whole);
      }
    });
  }

  #take(socket: Socket, request: VendorRequest): void {
    this.received += 1;
    this.requests.push(request);
    if (this.requests.length > KEPT_REQUESTS) this.requests.shift();
    if (this.#behaviour === healthy) for (const [, id = ""] of request.body.matchAll(IDS)) this.ids.add(id);
    this.#behaviour(socket, request);
  }
}

function readHead(text: string): Omit<VendorRequest, "body"> {
  const [line = "", ...lines] = text.split("\r\n");
  const [method = "", target = ""] = line.split(" ");
  const headers = new Map(
    lines.map((one) => {
      const colon = one.indexOf(":");
      return [one.slice(0, colon).toLowerCase(), one.slice(colon + 1).trim()] as const;
    }),
  );
  return { method, target, headers };
}
