/**
 * The client as a browser or a worker gets it: bundled without Node's modules, and run where only
 * web globals are.
 */
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { type ServerHandler, VirtualClock } from "@waybill/testing";
import { build } from "esbuild";

/** What the bundle has, by entry point. */
export interface Entries {
  readonly waybill: typeof import("waybill");
  readonly letter: typeof import("waybill/letter");
  readonly getfluxly: typeof import("waybill/getfluxly");
  readonly trophy: typeof import("waybill/trophy");
  readonly valued: typeof import("waybill/valued");
  readonly launchdarkly: typeof import("waybill/launchdarkly");
}

const NAMES = ["letter", "getfluxly", "trophy", "valued", "launchdarkly"] as const;
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
/** Of browsers, workers and edge runtimes alike. */
const WEB = {
  AbortController,
  AbortSignal,
  Blob,
  DOMException,
  Event,
  EventTarget,
  Headers,
  Request,
  Response,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
  atob,
  btoa,
  crypto,
  queueMicrotask,
  structuredClone,
};

/** One script that leaves the entry points behind. Fails when the build needs anything of Node. */
export async function bundle(condition: "browser" | "worker" | "workerd"): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: [
        'export * as waybill from "waybill"',
        ...NAMES.map((name) => `export * as ${name} from "waybill/${name}"`),
      ].join(";"),
      resolveDir: PACKAGE,
    },
    bundle: true,
    write: false,
    format: "iife",
    globalName: "built",
    platform: condition === "browser" ? "browser" : "neutral",
    conditions: [condition, "@waybill/source"],
    logLevel: "silent",
  });
  return outputFiles[0]?.text ?? "";
}

export interface WebPlatform {
  readonly entries: Entries;
  /** Moves the timers of the platform. */
  readonly clock: VirtualClock;
  /** What its `fetch` was called with, in order: `POST https://…`. */
  readonly requests: readonly string[];
  /** What an expression gives there. */
  run(expression: string): unknown;
  /** Answers requests to an origin. */
  serve(origin: string, handler: ServerHandler): void;
}

/** Runs the script on a platform of its own. `more`: what tells a browser from a worker. */
export function start(script: string, more: object): WebPlatform {
  const clock = new VirtualClock();
  const servers = new Map<string, ServerHandler>();
  const requests: string[] = [];
  const globals: Record<string, unknown> = {
    ...WEB,
    ...more,
    console: {},
    performance: { now: () => clock.monotonic() },
    setTimeout: (run: () => void, delayMs: number) => clock.after(delayMs, run),
    clearTimeout: (timer: { cancel(): void } | undefined) => timer?.cancel(),
    async fetch(...given: ConstructorParameters<typeof Request>) {
      // Refuses what every fetch refuses.
      const request = new Request(...given);
      const { origin, pathname, search } = new URL(request.url);
      requests.push(`${request.method} ${request.url}`);
      const { status, headers, body } = (await servers.get(origin)?.({
        method: request.method,
        path: pathname + search,
        headers: Object.fromEntries(request.headers),
        body: new Uint8Array(await request.arrayBuffer()),
      })) ?? { status: 404, headers: {}, body: "" };
      return new Response(body === "" ? null : body, { status, headers });
    },
  };
  const context = createContext(globals);
  globals["self"] = context;
  if ("document" in more) globals["window"] = context;
  runInContext(script, context);
  return {
    entries: globals["built"] as Entries,
    clock,
    requests,
    run: (expression) => runInContext(expression, context) as unknown,
    serve: (origin, handler) => void servers.set(origin, handler),
  };
}
