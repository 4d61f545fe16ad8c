/**
 * OpenTelemetry where a provider was registered before the relay started (`node --import`). Else
 * nothing is imported, and nothing is done for a request.
 */
import type { WriteLine } from "../log-lines/operator-log.ts";
import { Tracing } from "./tracing.ts";

/** Where every copy of `@opentelemetry/api` keeps what was registered. */
const REGISTRY = Symbol.for("opentelemetry.js.api.1");

interface Registry {
  readonly version?: string;
  readonly trace?: unknown;
}

export async function loadTracing(write: WriteLine): Promise<Tracing | undefined> {
  const { version = "unknown", trace } = ((globalThis as Record<symbol, unknown>)[REGISTRY] ?? {}) as Registry;
  if (trace === undefined) return undefined;
  try {
    const api = await import("@opentelemetry/api");
    // A newer copy does not see what an older one has registered.
    if (api.trace.getTracerProvider() === trace) {
      write("tracing_on", { registered: version });
      return new Tracing(api);
    }
  } catch {
    // The package is not there for the relay.
  }
  write("tracing_mismatch", { registered: version });
  return undefined;
}
