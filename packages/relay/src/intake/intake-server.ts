/**
 * The HTTP end of the intake, on bare `node:http`: the framework costs a fifth of the throughput of
 * small bodies, and the paths are the vendors' tables anyway.
 *
 * A request harms only itself: whatever is thrown on its way ends as one answer, 500 with the code
 * `internal`, and one line of the log.
 */
import { createServer as createPlainServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Server as SecureServer } from "node:https";
import type { Socket } from "node:net";
import type { Clock } from "@waybill/core";
import { health, ready } from "../admin/health.ts";
import type { Readiness } from "../admin/views.ts";
import type { CreateServer } from "../lifecycle/servers.ts";
import type { RequestSpan, Tracing } from "../tracing/tracing.ts";
import { type Forwarded, forwardedOf, type TrustedProxies } from "../trusted-proxies.ts";
import { type Answer, problem, writeAnswer } from "./answers.ts";
import type { BodyReader, BodyRefusal, Charge } from "./body.ts";
import { Connections } from "./connections.ts";
import { Drain } from "./drain.ts";
import { answerEarly, BrokenRequests } from "./early-answer.ts";
import type { Intake } from "./intake.ts";
import type { ReadGate } from "./read-gate.ts";
import type { RequestMeter } from "./request-meter.ts";
import { peerOf } from "./shares.ts";
import type { Turns } from "./turns.ts";
import type { IntakeRequest, Opened } from "./types.ts";

export interface IntakeServerOptions {
  readonly intake: Intake;
  readonly bodies: BodyReader;
  readonly readiness: () => Readiness;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly onError: (error: unknown) => void;
  readonly drain?: Drain;
  /** For connections that are given up. */
  readonly clock?: Clock;
  /** Without it every body is worked on as it comes. */
  readonly turns?: Turns;
  readonly maxConnections?: number;
  /** Without it requests are not traced. */
  readonly tracing?: Tracing | undefined;
  /** Without it sockets are read as they come. */
  readonly gate?: ReadGate;
  /** Default: that of `node:http`. */
  readonly createServer?: CreateServer;
  /** Default: nobody is believed. */
  readonly proxies?: () => TrustedProxies;
  /** Of requests whose source is not known. Without it, or without a clock, none is measured. */
  readonly unowned?: RequestMeter;
}

/**
 * Idle connections stay open longer than any client or load balancer keeps its end, so that we
 * never close one in use.
 */
const KEEP_ALIVE_MS = 75_000;
/** How often timeouts are looked at: they act within this time. */
const TIMEOUTS_EVERY_MS = 500;
/** Of a request's head: path, names and values. */
const HEAD_MAX_BYTES = 64 * 1024;
const HEADERS_MAX = 1_000;
/** Each may hold a head in memory. */
const CONNECTIONS_MAX = 8_192;
const MS_PER_SECOND = 1_000;
const DEFECT_STATUS = 500;

export function createIntakeServer(options: IntakeServerOptions): Server {
  const { clock, drain = new Drain(), maxConnections = CONNECTIONS_MAX, gate } = options;
  const { createServer = createPlainServer } = options;
  const connections = new Connections(maxConnections);
  const receiver = new Receiver({ ...options, drain }, connections);
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: options.headersTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      connectionsCheckingInterval: TIMEOUTS_EVERY_MS,
      maxHeaderSize: HEAD_MAX_BYTES,
      noDelay: true,
      ServerResponse: drain.Response,
    },
    (request, response) => receiver.come(request, response, false),
  );
  server.maxHeadersCount = HEADERS_MAX;
  // It must see a connection before others listen for its end.
  const speaks = server instanceof SecureServer ? "secureConnection" : "connection";
  if (gate !== undefined) server.on(speaks, (socket: Socket) => gate.watch(socket));
  connections.watch(server);
  const broken = new BrokenRequests(clock);
  server.on("clientError", (error, socket) => broken.end(error, socket));
  server.on("connect", (_request, socket) => broken.refuseConnect(socket));
  server.on("checkContinue", (request, response) => receiver.come(request, response, true));
  server.on("checkExpectation", (request, response) => receiver.refuseExpectation(request, response));
  // A connection that could not be accepted. A failure to listen rejects the call that listens.
  server.on("error", (error) => {
    if (server.listening) options.onError(error);
  });
  return server;
}

class Receiver {
  readonly #options: IntakeServerOptions & { readonly drain: Drain };
  readonly #connections: Connections;

  constructor(options: IntakeServerOptions & { readonly drain: Drain }, connections: Connections) {
    this.#options = options;
    this.#connections = connections;
  }

  /** `expected`: the client waits for leave to send its body. */
  come(request: IncomingMessage, response: ServerResponse, expected: boolean): void {
    const { gate, clock } = this.#options;
    const cameAtMs = clock?.monotonic() ?? 0;
    gate?.tick();
    // One without a socket is after another one's answer: what a connection sends at once can be
    // thousands.
    const isBehind = response.socket === null;
    if (gate !== undefined && (isBehind || gate.isLate))
      gate.wait(() => this.#receive(request, response, expected, cameAtMs));
    else this.#receive(request, response, expected, cameAtMs);
  }

  #receive(request: IncomingMessage, response: ServerResponse, expected: boolean, cameAtMs: number): void {
    this.#connections.spoke(request.socket);
    // Its client is gone; and of what was behind others in its bytes, Node ends the process when
    // such answers end out of turn.
    if (request.socket.destroyed) return;
    try {
      const { intake, readiness, proxies, tracing } = this.#options;
      const special = headFault(request) ?? specialAnswer(request, readiness);
      if (special !== undefined) return this.#answerEarly(request, response, special, expected);
      const asked = requestOf(request, proxies?.(), tracing?.request(request, response));
      asked.trace?.follow(asked);
      asked.cameAtMs = cameAtMs;
      const opened = intake.open(asked);
      if (!("status" in opened)) return this.#read(request, response, opened, expected);
      this.#measure(asked, opened.status);
      this.#answerEarly(request, response, opened, expected);
    } catch (error) {
      this.#fail(request, response, error);
    }
  }

  refuseExpectation(request: IncomingMessage, response: ServerResponse): void {
    const answer = problem(417, "expectation_failed", "Of expectations this relay knows 100-continue alone.");
    this.#answerEarly(request, response, answer, true);
  }

  #read(request: IncomingMessage, response: ServerResponse, opened: Opened, expected: boolean): void {
    const { bodies, proxies } = this.#options;
    let isWaiting = expected;
    const share = opened.payer?.share ?? bodies.keyless.share(peerOf(forwardedOf(request, proxies?.()).address));
    const done = (body: Buffer | BodyRefusal, charge: Charge): boolean => {
      try {
        if (typeof body !== "string") return this.#work({ request, response, opened, body, charge });
        const answer = this.#options.intake.refuseBody(opened, body);
        this.#measure(opened.asked, answer.status);
        this.#answerEarly(request, response, answer, isWaiting);
      } catch (error) {
        this.#fail(request, response, error);
      }
      return false;
    };
    bodies.read(request, done, { share, maxBytes: opened.bodyMaxBytes });
    if (!isWaiting || response.headersSent) return;
    isWaiting = false;
    response.writeContinue();
  }

  /** Now, or when its turn comes. The charge is kept until it is answered. */
  #work(whole: Whole): boolean {
    const { turns, drain } = this.#options;
    const { charge, body } = whole;
    drain.working();
    if (turns === undefined || turns.isNow(charge.share, body.length)) this.#accept(whole);
    else turns.wait(charge.share, body.length, () => this.#acceptWaited(whole));
    return true;
  }

  /** Nobody wants an answer of a client that is gone, and nothing was promised to it. */
  #acceptWaited(whole: Whole): void {
    if (whole.response.destroyed) this.#end(whole, undefined);
    else this.#accept(whole);
  }

  #accept(whole: Whole): void {
    const { request, response, opened, body, charge } = whole;
    let answering: Promise<Answer>;
    try {
      answering = this.#options.intake.accept(opened, body, charge);
    } catch (error) {
      this.#end(whole, DEFECT_STATUS);
      this.#fail(request, response, error);
      return;
    }
    answering.then(
      (answer) => {
        this.#end(whole, answer.status);
        this.#write(request, response, answer);
      },
      (error: unknown) => {
        this.#end(whole, DEFECT_STATUS);
        this.#fail(request, response, error);
      },
    );
  }

  /** `status`: of its answer, `undefined` when there is none. */
  #end({ charge, opened, body }: Whole, status: number | undefined): void {
    this.#options.drain.answered();
    charge.release();
    if (status !== undefined) this.#measure(opened.asked, status, body.length);
  }

  /** Counts a request where it belongs; also one whose client has not waited for the answer. */
  #measure(asked: IntakeRequest, status: number, bodyBytes?: number): void {
    const { clock, unowned } = this.#options;
    if (clock === undefined || unowned === undefined) return;
    const { owner, route = "", cameAtMs = 0 } = asked;
    const meter = owner?.counters.requests ?? unowned;
    meter.answered(route, status, (clock.monotonic() - cameAtMs) / MS_PER_SECOND);
    if (bodyBytes !== undefined) meter.bodyBytes.observe(bodyBytes);
  }

  #answerEarly(request: IncomingMessage, response: ServerResponse, answer: Answer, expected: boolean): void {
    try {
      const { clock, gate } = this.#options;
      answerEarly(request, response, answer, { clock, gate, expected });
    } catch (error) {
      this.#fail(request, response, error);
    }
  }

  #write(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    // A client that is gone has its events stored all the same; it will send them again and learn
    // that they are stored.
    if (response.destroyed) return;
    try {
      writeAnswer(response, answer);
    } catch (error) {
      this.#fail(request, response, error);
    }
  }

  /** What should not have happened. */
  #fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const { onError, clock, gate } = this.#options;
    onError(error);
    const answer = problem(DEFECT_STATUS, "internal", "The relay has a defect; its log says more.");
    try {
      if (response.headersSent) response.destroy();
      else answerEarly(request, response, answer, { clock, gate });
    } catch (second) {
      response.destroy();
      onError(second);
    }
  }
}

/** A request that has come completely. */
interface Whole {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly opened: Opened;
  readonly body: Buffer;
  readonly charge: Charge;
}

function headFault({ rawHeaders, headers }: IncomingMessage): Answer | undefined {
  if (rawHeaders.length > 2 * HEADERS_MAX)
    return problem(431, "head_too_large", `The request has more than ${HEADERS_MAX} headers.`);
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && coding.toLowerCase() !== "chunked")
    return problem(400, "unsupported_transfer_encoding", "Of transfer encodings this relay knows chunked alone.");
  return undefined;
}

function specialAnswer(request: IncomingMessage, readiness: () => Readiness): Answer | undefined {
  if (request.method !== "GET") return undefined;
  if (request.url === "/health") return health();
  if (request.url === "/ready") return ready(readiness());
  return undefined;
}

function requestOf(
  request: IncomingMessage,
  proxies: TrustedProxies | undefined,
  trace: RequestSpan | undefined,
): IntakeRequest {
  const { headers, socket, url = "/" } = request;
  const asked = {
    method: request.method ?? "",
    path: url,
    authorization: headers.authorization,
    retryCount: textOf(headers["x-retry-count"]),
    idempotencyKey: textOf(headers["idempotency-key"] ?? headers["x-idempotency-key"]),
    headers,
    socket,
    // They are noted later, in an object that need not change its shape for them.
    route: undefined,
    owner: undefined,
    cameAtMs: 0,
    trace,
  };
  const meant = url.startsWith("/") ? asked : { ...asked, ...absolute(url, headers) };
  return proxies === undefined || proxies.isEmpty ? meant : forwarded(meant, proxies.of(request));
}

/** As the client sent it to the proxies before us. */
function forwarded(asked: IntakeRequest, { address, host }: Forwarded): IntakeRequest {
  return {
    ...asked,
    socket: { remoteAddress: address },
    ...(host === undefined ? {} : { headers: { ...asked.headers, host } }),
  };
}

/**
 * A target with its host in it, as one sends to a proxy: that host is meant, whatever else the head
 * says.
 */
function absolute(url: string, headers: IncomingMessage["headers"]): Pick<IntakeRequest, "path" | "headers"> {
  const [, host, path] = /^https?:\/\/([^/?#]*)(.*)$/is.exec(url) ?? [];
  return host === undefined
    ? { path: url }
    : { path: path?.startsWith("/") === true ? path : `/${path ?? ""}`, headers: { ...headers, host } };
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" && header !== "" ? header : undefined;
}
