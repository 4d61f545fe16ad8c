import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf } from "@waybill/core";
import { health, ready } from "./admin-server.ts";
import type { Readiness } from "./admin-types.ts";
import { type Answer, problem, writeAnswer } from "./answers.ts";
import type { BodyReader } from "./body.ts";
import type { Drain } from "./drain.ts";
import type { Intake, IntakeRequest } from "./intake.ts";

export interface IntakeServerOptions {
  readonly intake: Intake;
  readonly bodies: BodyReader;
  readonly readiness: () => Readiness;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly onError: (error: unknown) => void;
  readonly drain: Drain;
}

/** Idle connections stay open longer than any client or load balancer keeps its end, so that we never close one in use. */
const KEEP_ALIVE_MS = 75_000;

/**
 * The HTTP end of the intake, on bare `node:http`: the framework costs a fifth of the throughput of small bodies, and the paths
 * are the vendors' tables anyway.
 */
export function createIntakeServer(options: IntakeServerOptions): Server {
  const { intake, bodies, onError, drain } = options;
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: options.headersTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      noDelay: true,
      ServerResponse: drain.Response,
    },
    (request, response) => {
      const special = specialAnswer(request, options.readiness);
      const opened = special ?? intake.open(requestOf(request));
      if ("status" in opened) {
        request.resume();
        return writeAnswer(response, opened);
      }
      bodies.read(request, (body) => {
        if (typeof body === "string") return writeAnswer(response, intake.refuseBody(opened, body));
        drain.working();
        intake.accept(opened, body).then(
          (answer) => {
            drain.answered();
            answerAccepted(response, answer);
          },
          (error: unknown) => {
            drain.answered();
            onError(error);
            writeAnswer(response, problem(500, "internal", messageOf(error)));
          },
        );
      });
    },
  );
  return server;
}

function answerAccepted(response: ServerResponse, answer: Answer): void {
  // A client that is gone has its events stored all the same; it will send them again and be told so.
  if (!response.destroyed) writeAnswer(response, answer);
}

function specialAnswer(request: IncomingMessage, readiness: () => Readiness): Answer | undefined {
  if (request.method !== "GET") return undefined;
  if (request.url === "/health") return health();
  if (request.url === "/ready") return ready(readiness());
  return undefined;
}

function requestOf(request: IncomingMessage): IntakeRequest {
  const { headers } = request;
  return {
    method: request.method ?? "",
    path: request.url ?? "/",
    authorization: headers.authorization,
    retryCount: textOf(headers["x-retry-count"]),
    idempotencyKey: textOf(headers["idempotency-key"] ?? headers["x-idempotency-key"]),
    headers,
  };
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" && header !== "" ? header : undefined;
}
