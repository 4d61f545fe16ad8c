import {
  type Clock,
  checkedTransport,
  type HttpRequest,
  type HttpResponse,
  type Random,
  sleep,
  type Transport,
  WaybillError,
} from "@waybill/core";
import type { ServerHandler, ServerResponse } from "./server.ts";

/** What may go wrong between client and server, each with its probability (0..1) per request. */
export interface NetworkFaults {
  readonly refuse?: number;
  /** The connection breaks before the server saw the request. */
  readonly resetBefore?: number;
  /** The connection breaks after the server acted: the client cannot know. */
  readonly resetAfter?: number;
  /** Nothing comes back until the client gives up. */
  readonly hang?: number;
  /** The server gets the request twice; the client hears the first answer. */
  readonly duplicate?: number;
}

export interface SimNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** One way, at most; each message takes between half of it and all of it. Default 1 ms. */
  readonly latencyMs?: number;
}

/** Servers in this process, reached by their origin; time and faults by clock and seed. */
export class SimNetwork {
  readonly #options: SimNetworkOptions;
  readonly #servers = new Map<string, ServerHandler>();
  /** Faults that were injected, by kind. */
  readonly injected: Map<string, number> = new Map();
  faults: NetworkFaults = {};

  constructor(options: SimNetworkOptions) {
    this.#options = options;
  }

  /** `handler` answers for `origin`, such as `http://segment.test`. */
  serve(origin: string, handler: ServerHandler): void {
    this.#servers.set(origin, handler);
  }

  /** Connections to `origin` are refused from now on. */
  remove(origin: string): void {
    this.#servers.delete(origin);
  }

  readonly transport: Transport = checkedTransport((request, signal) => this.#exchange(request, signal));

  async #exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { faults } = this;
    if (this.#strikes("refuse", faults.refuse)) throw failure("refused");
    await this.#travel(signal);
    const { origin, pathname, search } = new URL(request.url);
    const handler = this.#servers.get(origin);
    if (handler === undefined) throw failure("refused");
    if (this.#strikes("resetBefore", faults.resetBefore)) throw failure("reset");
    const asked = { method: request.method, path: pathname + search, headers: request.headers, body: joined(request) };
    const answering = Promise.resolve(handler(asked));
    if (this.#strikes("duplicate", faults.duplicate)) void handler(asked);
    // A server that died with the request never answers.
    const response = await Promise.race([answering, aborted(signal)]);
    if (response.delayMs !== undefined) await this.#wait(response.delayMs, signal);
    if (response.fault === "hang" || this.#strikes("hang", faults.hang))
      await this.#wait(Number.MAX_SAFE_INTEGER, signal);
    if (response.fault === "reset" || this.#strikes("resetAfter", faults.resetAfter)) throw failure("reset");
    await this.#travel(signal);
    return answerOf(response);
  }

  #travel(signal: AbortSignal): Promise<void> {
    const { latencyMs = 1, random } = this.#options;
    return this.#wait(latencyMs * (0.5 + 0.5 * random.next()), signal);
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!(await sleep(this.#options.clock, ms, signal))) throw failure("aborted");
  }

  #strikes(kind: string, probability: number | undefined): boolean {
    if (probability === undefined || this.#options.random.next() >= probability) return false;
    this.injected.set(kind, (this.injected.get(kind) ?? 0) + 1);
    return true;
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(failure("aborted"));
    signal.addEventListener("abort", () => reject(failure("aborted")), { once: true });
  });
}

function answerOf({ status, headers, body }: ServerResponse): HttpResponse {
  const names = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  return { status, headers: Object.fromEntries(names), body };
}

function failure(reason: string): WaybillError {
  return new WaybillError("WAYBILL_TRANSPORT", `No answer: ${reason}`, { reason, retryable: true });
}

function joined({ body }: HttpRequest): Uint8Array {
  const encoder = new TextEncoder();
  const chunks = body.map((chunk) => (typeof chunk === "string" ? encoder.encode(chunk) : chunk));
  const bytes = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
