/**
 * The admin API over HTTP: the table in `routes/` says what there is, `guard.ts` who is answered.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf, WaybillError } from "@waybill/core";
import createRouter, { type HTTPMethod } from "find-my-way";
import { SharedTurns } from "../delivery/turns.ts";
import { type Answer, problem, writeAnswer } from "../intake/answers.ts";
import type { CreateServer } from "../lifecycle/servers.ts";
import { passOn } from "./cluster/pass-on.ts";
import { PolledOverviews } from "./cluster/polled-overviews.ts";
import { RELAY_HEADER, Signatures } from "./cluster/relay-signature.ts";
import { WholeReplays } from "./cluster/whole-replays.ts";
import { Connections } from "./connections.ts";
import { type Guard, refusalOf } from "./guard.ts";
import { actionHandlers } from "./handlers/actions.ts";
import type { Call, Handler, Handlers } from "./handlers/call.ts";
import { configHandlers } from "./handlers/config.ts";
import { eventHandlers } from "./handlers/events.ts";
import { inspectionHandlers } from "./handlers/inspection.ts";
import { liveHandlers } from "./handlers/live.ts";
import { overviewHandlers } from "./handlers/overview.ts";
import { relayHandlers } from "./handlers/relays.ts";
import { sessionHandlers } from "./handlers/session.ts";
import { WatchedOverview } from "./live/watched-overview.ts";
import { quoted, Refusal, unknown } from "./refusal.ts";
import type { RouteDefinition } from "./routes/route.ts";
import { ADMIN_ROUTES, type Operation } from "./routes/table.ts";
import { Sessions } from "./sessions.ts";
import { StaticFiles, wantsPage } from "./static-files.ts";
import { CHECKS, EXCHANGES, LIVE_VIEWS, Line, SCANS, Slots, Streams } from "./streams.ts";
import { TokenTries } from "./tries.ts";
import { type BodyLimits, bodyOf, checkedBody, checkedParams, checkedQuery } from "./validation.ts";
import type { AdminView } from "./view.ts";

export interface AdminServerOptions {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Where the page's files are. Default: beside this package. */
  readonly pageDirectory?: string;
  /** Default: that of `node:http`. */
  readonly createServer?: CreateServer;
}

/** Ids have no limit of their own at the vendors: the head of a request is the limit. */
const HEAD_MAX_BYTES = 64 * 1024;
/** How late a timeout of a head or a body may be noticed. */
const TIMEOUT_CHECK_MS = 1_000;
/** A connection on which nothing moves is closed. Longer than any search of the log. */
const IDLE_MAX_MS = 600_000;
const STORAGE_CODES: readonly string[] = [
  "WAYBILL_DISK",
  "WAYBILL_LOG_FULL",
  "WAYBILL_LOG_BUSY",
  "WAYBILL_LOG_UNAVAILABLE",
];

const HANDLERS: Handlers = {
  ...sessionHandlers,
  ...overviewHandlers,
  ...liveHandlers,
  ...eventHandlers,
  ...inspectionHandlers,
  ...configHandlers,
  ...actionHandlers,
  ...relayHandlers,
};

interface Served {
  readonly operation: Operation;
  readonly route: RouteDefinition;
  readonly handler: Handler<Operation>;
}

type Router = ReturnType<typeof createRouter>;

export function createAdminServer(view: AdminView, options: AdminServerOptions): Server {
  const router = routerOf();
  const checks = new Slots(CHECKS);
  const shared = {
    streams: new Streams(view.clock, view.stopping),
    watchers: new Streams(view.clock, view.stopping, LIVE_VIEWS),
    ...overviewsOf(view),
    scans: new Slots(SCANS),
    exchanges: new Slots(EXCHANGES),
    reads: new Line(),
    turns: new SharedTurns(view.clock),
  };
  const server = (options.createServer ?? createServer)({
    ServerResponse: view.drain.Response,
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    maxHeaderSize: HEAD_MAX_BYTES,
  });
  server.timeout = IDLE_MAX_MS;
  const connections = new Connections(server);
  const sessions = new Sessions(view.clock, () => view.guard().proxies);
  const files = new StaticFiles(options.pageDirectory);
  const tries = new TokenTries(view.clock, () => view.guard().proxies);
  const signatures = new Signatures(view.clock);
  const guard = (): Guard => ({ ...view.guard(), sessions, tries, signatures, relayId: view.peers?.()?.selfId });
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const found = find(router, request);
    const isPage = found.served === undefined && wantsPage(request);
    const access = isPage ? "page" : (found.served?.route.access ?? "guarded");
    const refusal = refusalOfRelay(request, guard()) ?? refusalOf(request, access, guard());
    if (refusal !== undefined) return writeAnswer(response, refusal);
    if (isPage) return files.serve(request, response);
    if (found.served === undefined)
      throw unknown("unknown_route", `There is no ${request.method} ${quoted(request.url ?? "")}.`);
    const { operation, route, handler } = found.served;
    const query = checkedQuery(route, found.search);
    const params = checkedParams(route, found.params);
    const run = async (): Promise<void> => {
      const raw = request.method === "GET" ? undefined : await bodyOf(request, limitsOf(route, request, guard()));
      const body = checkedBody(route, raw);
      const isAllowed = (): boolean => refusalOf(request, access, guard()) === undefined;
      const given = { params, query, body, guard: guard(), isAllowed };
      // The schemas have just seen to it that it is so.
      const call = { request, response, ...shared, ...given } as Call<Operation>;
      await connections.work(request, response, async () => {
        if (access !== "probe") await shared.turns.turn();
        if (!(await passOn(view, { operation, call, body: raw }))) await handler(view, call);
      });
    };
    // A large body counts from its beginning.
    await (route.bodyMaxBytes === undefined ? run() : checks.use(run));
  };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    // A body that nobody reads must not hold the connection.
    response.on("finish", () => request.resume());
    serve(request, response).catch((error: unknown) => fail(view, response, error));
  });
  return server;
}

/** What live views share. */
function overviewsOf(view: AdminView): Pick<Call<Operation>, "polled" | "replays" | "watched"> {
  const replays = new WholeReplays(view.clock, () => view.clusterReplays?.());
  const polled = new PolledOverviews(view.clock, { peers: () => view.peers?.(), replays });
  return { polled, replays, watched: new WatchedOverview(view.clock, () => polled.whole(view.overview())) };
}

/** A request that is meant for a relay which had this address before. */
function refusalOfRelay({ headers }: IncomingMessage, { relayId }: Guard): Answer | undefined {
  const { [RELAY_HEADER]: wanted } = headers;
  if (relayId === undefined || wanted === undefined || wanted === relayId) return undefined;
  return problem(421, "other_relay", "The request is meant for another relay than the one at this address.");
}

function limitsOf({ bodyMaxBytes: maxBytes }: RouteDefinition, request: IncomingMessage, guard: Guard): BodyLimits {
  const { signatures, relayId, token } = guard;
  return { maxBytes, digest: token === undefined ? undefined : signatures.of(request, relayId, token) };
}

function routerOf(): Router {
  const router = createRouter({ ignoreTrailingSlash: true, maxParamLength: HEAD_MAX_BYTES });
  for (const [operation, route] of Object.entries(ADMIN_ROUTES)) {
    const served: Served = {
      operation: operation as Operation,
      route,
      handler: HANDLERS[operation as Operation] as Handler<Operation>,
    };
    router.on(route.method, route.path.replaceAll(/\{(\w+)\}/g, ":$1"), () => undefined, served);
  }
  return router;
}

interface Found {
  readonly served?: Served;
  readonly params: Readonly<Record<string, unknown>>;
  readonly search: Readonly<Record<string, unknown>>;
}

function find(router: Router, { method = "", url = "" }: IncomingMessage): Found {
  if (!url.startsWith("/") || !isEncoded(url))
    throw new Refusal(problem(400, "invalid_path", "The path is malformed."));
  const found = router.find(method as HTTPMethod, url);
  if (found === null) return { params: {}, search: {} };
  return { served: found.store as Served, params: found.params, search: found.searchParams };
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
  return problem(500, "internal", "The relay has a defect; its log tells more.");
}
