/**
 * Registers a provider before the relay starts, as `node --import` does it. Spans are posted as
 * JSON to SPANS_URL.
 */
import { propagation, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const exporter = {
  export(spans, done) {
    const body = JSON.stringify(
      spans.map((span) => ({ name: span.name, ...span.spanContext(), parent: span.parentSpanContext?.spanId })),
    );
    fetch(process.env.SPANS_URL, { method: "POST", body }).then(
      () => done({ code: 0 }),
      (error) => done({ code: 1, error }),
    );
  },
  shutdown: () => Promise.resolve(),
};

trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
