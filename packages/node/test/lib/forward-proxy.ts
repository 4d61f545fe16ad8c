/**
 * A forward proxy on loopback: CONNECT and requests with whole URLs, with credentials and faults.
 * Whatever a host is called, it leads to this machine.
 */
import { once } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Identity } from "@waybill/testing";
import { onTestFinished } from "vitest";

/** What it answers to every request. */
export type ProxyFault = { readonly status: number } | { readonly bytes: string } | "silent" | "closes";

export interface ForwardProxyOptions {
  /** `user:password`; any when absent. */
  readonly credentials?: string;
  /** It is reached over TLS then. */
  readonly identity?: Identity;
}

export class ForwardProxy {
  /** As they came, credentials left out: `CONNECT vendor.test:443`, `POST http://…`. */
  readonly requests: string[] = [];
  fault: ProxyFault | undefined;
  credentials: string | undefined;
  readonly #server: http.Server;
  readonly #isSecure: boolean;
  #port = 0;
  readonly #sockets = new Set<Duplex>();

  constructor({ credentials, identity }: ForwardProxyOptions) {
    this.credentials = credentials;
    this.#isSecure = identity !== undefined;
    this.#server = identity === undefined ? http.createServer() : https.createServer({ ...identity });
    this.#server.on("connection", (socket: Socket) => this.#hold(socket));
    this.#server.on("connect", (request: IncomingMessage, socket: Duplex) => this.#tunnel(request, socket));
    this.#server.on("request", (request: IncomingMessage, response: ServerResponse) =>
      this.#forward(request, response),
    );
  }

  static async start(options: ForwardProxyOptions = {}): Promise<ForwardProxy> {
    const proxy = new ForwardProxy(options);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    proxy.#port = (proxy.#server.address() as AddressInfo).port;
    onTestFinished(() => proxy.stop());
    return proxy;
  }

  /** With credentials when some are given; by another name of the host if need be. */
  url(credentials?: string, host = "127.0.0.1"): string {
    const user = credentials === undefined ? "" : `${credentials}@`;
    return `${this.#isSecure ? "https" : "http"}://${user}${host}:${this.#port}`;
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #tunnel(request: IncomingMessage, socket: Duplex): void {
    socket.on("error", () => undefined);
    this.requests.push(`CONNECT ${request.url}`);
    const fault = this.#faultFor(request);
    if (fault !== undefined) return this.#fail(fault, socket);
    const port = Number(/:(\d+)$/.exec(request.url ?? "")?.[1]);
    const target = connect(port, "127.0.0.1");
    this.#hold(target);
    target.on("error", () => socket.destroy());
    target.on("connect", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      target.pipe(socket);
      socket.pipe(target);
    });
    socket.on("close", () => target.destroy());
    target.on("close", () => socket.destroy());
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${request.method} ${request.url}`);
    const fault = this.#faultFor(request);
    if (fault !== undefined) return this.#fail(fault, request.socket);
    const { port, pathname, search } = new URL(request.url ?? "");
    const { "proxy-authorization": _secret, ...headers } = request.headers;
    const onward = http.request(
      { host: "127.0.0.1", port, path: `${pathname}${search}`, method: request.method ?? "GET", headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  }

  #faultFor({ headers }: IncomingMessage): ProxyFault | undefined {
    const expected = this.credentials === undefined ? undefined : `Basic ${btoa(this.credentials)}`;
    if (expected !== undefined && headers["proxy-authorization"] !== expected) return { status: 407 };
    return this.fault;
  }

  #fail(fault: ProxyFault, socket: Duplex): void {
    // Read on, so that the end of the connection is seen.
    if (fault === "silent") return void socket.on("end", () => socket.destroy()).resume();
    if (fault === "closes") return void socket.destroy();
    const bytes = "bytes" in fault ? fault.bytes : `HTTP/1.1 ${fault.status} No\r\ncontent-length: 0\r\n\r\n`;
    socket.end(bytes);
  }

  #hold(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
