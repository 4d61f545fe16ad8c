/** With a provider that was registered before the relay starts, as `node --import` does it. */
import { createServer } from "node:http";
import * as api from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { createLogger } from "@waybill/relay";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { Tracing } from "../../src/tracing/tracing.ts";
import { BASIC, destination, KEY, type RelayWorld, startWorld, until } from "../lib/world.ts";

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
api.trace.setGlobalTracerProvider(provider);
api.propagation.setGlobalPropagator(new W3CTraceContextPropagator());
beforeEach(() => exporter.reset());

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";
const traceparent = (trace = TRACE): { readonly traceparent: string } => ({ traceparent: `00-${trace}-${CALLER}-01` });
const track = (id: string): object => ({ type: "track", event: "E", userId: "u", messageId: id });
const spans = (name: string): readonly ReadableSpan[] =>
  exporter.getFinishedSpans().filter((span) => span.name === name);

interface Received {
  readonly names: readonly string[];
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A vendor that keeps each request as it came. `statuses`: of the first answers, then 200. */
async function vendorServer(statuses: number[] = []): Promise<{ readonly url: string; readonly received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const names = request.rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
      received.push({ names, headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(statuses.shift() ?? 200, { "content-type": "application/json" });
      response.end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as { readonly port: number }).port}`, received };
}

function one(name: string): ReadableSpan {
  const [span, ...more] = spans(name);
  expect([name, more.length]).toEqual([name, 0]);
  return span as ReadableSpan;
}

const parentOf = (span: ReadableSpan): string | undefined => span.parentSpanContext?.spanId;
const pass = (world: RelayWorld): Promise<void> => until(() => world.relay.accounts().lanes[0]?.account.pending === 0);

test("the traceparent of a request goes on in ingest, append and deliver, and to the vendor, once", async () => {
  const vendor = await vendorServer();
  const world = await startWorld({ destinations: () => ({ crm: destination(vendor.url) }) });
  await world.post("/v1/batch", { batch: [track("a"), track("b")] }, { ...BASIC, ...traceparent() });
  await until(() => spans("deliver").length === 1 && spans("ingest").length === 1);
  const [ingest, append, deliver] = [one("ingest"), one("append"), one("deliver")];
  for (const span of [ingest, append, deliver]) expect(span.spanContext().traceId).toBe(TRACE);
  const { spanId } = ingest.spanContext();
  expect([ingest, append, deliver].map(parentOf)).toEqual([CALLER, spanId, spanId]);
  expect([ingest.kind, append.kind, deliver.kind]).toEqual([
    api.SpanKind.SERVER,
    api.SpanKind.INTERNAL,
    api.SpanKind.CLIENT,
  ]);
  const source = { "waybill.environment": "test", "waybill.source": "web", "waybill.vendor": "segment" };
  const count = { "messaging.batch.message_count": 2 };
  expect(ingest.attributes).toEqual({
    ...source,
    ...count,
    "http.request.method": "POST",
    "http.route": "/v1/batch",
    "http.response.status_code": 200,
  });
  expect(append.attributes).toEqual({ ...source, ...count, "waybill.position": 0 });
  expect(deliver.attributes).toMatchObject({
    ...count,
    "waybill.environment": "test",
    "waybill.destination": "crm",
    "waybill.vendor": "segment",
    "http.request.method": "POST",
    "server.address": "127.0.0.1",
    "server.port": Number(new URL(vendor.url).port),
    "http.response.status_code": 200,
    "waybill.delivered": 2,
  });
  expect(deliver.links.map(({ context }) => context.spanId)).toEqual([spanId]);
  expect(vendor.received.map(({ headers }) => headers["traceparent"])).toEqual([
    `00-${TRACE}-${deliver.spanContext().spanId}-01`,
  ]);
  expect(vendor.received[0]?.names.filter((name) => name === "traceparent")).toHaveLength(1);
  expect(JSON.stringify(exporter.getFinishedSpans().map(({ attributes }) => attributes))).not.toContain(KEY);
});

test("requests of different traces go in one batch; its delivery is a trace of its own with a link to each, at most 32", async () => {
  const vendor = await vendorServer();
  const world = await startWorld({ destinations: () => ({ crm: destination(vendor.url) }) });
  const lane = world.relay;
  const admin = (action: string): Promise<unknown> =>
    fetch(`${lane.adminUrl}/v1/lanes/test/crm/${action}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
  await admin("pause");
  const traces = Array.from({ length: 40 }, (_, index) => (index + 1).toString(16).padStart(32, "a"));
  for (const [index, trace] of traces.entries())
    await world.post("/v1/track", track(`m-${index}`), { ...BASIC, ...traceparent(trace) });
  await admin("resume");
  await pass(world);
  await until(() => spans("deliver").length === 1 && spans("ingest").length === 40);
  expect(vendor.received).toHaveLength(1);
  const deliver = one("deliver");
  expect(parentOf(deliver)).toBeUndefined();
  expect(traces).not.toContain(deliver.spanContext().traceId);
  expect(deliver.links.map(({ context }) => context.traceId)).toEqual(traces.slice(0, 32));
  expect(vendor.received[0]?.headers["traceparent"]).toContain(deliver.spanContext().traceId);
});

test("each attempt has a span of its own, with what was answered", async () => {
  const vendor = await vendorServer([503, 503]);
  const world = await startWorld({ destinations: () => ({ crm: destination(vendor.url) }) });
  await world.post("/v1/track", track("a"), { ...BASIC, ...traceparent() });
  await until(() => spans("deliver").length === 3);
  expect(spans("deliver").map(({ attributes }) => attributes["http.response.status_code"])).toEqual([503, 503, 200]);
  const { ERROR, UNSET } = api.SpanStatusCode;
  expect(spans("deliver").map(({ status }) => status.code)).toEqual([ERROR, ERROR, UNSET]);
  expect(spans("deliver")[0]?.attributes).toMatchObject({ "error.type": "503", "waybill.retryable": 1 });
  const ids = spans("deliver").map((span) => `00-${TRACE}-${span.spanContext().spanId}-01`);
  expect(vendor.received.map(({ headers }) => headers["traceparent"])).toEqual(ids);
});

test("a request of another vendor, whose events are translated, is traced alike", async () => {
  const vendor = await vendorServer();
  const world = await startWorld({
    sources: { web: { protocol: "posthog", writeKeys: [KEY] } },
    destinations: () => ({ crm: destination(vendor.url) }),
  });
  const event = { event: "E", distinct_id: "u", uuid: "0190a3f2-0000-7000-8000-000000000001", properties: {} };
  const answer = await world.post("/batch/", { api_key: KEY, batch: [event] }, traceparent());
  expect(answer.status).toBe(200);
  await until(() => spans("deliver").length === 1 && spans("ingest").length === 1);
  expect(one("ingest").attributes).toMatchObject({ "waybill.vendor": "posthog", "waybill.source": "web" });
  expect(parentOf(one("append"))).toBe(one("ingest").spanContext().spanId);
  expect(one("deliver").spanContext().traceId).toBe(TRACE);
});

test("a refused request is a span too; health and readiness are not", async () => {
  const world = await startWorld();
  await world.post("/v1/track", track("a"), { authorization: "Basic eDo=", ...traceparent() });
  await fetch(`${world.relay.intakeUrl}/health`);
  await fetch(`${world.relay.intakeUrl}/ready`);
  await until(() => spans("ingest").length === 1);
  expect(one("ingest").attributes).toEqual({
    "http.request.method": "POST",
    "http.route": "/v1/track",
    "http.response.status_code": 401,
  });
  expect(one("ingest").spanContext().traceId).toBe(TRACE);
});

test("an append that fails is an error in its span and in that of its request", async () => {
  let fails = false;
  const isBroken = (path: string): boolean => fails && path.includes("/data/test/log/");
  const lines: string[] = [];
  const logger = createLogger("info", { write: (line) => void lines.push(line) });
  const world = await startWorld({ isBroken, logger });
  fails = true;
  const answer = await world.post("/v1/track", track("a"), { ...BASIC, ...traceparent() });
  fails = false;
  expect(answer.status).toBe(503);
  await until(() => spans("ingest").length === 1);
  const { ERROR } = api.SpanStatusCode;
  expect([one("append").status.code, one("ingest").status.code]).toEqual([ERROR, ERROR]);
  expect(lines.map((line) => JSON.parse(line) as object)).toContainEqual(
    expect.objectContaining({ level: "error", code: "storage_refused", source: "web", refusals: { disk: 1 } }),
  );
});

test("a traceparent that an operator has set for a destination is the only one", async () => {
  const vendor = await vendorServer();
  const fixed = { vendor: "http", url: vendor.url, headers: { Traceparent: "00-fixed" }, batch: { linger: "1ms" } };
  const world = await startWorld({ destinations: () => ({ hook: fixed }) });
  await world.post("/v1/track", track("a"), { ...BASIC, ...traceparent() });
  await until(() => vendor.received.length === 1);
  expect(vendor.received[0]?.headers["traceparent"]).toBe("00-fixed");
  expect(vendor.received[0]?.names.filter((name) => name.startsWith("trace"))).toEqual(["traceparent"]);
});

test("a traceparent that is nonsense begins a new trace, and baggage goes nowhere", async () => {
  const vendor = await vendorServer();
  const world = await startWorld({ destinations: () => ({ crm: destination(vendor.url) }) });
  const answer = await world.post("/v1/track", track("a"), { ...BASIC, traceparent: "00-zz-!", baggage: "user=1" });
  expect(answer.status).toBe(200);
  await until(() => spans("deliver").length === 1 && spans("ingest").length === 1);
  expect(parentOf(one("ingest"))).toBeUndefined();
  expect(vendor.received[0]?.names).not.toContain("baggage");
  expect(vendor.received[0]?.headers["traceparent"]).toContain(one("ingest").spanContext().traceId);
});

test("the log tells that requests are traced", async () => {
  const lines: string[] = [];
  await startWorld({ logger: createLogger("info", { write: (line) => void lines.push(line) }) });
  expect(lines.map((line) => JSON.parse(line) as object)).toContainEqual(
    expect.objectContaining({ level: "info", code: "tracing_on", registered: "1.9.1" }),
  );
});

test("within the span of an instrumentation of HTTP a request is a part of it, and a delivery runs in its own", async () => {
  const outer = provider.getTracer("http").startSpan("POST");
  let active = api.trace.setSpan(api.ROOT_CONTEXT, outer);
  const seen: api.Context[] = [];
  api.context.setGlobalContextManager({
    active: () => active,
    with(context, run, self, ...parts) {
      const before = active;
      active = context;
      try {
        return run.call(self as never, ...parts);
      } finally {
        active = before;
      }
    },
    bind: (_context, target) => target,
    enable() {
      return this;
    },
    disable() {
      return this;
    },
  });
  onTestFinished(() => api.context.disable());
  const tracing = new Tracing(api);
  const response = { once: () => undefined, statusCode: 200, writableFinished: true };
  const span = tracing.request({ method: "POST", headers: traceparent() } as never, response as never);
  span.end(response);
  expect(parentOf(one("ingest"))).toBe(outer.spanContext().spanId);
  expect(one("ingest").kind).toBe(api.SpanKind.INTERNAL);
  const of = { environment: "e", destination: "d", vendor: "segment", events: 1, held: undefined };
  const delivery = tracing.delivery(of);
  delivery.run(() => seen.push(api.context.active()));
  delivery.end();
  const [within] = seen;
  expect(within && api.trace.getSpanContext(within)?.spanId).toBe(one("deliver").spanContext().spanId);
});
