/**
 * OpenTelemetry's spans of the relay (ADR 14). A request's `ingest` span goes on where its
 * `traceparent` says; `append` is its child. A `deliver` span is one attempt.
 *
 * A delivery of one request's events goes on in its trace. One that holds events of several is a
 * trace of its own, with a link to each request: what a batch holds never depends on traces.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type * as Api from "@opentelemetry/api";
import type { Attempt } from "@waybill/core";
import type { Run } from "@waybill/log";
import { VERSION } from "../version.ts";
import { SpanIndex } from "./span-index.ts";

/** Of a delivery: a batch may hold thousands of requests. */
const LINKS_MAX = 32;
const NAME = "waybill";
const SERVER_ERROR = 500;

export interface DeliveryOf {
  readonly environment: string;
  readonly destination: string;
  readonly vendor: string;
  readonly events: number;
  /** Where its events are in the log; `undefined` where that is not known. */
  readonly held: readonly Run[] | undefined;
}

export class Tracing {
  readonly #api: typeof Api;
  readonly #tracer: Api.Tracer;
  /** By environment. */
  readonly #requests = new Map<string, SpanIndex>();

  constructor(api: typeof Api) {
    this.#api = api;
    this.#tracer = api.trace.getTracer(NAME, VERSION);
  }

  /** The span of a request; it ends with its answer. */
  request(request: IncomingMessage, response: ServerResponse): RequestSpan {
    const api = this.#api;
    const active = api.context.active();
    // An instrumentation of HTTP has read the header already: then this is a part of its span.
    const isInstrumented = api.trace.getSpan(active) !== undefined;
    const parent = isInstrumented ? active : api.propagation.extract(active, request.headers);
    const kind = isInstrumented ? api.SpanKind.INTERNAL : api.SpanKind.SERVER;
    const attributes = { "http.request.method": request.method ?? "" };
    const span = this.#tracer.startSpan("ingest", { kind, attributes }, parent);
    const own = new RequestSpan(api, this.#tracer, { span, parent, indexOf: (name) => this.#indexOf(name) });
    response.once("close", () => own.end(response));
    return own;
  }

  /** The span of an attempt. */
  delivery({ environment, destination, vendor, events, held }: DeliveryOf): DeliverySpan {
    const api = this.#api;
    const { spans, isWhole } = this.#indexOf(environment).of(held ?? [], LINKS_MAX);
    const [only] = spans;
    const root = api.ROOT_CONTEXT;
    const parent = only !== undefined && isWhole && spans.length === 1 ? api.trace.setSpanContext(root, only) : root;
    const span = this.#tracer.startSpan(
      "deliver",
      {
        kind: api.SpanKind.CLIENT,
        links: spans.map((context) => ({ context })),
        attributes: {
          "waybill.environment": environment,
          "waybill.destination": destination,
          "waybill.vendor": vendor,
          "messaging.batch.message_count": events,
        },
      },
      parent,
    );
    return new DeliverySpan(api, span, api.trace.setSpan(parent, span));
  }

  #indexOf(environment: string): SpanIndex {
    const known = this.#requests.get(environment);
    if (known !== undefined) return known;
    const index = new SpanIndex();
    this.#requests.set(environment, index);
    return index;
  }
}

interface RequestParts {
  readonly span: Api.Span;
  readonly parent: Api.Context;
  readonly indexOf: (environment: string) => SpanIndex;
}

/** A request on its way in. */
export class RequestSpan {
  readonly #api: typeof Api;
  readonly #tracer: Api.Tracer;
  readonly #parts: RequestParts;
  #events = 0;
  #asked: Asked | undefined;

  constructor(api: typeof Api, tracer: Api.Tracer, parts: RequestParts) {
    this.#api = api;
    this.#tracer = tracer;
    this.#parts = parts;
  }

  /** Its path and its source are looked up there when it ends: they become known on its way. */
  follow(asked: Asked): void {
    this.#asked = asked;
  }

  /** Its events are appended. Call what comes back when they are durable, or are not. */
  append({ environment, source, vendor, count }: AppendOf): (first?: number) => void {
    const { trace, SpanStatusCode } = this.#api;
    const { span, parent, indexOf } = this.#parts;
    const attributes = {
      "waybill.environment": environment,
      "waybill.source": source,
      "waybill.vendor": vendor,
      "messaging.batch.message_count": count,
    };
    this.#events += count;
    span.setAttributes({ ...attributes, "messaging.batch.message_count": this.#events });
    const append = this.#tracer.startSpan("append", { attributes }, trace.setSpan(parent, span));
    return (first) => {
      if (first === undefined) append.setStatus({ code: SpanStatusCode.ERROR });
      else {
        append.setAttribute("waybill.position", first);
        const context = span.spanContext();
        if (trace.isSpanContextValid(context)) indexOf(environment).note({ first, count }, context);
      }
      append.end();
    };
  }

  end({ statusCode, writableFinished }: Pick<ServerResponse, "statusCode" | "writableFinished">): void {
    const { span } = this.#parts;
    const { SpanStatusCode } = this.#api;
    const { route, owner } = this.#asked ?? {};
    if (route !== undefined) span.setAttribute("http.route", route);
    if (owner !== undefined)
      span.setAttributes({ "waybill.environment": owner.environment.name, "waybill.source": owner.config.name });
    if (writableFinished) span.setAttribute("http.response.status_code", statusCode);
    else span.setAttribute("error.type", "aborted");
    if (!writableFinished || statusCode >= SERVER_ERROR) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  }
}

/** What becomes known of a request on its way. */
export interface Asked {
  readonly route?: string | undefined;
  readonly owner?:
    | { readonly environment: { readonly name: string }; readonly config: { readonly name: string } }
    | undefined;
}

export interface AppendOf {
  readonly environment: string;
  readonly source: string;
  readonly vendor: string;
  readonly count: number;
}

/** An attempt on its way out. */
export class DeliverySpan {
  readonly #api: typeof Api;
  readonly #span: Api.Span;
  readonly #context: Api.Context;

  constructor(api: typeof Api, span: Api.Span, context: Api.Context) {
    this.#api = api;
    this.#span = span;
    this.#context = context;
  }

  /** Calls `send` as a part of the span, for what instruments HTTP itself. */
  run<T>(send: () => T): T {
    return this.#api.context.with(this.#context, send);
  }

  /** What the request carries to its receiver, by the propagator that is registered. */
  headers({ method, url }: { readonly method: string; readonly url: string }): Readonly<Record<string, string>> {
    const carrier: Record<string, string> = {};
    this.#api.propagation.inject(this.#context, carrier);
    this.#span.setAttribute("http.request.method", method);
    if (URL.canParse(url)) {
      const { hostname, port, protocol } = new URL(url);
      this.#span.setAttribute("server.address", hostname);
      this.#span.setAttribute("server.port", Number(port) || (protocol === "https:" ? HTTPS_PORT : HTTP_PORT));
    }
    return carrier;
  }

  attempted({ status, delivered, retryable, rejected, halted }: Attempt): void {
    if (status !== undefined) this.#span.setAttribute("http.response.status_code", status);
    this.#span.setAttributes({
      "waybill.delivered": delivered,
      "waybill.retryable": retryable,
      "waybill.rejected": rejected,
      "waybill.halted": halted,
    });
    if (retryable + rejected + halted === 0) return;
    this.#span.setAttribute("error.type", status === undefined ? "no answer" : String(status));
    this.#span.setStatus({ code: this.#api.SpanStatusCode.ERROR });
  }

  end(): void {
    this.#span.end();
  }
}

const HTTPS_PORT = 443;
const HTTP_PORT = 80;
