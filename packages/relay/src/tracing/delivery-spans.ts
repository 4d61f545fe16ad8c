/** Each attempt of a destination in a span: the stage around the attempt, and its request. */
import { type Batch, type Exchange, type HttpRequest, type Protocol, sourceOf } from "@waybill/core";
import { heldBy } from "@waybill/log";
import type { DeliveryOf, DeliverySpan, Tracing } from "./tracing.ts";

/** What an instrumentation or an operator has set is left as it is. */
const TRACE_HEADERS: ReadonlySet<string> = new Set(["traceparent", "tracestate", "baggage", "b3"]);

export interface DeliverySpans {
  readonly stage: (next: Exchange) => Exchange;
  readonly protocol: (protocol: Protocol) => Protocol;
}

export function deliverySpans(
  tracing: Tracing,
  of: Pick<DeliveryOf, "environment" | "destination" | "vendor">,
): DeliverySpans {
  const spans = new WeakMap<Batch, DeliverySpan>();
  return {
    stage: (next) => async (batch, context) => {
      const span = tracing.delivery({ ...of, events: batch.count, held: liveEventsOf(batch) });
      spans.set(batch, span);
      const attempted: typeof context.watch.attempted = (attempt, held) => {
        span.attempted(attempt);
        context.watch.attempted(attempt, held);
      };
      try {
        return await span.run(() => next(batch, { ...context, watch: { ...context.watch, attempted } }));
      } finally {
        spans.delete(batch);
        span.end();
      }
    },
    protocol: (protocol) => ({
      ...protocol,
      request: (batch, nowMs) => withTrace(protocol.request(batch, nowMs), spans.get(batch)),
    }),
  };
}

function withTrace(request: HttpRequest, span: DeliverySpan | undefined): HttpRequest {
  if (span === undefined) return request;
  const added = span.headers(request);
  if (Object.keys(request.headers).some((name) => TRACE_HEADERS.has(name.toLowerCase()))) return request;
  return { ...request, headers: { ...request.headers, ...added } };
}

/** A replay's positions may be those of another log, and its requests are long over. */
function liveEventsOf(batch: Batch): ReturnType<typeof heldBy> {
  return sourceOf(batch).receivedAtMs?.(0) === undefined ? undefined : heldBy(batch);
}
