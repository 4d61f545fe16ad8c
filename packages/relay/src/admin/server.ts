/** The admin API over HTTP: see admin-types.ts for its shapes, admin-guard.ts for who is answered. Routing by find-my-way. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type Clock, messageOf, WaybillError } from "@waybill/core";
import { keyFault } from "@waybill/vendors/config";
import createRouter, { type HTTPMethod } from "find-my-way";
import { destinationKeySet, GRACE_DEFAULT_MS, sourceKeySet } from "../credentials/credentials.ts";
import type { Environment } from "../environment.ts";
import { type Answer, problem, writeAnswer, writeJson } from "../intake/answers.ts";
import type { Drain } from "../intake/drain.ts";
import { Connections } from "./connections.ts";
import { type Access, type GuardOptions, isTrusted, refusalOf } from "./guard.ts";
import { bodyOf, fieldsOf, invalid, type Params, queryOf, quoted, Refusal, unknown } from "./input.ts";
import { addInspectionRoutes } from "./inspection.ts";
import { OPERATIONS, openApiDocument } from "./openapi.ts";
import { Streams } from "./streams.ts";
import { tail } from "./tail.ts";
import type {
  Accounts,
  EnvironmentView,
  Health,
  PublicReadiness,
  Readiness,
  ReloadResult,
  RotationView,
} from "./types.ts";

/** What the admin API shows and steers. */
export interface AdminView {
  /** As configured now. */
  guard(): GuardOptions;
  readonly clock: Clock;
  readonly drain: Drain;
  /** Aborted when the relay stops: streams end. */
  readonly stopping: AbortSignal;
  accounts(): Accounts;
  readiness(): Readiness;
  metrics(): Promise<{ readonly text: string; readonly contentType: string }>;
  environment(name: string): Environment | undefined;
  environments(): readonly Environment[];
  reload(): Promise<ReloadResult>;
  /** Environments, their sources and destinations. */
  plan(): readonly EnvironmentView[];
  /** Those that are kept. */
  rotations(): readonly RotationView[];
  rotate(keySet: string, key: string, graceMs: number): Promise<boolean>;
  /** A route has failed for a defect. */
  onError(error: unknown): void;
}

/** A request that has passed the guard, with its body. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly params: Params;
  readonly query: Params;
  /** `undefined` without one. */
  readonly body: unknown;
  readonly streams: Streams;
}

type Run = (call: Call) => unknown;

interface Route {
  readonly run: Run;
  readonly access: Access;
  /** Names of its query's parameters. */
  readonly query: readonly string[];
}

export type AddRoute = (method: HTTPMethod, path: string, run: Run, access?: Access) => void;

export interface AdminServerOptions {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

const GRACE_MAX_MS = 30 * 24 * 3_600_000;
/** Ids have no limit of their own at the vendors: the head of a request is the limit. */
const HEAD_MAX_BYTES = 64 * 1024;
/** How late a timeout of a head or a body may be noticed. */
const TIMEOUT_CHECK_MS = 1_000;
/** A connection on which nothing moves is closed. Longer than any search of the log. */
const IDLE_MAX_MS = 600_000;
const HEARTBEAT_MS = 15_000;
const ROTATE_FIELDS = ["key", "graceMs", "kind"];

const SSE_HEADERS = { "content-type": "text/event-stream", "cache-control": "no-store", connection: "keep-alive" };

export function createAdminServer(view: AdminView, options: AdminServerOptions): Server {
  const router = createRouter({ ignoreTrailingSlash: true, maxParamLength: HEAD_MAX_BYTES });
  const streams = new Streams(view.clock, view.stopping);
  const add: AddRoute = (method, path, run, access = "guarded") => {
    const operation = OPERATIONS[`${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`];
    const route: Route = { run, access, query: operation?.query ?? [] };
    router.on(method, path, () => undefined, route);
  };

  add("GET", "/health", ({ request, response }) => writeAnswer(response, fullHealth(view, request)), "probe");
  add("GET", "/ready", ({ request, response }) => writeAnswer(response, fullReady(view, request)), "probe");
  add("GET", "/metrics", (call) => showMetrics(view, call), "metrics");
  add("GET", "/openapi.json", ({ response }) => writeJson(response, 200, openApiDocument()), "open");
  add("GET", "/v1/environments", ({ response }) => writeJson(response, 200, view.plan()));
  add("GET", "/v1/rotations", ({ response }) => writeJson(response, 200, view.rotations()));
  add("GET", "/v1/accounts", ({ response }) => writeJson(response, 200, view.accounts()));
  add("GET", "/v1/tail", (call) => streamTail(view, call));
  add("POST", "/v1/lanes/:environment/:destination/pause", (call) => steer(view, call, "pause"));
  add("POST", "/v1/lanes/:environment/:destination/resume", (call) => steer(view, call, "resume"));
  add("POST", "/v1/reload", async ({ response }) => {
    const result = await view.reload();
    writeJson(response, result.ok ? 200 : 422, result);
  });
  add("POST", "/v1/sources/:environment/:source/rotate", (call) =>
    rotate(view, call, (kind) => sourceKeySet(call.params["environment"] ?? "", call.params["source"] ?? "", kind)),
  );
  add("POST", "/v1/destinations/:environment/:destination/rotate", (call) =>
    rotate(view, call, () => destinationKeySet(call.params["environment"] ?? "", call.params["destination"] ?? "")),
  );
  addInspectionRoutes(add, view);

  const server = createServer({
    ServerResponse: view.drain.Response,
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    maxHeaderSize: HEAD_MAX_BYTES,
  });
  server.timeout = IDLE_MAX_MS;
  const connections = new Connections(server);
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { route, params, search } = routeOf(router, request);
    const refusal = refusalOf(request, route?.access ?? "guarded", view.guard());
    if (refusal !== undefined) return writeAnswer(response, refusal);
    if (route === undefined)
      throw unknown("unknown_route", `There is no ${request.method} ${quoted(request.url ?? "")}.`);
    const query = queryOf(search, route.query);
    const body = request.method === "GET" ? undefined : await bodyOf(request);
    await connections.work(request, response, () => route.run({ request, response, params, query, body, streams }));
  };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    // A body that nobody reads must not hold the connection.
    response.on("finish", () => request.resume());
    answer(request, response).catch((error: unknown) => fail(view, response, error));
  });
  return server;
}

interface Routed {
  readonly route?: Route;
  readonly params: Params;
  readonly search: Readonly<Record<string, unknown>>;
}

function routeOf(router: ReturnType<typeof createRouter>, { method = "", url = "" }: IncomingMessage): Routed {
  if (!url.startsWith("/") || !isEncoded(url))
    throw new Refusal(problem(400, "invalid_path", "The path is malformed."));
  const found = router.find(method as HTTPMethod, url);
  if (found === null) return { params: {}, search: {} };
  return { route: found.store as Route, params: found.params, search: found.searchParams };
}

function isEncoded(url: string): boolean {
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    return false;
  }
}

function fail(view: AdminView, response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  const answer = failureOf(error);
  if (answer.status === 500) view.onError(error);
  if (response.headersSent) response.destroy();
  else writeAnswer(response, answer);
}

function failureOf(error: unknown): Answer {
  if (error instanceof Refusal) return error.answer;
  if (error instanceof WaybillError) {
    if (error.code === "WAYBILL_INPUT" || error.code === "WAYBILL_CONFIG")
      return problem(400, "invalid_request", messageOf(error));
    if (STORAGE_CODES.includes(error.code))
      return problem(503, "storage_unavailable", messageOf(error), { "retry-after": "1" });
    if (error.code === "WAYBILL_CLOSED") return problem(503, "closing", messageOf(error), { "retry-after": "1" });
  }
  return problem(500, "internal", "A defect of the relay; its log says which.");
}

const STORAGE_CODES: readonly string[] = ["WAYBILL_DISK", "WAYBILL_LOG_FULL", "WAYBILL_LOG_BUSY"];
const JSON_HEADERS = { "content-type": "application/json" };

/** That the process answers: for anyone. */
export function health(): Answer {
  return { status: 200, headers: JSON_HEADERS, body: '{"status":"ok"}' };
}

/** Whether a durable accept is possible, without a name: for anyone. */
export function ready({ ready: isReady, components }: Readiness): Answer {
  const short: PublicReadiness = {
    ready: isReady,
    components: components.map((component) => ({ name: "log", ready: component.ready })),
  };
  return { status: isReady ? 200 : 503, headers: JSON_HEADERS, body: JSON.stringify(short) };
}

/** Red when a defect has stopped a lane; which one is said to those who may know. */
function fullHealth(view: AdminView, request: IncomingMessage): Answer {
  const failed = view.readiness().lanes.filter(({ mode }) => mode === "failed");
  if (failed.length === 0) return health();
  const shown: Health = { status: "failed", ...(isTrusted(request, view.guard()) ? { lanes: failed } : {}) };
  return { status: 503, headers: JSON_HEADERS, body: JSON.stringify(shown) };
}

function fullReady(view: AdminView, request: IncomingMessage): Answer {
  const readiness = view.readiness();
  const short = ready(readiness);
  return isTrusted(request, view.guard()) ? { ...short, body: JSON.stringify(readiness) } : short;
}

async function showMetrics(view: AdminView, { response }: Call): Promise<void> {
  const { text, contentType } = await view.metrics();
  writeAnswer(response, { status: 200, headers: { "content-type": contentType }, body: text });
}

/** The keys themselves are never answered. */
async function rotate(
  view: AdminView,
  { response, body }: Call,
  keySetOf: (kind: "" | "mobile" | "js") => string,
): Promise<void> {
  const { key, graceMs = GRACE_DEFAULT_MS, kind = "" } = fieldsOf(body, ROTATE_FIELDS);
  const fault = typeof key === "string" ? keyFault(key) : "is missing";
  if (typeof key !== "string" || fault !== undefined) throw invalid(`key ${fault}`);
  if (typeof graceMs !== "number" || !(graceMs >= 0 && graceMs <= GRACE_MAX_MS))
    throw invalid(`graceMs is a number from 0 to ${GRACE_MAX_MS}`);
  if (kind !== "" && kind !== "mobile" && kind !== "js") throw invalid('kind is "mobile" or "js"');
  if (await view.rotate(keySetOf(kind), key, graceMs)) writeJson(response, 200, { rotated: true, graceMs });
  else throw unknown("unknown_key_set", "There is no such source or destination, or it has no key of that kind.");
}

function steer(view: AdminView, { response, params }: Call, action: "pause" | "resume"): void {
  const { environment = "", destination = "" } = params;
  const lane = view.environment(environment)?.destination(destination);
  if (lane === undefined)
    throw unknown("unknown_lane", `There is no destination ${quoted(environment)}/${quoted(destination)}.`);
  lane[action]();
  response.writeHead(204).end();
}

async function streamTail(view: AdminView, { response, query, streams }: Call): Promise<void> {
  const { environment: name, source } = query;
  const named = name === undefined ? undefined : view.environment(name);
  if (name !== undefined && named === undefined)
    throw unknown("unknown_environment", `There is no environment ${quoted(name)}.`);
  const environments = named === undefined ? view.environments() : [named];
  const plans = view.plan().filter(({ environment }) => environments.some((one) => one.name === environment));
  if (source !== undefined && !plans.some(({ sources }) => sources.some((one) => one.source === source)))
    throw unknown("unknown_source", `There is no source ${quoted(source)}.`);
  const stream = streams.open(response, SSE_HEADERS);
  // Tells the watcher that from here on nothing is missed.
  await stream.write(": listening\n\n");
  const stopHeartbeat = heartbeat(view.clock, () => stream.write(": still here\n\n"));
  const filter = source === undefined ? {} : { source };
  try {
    await Promise.all(
      environments.map(({ log, name: environment }) =>
        tail(log, { environment, ...filter }, (text) => stream.write(text), stream.signal),
      ),
    );
  } finally {
    stopHeartbeat();
    stream.end();
  }
}

/** Keeps what stands between from closing a quiet stream, and notices a reader that is gone. */
function heartbeat(clock: Clock, beat: () => Promise<boolean>): () => void {
  let timer = clock.after(HEARTBEAT_MS, next);
  let isOver = false;
  function next(): void {
    void beat().then((goesOn) => {
      if (goesOn && !isOver) timer = clock.after(HEARTBEAT_MS, next);
    });
  }
  return () => {
    isOver = true;
    timer.cancel();
  };
}
