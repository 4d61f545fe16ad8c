/** Without a provider: of a file of its own, as a provider is registered for a whole process. */
import { createLogger } from "@waybill/relay";
import { expect, onTestFinished, test, vi } from "vitest";
import { loadTracing } from "../../src/tracing/load-tracing.ts";
import { BASIC, startWorld } from "../lib/world.ts";

const REGISTRY = Symbol.for("opentelemetry.js.api.1");
const registry = globalThis as Record<symbol, unknown>;
const imported = vi.hoisted(() => ({ count: 0 }));
vi.mock("@opentelemetry/api", async (original) => {
  imported.count += 1;
  return original();
});

test("without a provider nothing is imported or traced, and no trace header of an application goes to a vendor", async () => {
  const lines: string[] = [];
  const world = await startWorld({ logger: createLogger("debug", { write: (line) => void lines.push(line) }) });
  const seen: string[][] = [];
  const { emulator } = world;
  const handle = emulator.handle.bind(emulator);
  vi.spyOn(emulator, "handle").mockImplementation((request) => {
    seen.push(Object.keys(request.headers));
    return handle(request);
  });
  const headers = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "a=b" };
  const more = { baggage: "user=1", "x-b3-traceid": "1", "x-request-id": "2" };
  await world.post("/v1/track", { type: "track", event: "E", userId: "u" }, { ...BASIC, ...headers, ...more });
  await world.arrived(1);
  for (const name of [...Object.keys(headers), ...Object.keys(more)]) expect(seen.flat()).not.toContain(name);
  expect(seen.flat()).toContain("user-agent");
  expect(lines.join("")).not.toContain("tracing_");
  expect(imported.count).toBe(0);
});

test("a provider that another version of the package has registered is logged, and nothing is traced", async () => {
  onTestFinished(() => void Reflect.deleteProperty(registry, REGISTRY));
  registry[REGISTRY] = { version: "1.4.0", trace: {} };
  const written: unknown[] = [];
  expect(await loadTracing((...line) => void written.push(line))).toBeUndefined();
  expect(written).toEqual([["tracing_mismatch", { registered: "1.4.0" }]]);
});
