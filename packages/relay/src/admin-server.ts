/** The admin API over HTTP: see admin-types.ts for its shapes. Routing by find-my-way. */
import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf, WaybillError } from "@waybill/core";
import createRouter, { type HTTPMethod } from "find-my-way";
import { addEvidenceRoutes, readJson } from "./admin-evidence.ts";
import { openApiDocument } from "./admin-openapi.ts";
import type { Accounts, EnvironmentView, Readiness, ReloadResult, RotateRequest } from "./admin-types.ts";
import { type Answer, problem, writeAnswer, writeJson } from "./answers.ts";
import { destinationRing, GRACE_DEFAULT_MS, sourceRing } from "./credentials.ts";
import type { Drain } from "./drain.ts";
import type { Environment } from "./environment.ts";
import { tail } from "./tail.ts";

/** What the admin API shows and steers. */
export interface AdminView {
  readonly token: string | undefined;
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
  rotate(ring: string, key: string, graceMs: number): Promise<boolean>;
}

export type Params = Readonly<Record<string, string | undefined>>;
type Route = (
  request: IncomingMessage,
  response: ServerResponse,
  params: Params,
  query: Params,
) => void | Promise<void>;

export type AddRoute = (method: HTTPMethod, path: string, route: Route, options?: { readonly open: boolean }) => void;

const GRACE_MAX_MS = 30 * 24 * 3_600_000;

/** Keeps intermediaries from closing a quiet stream. */
const SSE_HEADERS = { "content-type": "text/event-stream", "cache-control": "no-store", connection: "keep-alive" };

export function createAdminServer(view: AdminView): Server {
  const router = createRouter({
    ignoreTrailingSlash: true,
    defaultRoute: (request, response) =>
      writeAnswer(
        response as ServerResponse,
        problem(404, "unknown_route", `There is no ${request.method} ${request.url}.`),
      ),
  });
  const add: AddRoute = (method, path, route, options) => {
    router.on(method, path, (request, response, params, _store, query) => {
      const answer = response as ServerResponse;
      if (options?.open !== true && !authorized(request as IncomingMessage, view.token))
        return writeAnswer(answer, problem(401, "unauthorized", "The admin token is missing or wrong."));
      const routed = async (): Promise<void> => route(request as IncomingMessage, answer, params, query as Params);
      routed().catch((error: unknown) => {
        if (answer.headersSent) answer.destroy();
        else writeAnswer(answer, failure(error));
      });
    });
  };

  add("GET", "/health", (_request, response) => writeAnswer(response, health()), { open: true });
  add("GET", "/ready", (_request, response) => writeAnswer(response, ready(view.readiness())), { open: true });
  add("GET", "/metrics", async (_request, response) => {
    const { text, contentType } = await view.metrics();
    writeAnswer(response, { status: 200, headers: { "content-type": contentType }, body: text });
  });
  add("GET", "/openapi.json", (_request, response) => writeJson(response, 200, openApiDocument()), { open: true });
  add("GET", "/v1/environments", (_request, response) => writeJson(response, 200, view.plan()));
  add("GET", "/v1/accounts", (_request, response) => writeJson(response, 200, view.accounts()));
  add("GET", "/v1/tail", (request, response, _params, query) => streamTail(view, request, response, query));
  add("POST", "/v1/lanes/:environment/:destination/pause", (_request, response, params) =>
    steer(view, response, params, "pause"),
  );
  add("POST", "/v1/lanes/:environment/:destination/resume", (_request, response, params) =>
    steer(view, response, params, "resume"),
  );
  add("POST", "/v1/reload", async (_request, response) => {
    const result = await view.reload();
    writeJson(response, result.ok ? 200 : 422, result);
  });

  add("POST", "/v1/sources/:environment/:source/rotate", (request, response, params) =>
    rotate(view, request, response, (kind) => sourceRing(params["environment"] ?? "", params["source"] ?? "", kind)),
  );
  add("POST", "/v1/destinations/:environment/:destination/rotate", (request, response, params) =>
    rotate(view, request, response, () => destinationRing(params["environment"] ?? "", params["destination"] ?? "")),
  );
  addEvidenceRoutes(add, view);

  return createServer({ ServerResponse: view.drain.Response }, (request, response) => {
    router.lookup(request, response);
    // A body that nobody reads must not hold the connection.
    response.on("finish", () => request.resume());
  });
}

function failure(error: unknown): Answer {
  return error instanceof WaybillError && error.code === "WAYBILL_INPUT"
    ? problem(400, "invalid_request", messageOf(error))
    : problem(500, "internal", messageOf(error));
}

export function health(): { readonly status: number; readonly headers: Record<string, string>; readonly body: string } {
  return { status: 200, headers: { "content-type": "application/json" }, body: '{"status":"ok"}' };
}

export function ready(readiness: Readiness): {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
} {
  return {
    status: readiness.ready ? 200 : 503,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(readiness),
  };
}

function authorized(request: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return true;
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ""), digest(`Bearer ${token}`));
}

/** The keys themselves are never answered. */
async function rotate(
  view: AdminView,
  request: IncomingMessage,
  response: ServerResponse,
  ringOf: (kind: "" | "mobile" | "js") => string,
): Promise<void> {
  const { key, graceMs = GRACE_DEFAULT_MS, kind = "" } = (await readJson(request)) as RotateRequest;
  if (typeof key !== "string" || key === "")
    throw new WaybillError(
      "WAYBILL_INPUT",
      'The body must be { "key": "…", "graceMs"?: number, "kind"?: "mobile" | "js" }.',
    );
  if (typeof graceMs !== "number" || graceMs < 0 || graceMs > GRACE_MAX_MS)
    throw new WaybillError("WAYBILL_INPUT", `graceMs must be a number from 0 to ${GRACE_MAX_MS}.`);
  if (await view.rotate(ringOf(kind), key, graceMs)) writeJson(response, 200, { rotated: true, graceMs });
  else
    writeAnswer(
      response,
      problem(404, "unknown_key_ring", "There is no such source or destination, or it has no key of that kind."),
    );
}

function steer(view: AdminView, response: ServerResponse, params: Params, action: "pause" | "resume"): void {
  const destination = view.environment(params["environment"] ?? "")?.destination(params["destination"] ?? "");
  if (destination === undefined)
    return writeAnswer(
      response,
      problem(404, "unknown_lane", `There is no destination ${params["environment"]}/${params["destination"]}.`),
    );
  destination[action]();
  response.writeHead(204).end();
}

async function streamTail(
  view: AdminView,
  request: IncomingMessage,
  response: ServerResponse,
  query: Params,
): Promise<void> {
  const { environment: name, source } = query;
  const environments = name === undefined ? view.environments() : [view.environment(name)];
  const controller = new AbortController();
  response.on("close", () => controller.abort());
  request.on("error", () => controller.abort());
  const signal = AbortSignal.any([controller.signal, view.stopping]);
  response.writeHead(200, SSE_HEADERS);
  // Tells the watcher that from here on nothing is missed.
  response.write(": listening\n\n");
  await Promise.all(
    environments.map(async (environment) => {
      if (environment === undefined) return;
      await tail(
        environment.log,
        { environment: environment.name, ...(source === undefined ? {} : { source }) },
        async (event) => {
          if (!response.write(`data: ${JSON.stringify(event)}\n\n`))
            await once(response, "drain", { signal: signal }).catch(() => undefined);
        },
        signal,
      );
    }),
  );
  response.end();
}
