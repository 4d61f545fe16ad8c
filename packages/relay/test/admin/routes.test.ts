/**
 * Every route, every status that its table documents: real answers against the table's schemas,
 * strictly.
 */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { answersOf, PROBLEM_TYPE, type RouteDefinition } from "../../src/admin/routes/route.ts";
import { ADMIN_ROUTES, type AdminRequest, adminPath, type Operation } from "../../src/admin/routes/table.ts";
import {
  type Answered,
  configOf,
  destination,
  JSON_TYPE,
  type RelayWorld,
  send,
  startWorld,
  until,
} from "../lib/world.ts";
import { serveView } from "./lib/serve-view.ts";

const TOKEN = "a-long-token";
const AUTHORIZED = { authorization: `Bearer ${TOKEN}` };
const LANE = { environment: "test", destination: "emulator" };
const NOWHERE = { environment: "nowhere", destination: "emulator" };
const PARTITION: Readonly<Record<string, string>> = { environment: "test/0" };
const PATHS: Readonly<Record<string, string>> = {
  position: "0",
  environment: "test",
  destination: "emulator",
  source: "web",
  messageId: "x",
  positions: "0",
  id: "x",
  offset: "0",
};

const operations = Object.keys(ADMIN_ROUTES) as Operation[];
const routeOf = (operation: Operation): RouteDefinition => ADMIN_ROUTES[operation];
const seen = new Set<string>();

interface Ask extends AdminRequest {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Added to the query as it is. */
  readonly search?: string;
}

/** Asks, and holds the answer against the table. */
async function ask(url: string, operation: Operation, given: Ask = {}): Promise<Answered> {
  const { params = PATHS, query, body = "", headers = AUTHORIZED, search = "" } = given;
  const type = body === "" ? {} : JSON_TYPE;
  const path = `${adminPath(operation, { params, query })}${search}`;
  const answer = await send(url, routeOf(operation).method, path, body, { ...type, ...headers });
  hold(operation, answer);
  return answer;
}

function hold(operation: Operation, { status, text, headers }: Answered): void {
  const name = `${operation} ${status}`;
  const documented = answersOf(routeOf(operation))[status];
  expect(documented, `${name} is documented: ${text}`).toBeDefined();
  const { schema, type, codes } = documented ?? {};
  seen.add(name);
  if (schema === undefined && type === undefined) expect(text, name).toBe("");
  else expect(headers["content-type"], name).toMatch(type ?? "application/json");
  if (schema === undefined) return;
  for (const value of valuesOf(text, type)) {
    // What a schema does not know is not in what it parses.
    expect(schema.parse(value), name).toEqual(value);
    if (codes !== undefined) expect(codes, name).toContain((value as { code: string }).code);
  }
}

function valuesOf(text: string, type: string | undefined): readonly unknown[] {
  if (type === undefined || type === PROBLEM_TYPE) return [JSON.parse(text)];
  const lines = text.split("\n").filter((line) => line.startsWith("data: ") || line.startsWith("{"));
  expect(lines.length).toBeGreaterThan(0);
  return lines.map((line) => JSON.parse(line.replace(/^data: /, "")) as unknown);
}

const EVENT = { type: "track", userId: "u", event: "Good" };
const logged: unknown[][] = [];
const ignore = (): void => undefined;
const logger = { info: ignore, error: ignore, debug: ignore, warn: (...line: unknown[]) => void logged.push(line) };

let world: RelayWorld;
let url = "";
let isBadFile = false;
let hasLater = true;

beforeAll(async () => {
  const destinations = (at: string): Record<string, unknown> => ({
    emulator: destination(at),
    ...(hasLater ? { later: destination("http://127.0.0.1:9") } : {}),
  });
  const extra = { admin: { listen: "127.0.0.1:0", token: TOKEN } };
  world = await startWorld({
    keep: true,
    logger: logger as never,
    destinations,
    extra,
    reloadConfig: () => {
      if (isBadFile) throw new WaybillError("WAYBILL_CONFIG", "The file is wrong");
      return Promise.resolve(configOf(world.directory, world.server.url, { destinations, extra }));
    },
  });
  url = world.relay.adminUrl;
  world.emulator.refuse((event) => event["event"] === "Bad");
  const batch = ["Good", "Bad", "Bad"].map((event, index) => ({
    type: "track",
    userId: "u",
    event,
    messageId: `m-${index}`,
  }));
  await world.post("/v1/batch", { batch });
  await until(() => world.relay.accounts().lanes[0]?.account.rejected === 2);
});

function bodyOf(operation: Operation): object {
  if (operation === "checkConfig") return { text: "" };
  if (operation === "signIn") return { token: "wrong-token" };
  if (operation === "moveCursor") return { position: 1 };
  return operation === "startReplay" ? { destination: "emulator" } : { key: "k" };
}

test.each(operations)(
  "%s answers requests that are wrong, foreign or without a token as documented",
  async (operation) => {
    const { method, access = "guarded" } = routeOf(operation);
    expect((await ask(url, operation, { search: "?nonsense=1" })).json).toMatchObject({
      status: 400,
      parameter: "nonsense",
    });
    if (access === "probe") return;
    if (access !== "open") expect((await ask(url, operation, { headers: {} })).status).toBe(401);
    const wrongType = { ...AUTHORIZED, "content-type": "text/plain" };
    expect((await ask(url, operation, { headers: wrongType })).status).toBe(415);
    if (access === "metrics") return;
    expect((await ask(url, operation, { headers: { ...AUTHORIZED, origin: "http://evil.example" } })).status).toBe(403);
    expect((await ask(url, operation, { headers: { ...AUTHORIZED, host: "evil.example" } })).status).toBe(403);
    const { bodyMaxBytes = 65_536 } = routeOf(operation);
    const body = `"${"x".repeat(bodyMaxBytes)}"`;
    if (method === "GET") return;
    expect((await ask(url, operation, { body })).status).toBe(413);
    expect((await ask(url, operation, { body: { nonsense: [1] } })).json).toMatchObject({
      status: 400,
      parameter: "nonsense",
    });
  },
);

test.each(operations.filter((operation) => answersOf(routeOf(operation))[404] !== undefined))(
  "%s answers 404 for what is not there",
  async (operation) => {
    const params = Object.fromEntries(
      Object.keys(PATHS).map((name) => [name, /^(?:position|offset)/.test(name) ? "999" : "nowhere"]),
    );
    const body = bodyOf(operation);
    const hasBody = routeOf(operation).body !== undefined;
    const inQuery: readonly Operation[] = ["tail", "showHistory", "searchEvents"];
    const query = inQuery.includes(operation) ? { environment: "nowhere" } : {};
    expect((await ask(url, operation, { params, query, ...(hasBody ? { body } : {}) })).status).toBe(404);
  },
);

test("what shows the relay as a whole answers as documented", async () => {
  await ask(url, "rotateSourceKey", { body: { key: "next-key" } });
  await ask(url, "rotateDestinationKey", { body: { key: "next-key", graceMs: 1.5 } });
  for (const operation of [
    "health",
    "metrics",
    "openApi",
    "listEnvironments",
    "showAccounts",
    "showOverview",
    "showHistory",
    "showSession",
    "showConfig",
    "checkConfig",
  ] as const)
    expect((await ask(url, operation)).status, operation).toBe(200);
  expect((await ask(url, "listRotations")).json).toHaveLength(2);
  expect((await ask(url, "ready")).json).toHaveProperty("lanes");
  expect((await ask(url, "ready", { headers: {} })).json).not.toHaveProperty("lanes");
});

test("what shows single events answers as documented", async () => {
  expect((await ask(url, "trace", { params: { messageId: "m-0" } })).status).toBe(200);
  expect((await ask(url, "traceReceipt", { params: { environment: "test", positions: "0+2,2" } })).json).toHaveProperty(
    "events.2",
  );
  expect((await ask(url, "showEvent")).json).toMatchObject({ position: 0, name: "Good" });
  expect((await ask(url, "searchEvents", { query: { name: "Bad" } })).json).toHaveProperty("events.1");
  const page = await ask(url, "listDeadLetters", { params: LANE, query: { limit: 1 } });
  expect(page.json).toMatchObject({ deadLetters: [{ deadLetterId: 0 }], next: 0 });
  const chosen = await ask(url, "listDeadLetters", { params: LANE, query: { id: "1", since: 0 } });
  expect(chosen.json).toHaveProperty("deadLetters.0.attempts.0");
  expect((await ask(url, "listReasons", { params: LANE })).json).toMatchObject({
    groups: [{ waiting: 2, example: 1 }],
  });
  const counted = await ask(url, "retryDeadLetters", { params: LANE, query: { dryRun: "true" } });
  expect(counted).toMatchObject({ status: 200, json: { events: 2 } });
  expect((await ask(url, "exportDeadLetters", { params: LANE })).text.trim().split("\n")).toHaveLength(2);
  expect((await ask(url, "exportDeadLetters", { params: NOWHERE })).status).toBe(404);
});

test("a lane that waits is probed at once, as documented", async () => {
  const later = { environment: "test", destination: "later" };
  await until(async () => (await ask(url, "probeLane", { params: later })).status === 202);
  const { json } = await ask(url, "listRecentAttempts", { params: later });
  expect(json).toMatchObject({
    attempts: expect.arrayContaining([expect.objectContaining({ status: null })]) as never,
  });
});

test("what changes the relay answers as documented", async () => {
  for (const operation of ["pauseLane", "resumeLane"] as const)
    expect((await ask(url, operation, { params: LANE })).status).toBe(204);
  const body = { destination: "emulator", since: "2026-01-01", type: "track", userId: "u" };
  const counted = await ask(url, "startReplay", { body: { ...body, dryRun: true } });
  expect(counted).toMatchObject({ status: 200, json: { events: 3 } });
  const started = await ask(url, "startReplay", { body: { ...body, eventsPerSecond: 0.5 } });
  expect(started.status).toBe(202);
  expect((await ask(url, "listReplays")).json).toHaveLength(1);
  const id = String(started.json["id"]);
  expect((await ask(url, "cancelReplay", { params: { environment: "test", id } })).status).toBe(204);
  expect((await ask(url, "discardDeadLetters", { params: LANE, query: { id: 1 } })).json).toEqual({
    events: 1,
    discarded: 1,
  });
  world.emulator.refuse(() => false);
  expect((await ask(url, "retryDeadLetters", { params: LANE, query: { eventsPerSecond: 9 } })).status).toBe(202);
  await until(() => world.relay.accounts().replays[1]?.state === "done");
  const traced = await ask(url, "trace", { params: { messageId: "m-1" } });
  expect(traced.json).toHaveProperty("events.0.destinations.0.deliveredByRetryAtMs");
  expect((await ask(url, "reload")).status).toBe(200);
  isBadFile = true;
  expect((await ask(url, "reload")).status).toBe(422);
  isBadFile = false;
  hasLater = false;
  await ask(url, "reload");
  expect((await ask(url, "trace", { params: { messageId: "m-1" } })).json).toHaveProperty(
    "events.0.destinations.1.removed",
    true,
  );
  expect((await ask(url, "showAccounts")).status).toBe(200);
});

test("the cursor of a lane that is stopped is moved forward, and no other, as documented", async () => {
  const move = (body: object): Promise<Answered> => ask(url, "moveCursor", { params: LANE, body });
  await until(() => world.relay.accounts().lanes[0]?.mode === "idle");
  expect(await move({ position: 1 })).toMatchObject({
    status: 409,
    json: { code: "lane_not_stopped", detail: expect.stringMatching(/is idle. Pause it first/) as string },
  });
  await ask(url, "pauseLane", { params: LANE });
  await until(() => world.relay.accounts().lanes[0]?.mode === "paused");
  const head = world.relay.accounts().lanes[0]?.account.accepted ?? 0;
  for (const position of [0, head, head + 9])
    expect((await move({ position })).json).toMatchObject({ code: "position_out_of_range" });
  await world.post("/v1/batch", { batch: [0, 1, 2].map((n) => ({ ...EVENT, messageId: `skip-${n}` })) });
  const skip = { from: head, to: head + 2, events: 2 };
  expect(await move({ position: head + 2, dryRun: true })).toMatchObject({
    status: 200,
    json: { ...skip, moved: false },
  });
  expect(world.relay.accounts().lanes[0]?.account.pending).toBe(3);
  expect(await move({ position: head + 2 })).toMatchObject({ status: 200, json: { ...skip, moved: true } });
  expect(world.relay.accounts().lanes[0]?.account).toMatchObject({
    pending: 1,
    droppedByReason: { skipped: 2 },
    balanced: true,
  });
  expect(logged).toContainEqual([
    expect.objectContaining({
      code: "cursor_moved",
      environment: "test",
      destination: "emulator",
      ...skip,
      by: "admin",
    }),
    "the cursor was moved; events are skipped",
  ]);
  await ask(url, "resumeLane", { params: LANE });
  await until(() => world.relay.accounts().lanes[0]?.account.pending === 0);
  const traced = await ask(url, "trace", { params: { messageId: "skip-1" } });
  expect(traced.json).toHaveProperty("events.0.destinations.0.reason", "skipped");
  expect(JSON.stringify(world.delivered)).not.toContain("skip-1");
  expect(JSON.stringify(world.delivered)).toContain("skip-2");
});

test("a lane is shown as documented", async () => {
  const shown = await ask(url, "showLane", { params: LANE });
  expect(shown.json).toMatchObject({ vendor: "segment", settings: { writeKey: "(secret)", timeoutMs: 10_000 } });
  expect(shown.text).not.toContain('outbound"');
  const recent = await ask(url, "listRecentAttempts", { params: LANE });
  expect(recent.json).toHaveProperty("attempts.0.sequence");
  expect((await ask(url, "showHistory", { query: { destination: "nowhere" } })).status).toBe(404);
  expect(await ask(url, "probeLane", { params: LANE })).toMatchObject({
    status: 409,
    json: { code: "nothing_to_probe" },
  });
});

test("signing in and out is answered as documented", async () => {
  expect((await ask(url, "signIn", { body: { token: TOKEN }, headers: {} })).json).toMatchObject({ role: "full" });
  for (let index = 0; index < 10; index++)
    expect((await ask(url, "signIn", { body: { token: "wrong-token" }, headers: {} })).status).toBe(401);
  expect((await ask(url, "signIn", { body: { token: TOKEN }, headers: {} })).status).toBe(429);
  expect((await ask(url, "signOut")).status).toBe(204);
});

test("a tail sends events as documented, and a ninth stream is refused as documented", async () => {
  const tails = [];
  for (let index = 0; index < 8; index++) tails.push(await openStream("tail"));
  let text = "";
  tails[0]?.on("data", (chunk) => (text += String(chunk)));
  await until(() => text.includes("listening"));
  await world.post("/v1/track", { userId: "u", event: "E", messageId: "m-9" });
  await until(() => text.includes("m-9"));
  hold("tail", { status: 200, text, json: {}, headers: tails[0]?.headers ?? {} });
  for (const operation of ["tail", "exportDeadLetters"] as const)
    expect((await ask(url, operation, { params: LANE })).status).toBe(503);
});

async function openStream(operation: Operation): Promise<IncomingMessage> {
  const { hostname, port } = new URL(url);
  const path = adminPath(operation, { params: PATHS });
  const outgoing = request({ hostname, port, path, agent: false, headers: AUTHORIZED });
  outgoing.on("error", () => undefined);
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  response.on("error", () => undefined);
  onTestFinished(() => void response.destroy());
  return response;
}

test("live views send what is there and what changes as documented, and the 65th is refused", async () => {
  const views = [];
  for (let index = 0; index < 64; index++)
    views.push(await openStream(index === 1 ? "watchAttempts" : "watchOverview"));
  const texts = ["", ""];
  for (const index of [0, 1]) views[index]?.on("data", (chunk) => (texts[index] += String(chunk)));
  for (const [index, operation] of (["watchOverview", "watchAttempts"] as const).entries()) {
    const first = (): string | undefined => /^event: .*\ndata: .*\n\n/m.exec(texts[index] ?? "")?.[0];
    await until(() => first() !== undefined);
    hold(operation, { status: 200, text: first() ?? "", json: {}, headers: views[index]?.headers ?? {} });
    expect((await ask(url, operation, { params: LANE })).status).toBe(503);
  }
  const before = texts[0]?.length ?? 0;
  await world.post("/v1/track", { userId: "u", event: "E", messageId: "m-live" });
  await until(() => (texts[0]?.length ?? 0) > before);
  const messages = () => (texts[0] ?? "").split("\n\n").filter((message) => message.startsWith("event: overview"));
  await until(() => messages().length > 1);
});

const later = (delayMs: number): Promise<number> =>
  new Promise((resolve) => void nodeClock.after(delayMs, () => resolve(0), true));

test("a failed lane, a log that cannot store and a full list of replays are answered as documented", async () => {
  const failed = { environment: "e", destination: "d", mode: "failed", reason: "a broken invariant" };
  const components = [{ name: "e", ready: false, reason: "the disk is full" }];
  const environment = {
    name: "e",
    log: { first: 0, head: 0 },
    replays: { views: () => Array(200).fill({}) },
    destination: () => ({}),
  };
  const at = await serveView({
    readiness: () => ({ ready: false, components, lanes: [failed] }),
    environment: () => environment,
    checkConfig: () => Promise.resolve("no file"),
    cluster: () => ({ now: 1, readAt: 1, isStale: false, relays: [], lanes: [] }),
  });
  expect((await ask(at, "showCluster")).status).toBe(200);
  for (const host of ["127.0.0.1", "evil.example"])
    for (const operation of ["health", "ready"] as const)
      expect((await ask(at, operation, { headers: { host } })).status).toBe(503);
  expect((await ask(at, "retryDeadLetters")).status).toBe(409);
  expect((await ask(at, "checkConfig")).json).toMatchObject({ status: 409, code: "no_config_file" });
  expect((await ask(at, "startReplay", { body: { destination: "d" } })).status).toBe(409);
});

/** Those that need nothing of the relay. */
const ALONE: readonly Operation[] = ["openApi", "showSession", "signIn", "signOut"];

test.each([
  ["a defect", new TypeError("secret"), 500, "internal"],
  ["a disk that fails", new WaybillError("WAYBILL_DISK", "EIO"), 503, "storage_unavailable"],
  ["a stop", new WaybillError("WAYBILL_CLOSED", "closing"), 503, "closing"],
])("%s is a problem on every route that touches the relay", async (_name, error, status, code) => {
  const broken = new Proxy(
    { guard: 0, clock: 0, drain: 0, stopping: 0, onError: 0 },
    {
      get: () => () => {
        throw error;
      },
    },
  );
  const names = [
    "accounts",
    "overview",
    "sampler",
    "lane",
    "readiness",
    "metrics",
    "environment",
    "environments",
    "reload",
    "config",
    "checkConfig",
    "plan",
    "cluster",
    "answerHere",
    "rotations",
    "rotate",
    "steer",
  ];
  const at = await serveView(
    Object.fromEntries(names.map((name) => [name, (broken as Record<string, unknown>)[name]])),
  );
  for (const operation of operations.filter((one) => !ALONE.includes(one))) {
    const body = routeOf(operation).body === undefined ? undefined : bodyOf(operation);
    const { method } = routeOf(operation);
    const path = adminPath(operation, { params: { ...PATHS, ...(operation === "awaitAnswer" ? PARTITION : {}) } });
    const headers = { "waybill-relay": "id", ...(body === undefined ? {} : JSON_TYPE) };
    const answer = await send(at, method, path, body ?? "", headers);
    expect(answer, operation).toMatchObject({ status, json: { code } });
  }
});

test("relays of a cluster that have not confirmed are named", async () => {
  const confirmation = Promise.resolve({ unconfirmed: ["relay-2 (seen 9 s ago)"] });
  const at = await serveView({ steer: () => confirmation, rotate: () => confirmation });
  for (const operation of ["pauseLane", "resumeLane"] as const) {
    const { status, json } = await ask(at, operation, { params: LANE, headers: {} });
    expect([status, json]).toEqual([202, { unconfirmed: ["relay-2 (seen 9 s ago)"] }]);
  }
  const { status, json } = await ask(at, "rotateDestinationKey", { params: LANE, headers: {}, body: { key: "new" } });
  expect([status, json["unconfirmed"]]).toEqual([200, ["relay-2 (seen 9 s ago)"]]);
});

test("a vendor's answer is given to other relays as documented", async () => {
  let answer: unknown = { status: 201, headers: { "content-type": "application/json" }, body: "{}" };
  const at = await serveView({ answerHere: () => Promise.resolve(answer) });
  const waited = (headers = { "waybill-relay": "id" }, params = { ...PATHS, ...PARTITION }): Promise<Answered> =>
    ask(at, "awaitAnswer", { params, headers });
  expect((await waited()).json).toEqual({ status: 201, contentType: "application/json", body: "{}" });
  answer = { status: 201, headers: {}, body: "" };
  expect((await waited()).json).toMatchObject({ contentType: null });
  answer = undefined;
  expect((await waited()).status).toBe(204);
  answer = "nobody";
  for (const params of [{ ...PATHS, ...PARTITION }, PATHS])
    expect((await waited(undefined, params)).json).toMatchObject({ status: 404, code: "unknown_lane" });
  expect((await ask(at, "awaitAnswer", { headers: {} })).json).toMatchObject({ status: 403, code: "relays_only" });
});

test("a relay's 129th request that waits for a vendor is refused as documented", async () => {
  let waiting = 0;
  const at = await serveView({
    answerHere: () => {
      waiting += 1;
      return new Promise(() => undefined);
    },
  });
  const params = { ...PATHS, ...PARTITION };
  const headers = { "waybill-relay": "id" };
  const path = adminPath("awaitAnswer", { params });
  for (let index = 0; index < 128; index++) void send(at, "GET", path, "", headers).catch(() => undefined);
  await until(() => waiting === 128);
  expect((await ask(at, "awaitAnswer", { params, headers })).status).toBe(503);
});

test("a fifth search at the same time is refused as documented", async () => {
  const hangs = { list: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) }) };
  const reader = { read: () => new Promise(() => undefined), close: () => Promise.resolve() };
  const log = { first: 0, head: 1, reader: () => reader };
  const environment = { name: "e", log, destination: () => ({ deadLetters: hangs }) };
  const at = await serveView({ environments: () => [environment], environment: () => environment });
  for (let index = 0; index < 4; index++) void send(at, "GET", "/v1/search", "", {}).catch(() => undefined);
  await until(async () => {
    const answers = [ask(at, "searchEvents").then(({ status }) => status), later(20)];
    return (await Promise.race(answers)) === 503;
  });
  expect((await ask(at, "listReasons")).status).toBe(503);
});

test("a third check of a configuration at the same time is refused before its body is read", async () => {
  const at = await serveView({ checkConfig: () => new Promise(() => undefined) });
  for (let index = 0; index < 2; index++)
    void send(at, "POST", "/v1/config/check", "{}", JSON_TYPE).catch(() => undefined);
  await until(async () => {
    const answers = [ask(at, "checkConfig").then(({ status }) => status), later(20)];
    return (await Promise.race(answers)) === 503;
  });
  const body = `"${"x".repeat(3_000_000)}"`;
  expect((await ask(at, "checkConfig", { body })).json).toMatchObject({ status: 503, code: "too_many_streams" });
});

test("after ten wrong tokens every route that needs one answers as documented", async () => {
  const at = await serveView({ guard: () => ({ hosts: [], token: TOKEN, readOnlyToken: undefined }) });
  const headers = { authorization: "Bearer wrong" };
  for (let index = 0; index < 10; index++)
    expect((await ask(at, "showAccounts", { headers })).status, `try ${index}`).toBe(401);
  for (const operation of operations.filter((one) => answersOf(routeOf(one))[401] !== undefined)) {
    if (operation === "signIn") continue;
    const answer = await ask(at, operation, { headers });
    expect(answer.status, operation).toBe(429);
    expect(answer.headers["retry-after"]).toMatch(/^\d+$/);
  }
});

test.each([
  ["listDeadLetters", "?limit=1e2", "limit", "1e2", "a whole number from 1 to 1000"],
  ["listDeadLetters", "?since=soon", "since", "soon", "a time as ISO 8601 or in epoch milliseconds"],
  ["listDeadLetters", "?state=new", "state", "new", "one of waiting, retried, discarded"],
  [
    "discardDeadLetters",
    "?ids=17",
    "ids",
    undefined,
    "one of state, source, reason, name, user, since, until, id, dryRun",
  ],
  ["listDeadLetters", "?limit=1&limit=2", "limit", undefined, "one value"],
] as const)(
  "%s%s: the refusal names %s, what was given and what is expected",
  async (operation, search, parameter, given, expected) => {
    const { json } = await ask(url, operation, { params: LANE, search });
    expect(json).toMatchObject({ status: 400, code: "invalid_request", parameter, expected });
    expect(json["given"]).toBe(given);
    expect(json["detail"]).toContain(parameter);
  },
);

test.each([0, -0.0005, 1_000_001, "fast"])("a replay of %s events a second is refused", async (eventsPerSecond) => {
  const { json } = await ask(url, "startReplay", { body: { destination: "emulator", eventsPerSecond } });
  const expected = "a number from 0.001 to 1000000";
  expect(json).toMatchObject({ status: 400, code: "invalid_request", parameter: "eventsPerSecond", expected });
});

test("a key that is refused is not repeated", async () => {
  for (const key of ["two secret words", "geheimnisträger", 42_424_242]) {
    const { status, text } = await ask(url, "rotateSourceKey", { body: { key } });
    expect([status, text.includes(String(key)), text.includes("field key")]).toEqual([400, false, true]);
  }
});

test("each documented status of each route has been answered here", () => {
  const documented = operations.flatMap((operation) =>
    Object.keys(answersOf(routeOf(operation))).map((status) => `${operation} ${status}`),
  );
  expect([...seen].toSorted()).toEqual(documented.toSorted());
});
