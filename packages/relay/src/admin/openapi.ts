/** The admin API as an OpenAPI document, served at `/openapi.json`. A test holds it and the routes together; the shapes in detail are those of admin-types.ts. */
import { own } from "@waybill/core";
import { VERSION } from "../version.ts";

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: "string" };
const whole: Schema = { type: "integer" };
/** ISO 8601 or epoch milliseconds. */
const time: Schema = { type: ["string", "integer"] };
const flag: Schema = { type: "boolean" };
const counts: Schema = { type: "object", additionalProperties: whole };

function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", required, properties };
}

function listOf(items: Schema): Schema {
  return { type: "array", items };
}

function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

const SCHEMAS: Readonly<Record<string, Schema>> = {
  Account: object({
    accepted: whole,
    delivered: whole,
    rejected: whole,
    dropped: whole,
    droppedByReason: counts,
    expired: whole,
    pending: whole,
    balanced: flag,
  }),
  Lane: object(
    {
      environment: text,
      destination: text,
      vendor: text,
      mode: { enum: ["idle", "sending", "waiting", "paused", "halted", "failed", "closed"] },
      reason: text,
      account: ref("Account"),
      pendingBytes: whole,
      oldestPendingMs: whole,
      attempts: whole,
      failedAttempts: whole,
      deadLetters: counts,
      timeUntilLossMs: whole,
      unknownFates: whole,
      lastError: text,
      lastErrorAtMs: whole,
    },
    ["reason", "oldestPendingMs", "timeUntilLossMs", "unknownFates", "lastError", "lastErrorAtMs"],
  ),
  Source: object({
    environment: text,
    source: text,
    protocol: text,
    accepted: whole,
    duplicates: whole,
    refusedByCode: counts,
  }),
  Environment: object({
    environment: text,
    sources: listOf(object({ source: text, protocol: text, keys: whole })),
    destinations: listOf(object({ destination: text, vendor: text })),
  }),
  Replay: object(
    {
      id: text,
      environment: text,
      destination: text,
      of: { enum: ["log", "dead letters"] },
      createdAtMs: whole,
      state: { enum: ["running", "waiting", "halted", "paused", "done", "cancelled"] },
      reason: text,
      account: ref("Account"),
    },
    ["reason"],
  ),
  Accounts: object({
    atMs: whole,
    startedAtMs: whole,
    version: text,
    lanes: listOf(ref("Lane")),
    sources: listOf(ref("Source")),
    replays: listOf(ref("Replay")),
  }),
  Readiness: object({
    ready: flag,
    components: listOf(object({ name: text, ready: flag, reason: text }, ["reason"])),
    lanes: listOf({ type: "object" }),
  }),
  PublicReadiness: object({ ready: flag, components: listOf(object({ name: text, ready: flag })) }),
  Health: object({ status: { enum: ["ok", "failed"] }, lanes: listOf({ type: "object" }) }, ["lanes"]),
  Trace: object({ messageId: text, events: listOf({ type: "object" }), isCut: flag }, ["isCut"]),
  DeadLetterPage: object({ letters: listOf({ type: "object" }), next: whole, damaged: whole }, ["next"]),
  ReplayRequest: object(
    {
      destination: text,
      since: time,
      until: time,
      source: text,
      type: text,
      event: text,
      userId: text,
      eventsPerSecond: { type: "number" },
      dryRun: flag,
    },
    ["since", "until", "source", "type", "event", "userId", "eventsPerSecond", "dryRun"],
  ),
  RotateRequest: object({ key: text, graceMs: whole, kind: { enum: ["mobile", "js"] } }, ["graceMs", "kind"]),
  Rotation: object(
    {
      environment: text,
      source: text,
      destination: text,
      kind: { enum: ["mobile", "js"] },
      rotatedAtMs: whole,
      fingerprint: text,
      inUse: flag,
    },
    ["source", "destination", "kind"],
  ),
  ReloadResult: object({ ok: flag, changed: listOf(text), errors: listOf(text), rotations: listOf(text) }, [
    "rotations",
  ]),
  Problem: object({ title: text, status: whole, detail: text, code: text, message: text }),
};

interface Operation {
  readonly summary: string;
  /** Statuses and what they carry; `""` for nothing. */
  readonly answers: Readonly<Record<number, string>>;
  readonly query?: readonly string[];
  readonly body?: string;
  readonly open?: true;
  /** Default `application/json`. */
  readonly type?: string;
}

const LETTERS = ["state", "source", "reason", "since", "until", "letter"];
const LETTERS_PATH = "/v1/dead-letters/{environment}/{destination}";

/** By `METHOD /path`. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  "GET /health": {
    summary: "Whether the process answers; 503 while a defect has stopped a lane. Names it with the token.",
    answers: { 200: "Health", 503: "Health" },
    open: true,
  },
  "GET /ready": {
    summary: "Whether a durable accept is possible. Without the token (and on the intake port) without names.",
    answers: { 200: "Readiness", 503: "Readiness" },
    open: true,
  },
  "GET /openapi.json": { summary: "This document.", answers: { 200: "" }, open: true },
  "GET /metrics": { summary: "Prometheus text.", answers: { 200: "" }, type: "text/plain" },
  "GET /v1/environments": {
    summary: "Environments, their sources and destinations; no keys.",
    answers: { 200: "Environment[]" },
  },
  "GET /v1/rotations": {
    summary: "Rotations that are kept until the file has the new key; a fingerprint stands for the key.",
    answers: { 200: "Rotation[]" },
  },
  "GET /v1/accounts": {
    summary: "Lanes with their ledgers, sources with their counters, replays.",
    answers: { 200: "Accounts" },
  },
  "GET /v1/tail": {
    summary: "Durable events as they come, as server-sent events.",
    answers: { 200: "", 404: "Problem", 503: "Problem" },
    query: ["environment", "source"],
    type: "text/event-stream",
  },
  "POST /v1/lanes/{environment}/{destination}/pause": {
    summary: "Stops a lane after the attempt in flight; its events are kept.",
    answers: { 204: "", 404: "Problem" },
  },
  "POST /v1/lanes/{environment}/{destination}/resume": {
    summary: "Ends a pause, or tries a halted destination at once.",
    answers: { 204: "", 404: "Problem" },
  },
  "POST /v1/sources/{environment}/{source}/rotate": {
    summary: "Makes a new inbound key valid; the others stay so for the grace.",
    answers: { 200: "", 400: "Problem", 404: "Problem" },
    body: "RotateRequest",
  },
  "POST /v1/destinations/{environment}/{destination}/rotate": {
    summary: "Uses a new outbound key from the next attempt on.",
    answers: { 200: "", 400: "Problem", 404: "Problem" },
    body: "RotateRequest",
  },
  "POST /v1/reload": {
    summary: "Reads the configuration again; the old plan keeps serving when it is wrong.",
    answers: { 200: "ReloadResult", 422: "ReloadResult" },
  },
  "GET /v1/trace/{messageId}": {
    summary: "What became of the events of an id.",
    answers: { 200: "Trace", 400: "Problem", 404: "Problem" },
    query: ["environment", "since", "until"],
  },
  "GET /v1/receipts/{environment}/{positions}": {
    summary: "What became of the events of a receipt, `1841+3`, or of one position. The first 100 of them.",
    answers: { 200: "Trace", 400: "Problem", 404: "Problem" },
  },
  [`GET ${LETTERS_PATH}`]: {
    summary: "Dead letters, a page at a time.",
    answers: { 200: "DeadLetterPage", 404: "Problem" },
    query: [...LETTERS, "after", "limit"],
  },
  [`GET ${LETTERS_PATH}/export`]: {
    summary: "Dead letters, one a line.",
    answers: { 200: "", 404: "Problem", 503: "Problem" },
    query: LETTERS,
    type: "application/x-ndjson",
  },
  [`POST ${LETTERS_PATH}/retry`]: {
    summary: "Sends chosen dead letters again, as a replay.",
    answers: { 202: "Replay", 404: "Problem", 409: "Problem" },
    query: [...LETTERS, "eventsPerSecond"],
  },
  [`POST ${LETTERS_PATH}/discard`]: {
    summary: "Gives chosen dead letters up.",
    answers: { 200: "", 404: "Problem" },
    query: LETTERS,
  },
  "GET /v1/replays": { summary: "Replays that run or ran.", answers: { 200: "Replay[]" } },
  "POST /v1/replays/{environment}": {
    summary: "Sends a part of the log to a destination again.",
    answers: { 202: "Replay", 200: "", 400: "Problem", 404: "Problem", 409: "Problem" },
    body: "ReplayRequest",
  },
  "DELETE /v1/replays/{environment}/{id}": {
    summary: "Ends a replay where it is.",
    answers: { 204: "", 404: "Problem" },
  },
};

export function openApiDocument(): object {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [route, operation] of Object.entries(OPERATIONS)) {
    const [method = "", path = ""] = route.split(" ");
    paths[path] = { ...own(paths, path), [method.toLowerCase()]: operationOf(path, operation) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Waybill relay admin API",
      version: VERSION,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    components: { schemas: SCHEMAS, securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    security: [{ token: [] }],
  };
}

function operationOf(
  path: string,
  { summary, answers, query = [], body, open, type = "application/json" }: Operation,
): object {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: text,
  }));
  return {
    summary,
    ...(open === true ? { security: [] } : {}),
    parameters: [...inPath, ...query.map((name) => ({ name, in: "query", schema: text }))],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: ref(body) } } } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, shape]) => [
          status,
          answerOf(status.startsWith("2") ? "Done." : "Refused.", shape, type),
        ]),
      ),
      default: answerOf(
        "Refused by its head (token, host, origin, content type), or not possible now; `code` says why.",
        "Problem",
        type,
      ),
    },
  };
}

function answerOf(description: string, shape: string, type: string): object {
  if (shape === "") return { description };
  const schema = shape.endsWith("[]") ? listOf(ref(shape.slice(0, -2))) : ref(shape);
  return { description, content: { [shape === "Problem" ? "application/problem+json" : type]: { schema } } };
}
