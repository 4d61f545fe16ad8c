/**
 * Whatever is sent to the admin API ends as one answer with a stable code, and harms nobody else.
 */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import {
  type Answered,
  BASIC,
  destination,
  JSON_TYPE,
  KEY,
  type RelayWorld,
  send,
  startWorld,
  until,
} from "../lib/world.ts";

const SOON_MS = 5_000;
const DEAD_LETTERS = "/v1/dead-letters/test/emulator";
const ROTATE = "/v1/sources/test/web/rotate";
const REPLAYS = "/v1/replays/test";

function ask({ relay }: RelayWorld, method: string, path: string, body: unknown = ""): Promise<Answered> {
  return send(relay.adminUrl, method, path, body, body === "" ? {} : JSON_TYPE);
}

const many = (count: number): string => Array.from({ length: count }, (_, index) => index).join(",");

const CASES: readonly (readonly [method: string, path: string, body: string, status: number, code: string])[] = [
  ["GET", "/v1/trace/%E0%A4%A", "", 400, "invalid_path"],
  ["GET", "/v1/trace/%", "", 400, "invalid_path"],
  ["GET", "/v1/accounts?x=%zz", "", 400, "invalid_path"],
  ["GET", `/v1/trace/${"x".repeat(101)}`, "", 404, "unknown_event"],
  ["GET", `/v1/trace/${"x".repeat(32 * 1024 + 1)}`, "", 400, "invalid_request"],
  ["GET", "/v1/trace/x?environment=nowhere", "", 404, "unknown_environment"],
  ["GET", "/v1/trace/x?since=-5", "", 400, "invalid_request"],
  ["GET", "/v1/trace/x?since=8640000000000001", "", 400, "invalid_request"],
  ["GET", "/v1/trace/x?until=1", "", 404, "unknown_event"],
  ["GET", "/v1/tail?environment=nowhere", "", 404, "unknown_environment"],
  ["GET", "/v1/tail?environment=__proto__", "", 404, "unknown_environment"],
  ["GET", "/v1/tail?source=nobody", "", 404, "unknown_source"],
  ["GET", "/v1/tail?source=web&source=web", "", 400, "invalid_request"],
  ["GET", "/v1/dead-letters/nowhere/emulator", "", 404, "unknown_environment"],
  ["GET", "/v1/dead-letters/test/nobody", "", 404, "unknown_lane"],
  ["GET", "/v1/dead-letters/constructor/toString", "", 404, "unknown_environment"],
  ["GET", "/v1/dead-letters/test/__proto__/export", "", 404, "unknown_lane"],
  ["GET", "/v1/dead-letters/test%2Femulator/x", "", 404, "unknown_environment"],
  ["POST", "/v1/lanes/__proto__/constructor/pause", "", 404, "unknown_lane"],
  ["DELETE", "/v1/replays/test/nobody", "", 404, "unknown_replay"],
  ["DELETE", "/v1/replays/test/hasOwnProperty", "", 404, "unknown_replay"],
  ["GET", `${DEAD_LETTERS}?limit=0`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?limit=-1`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?limit=1e2`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?limit=`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?limit=1001`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?limit=99999999999999999999`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?after=9007199254740993`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?limit=1&limit=2`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?reason=a&reason=b`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?id=`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?id=1,,2`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?id=${many(1_001)}`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?state=__proto__`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?since=2026-02-30T99:00:00Z`, "", 400, "invalid_request"],
  ["GET", `${DEAD_LETTERS}?__proto__=1`, "", 400, "invalid_request"],
  // A filter that is mistyped would give up all of them.
  ["POST", `${DEAD_LETTERS}/discard?ids=17`, "", 400, "invalid_request"],
  ["POST", `${DEAD_LETTERS}/retry?eventsPerSecond=0`, "", 400, "invalid_request"],
  ["POST", `${DEAD_LETTERS}/retry?eventsPerSecond=NaN`, "", 400, "invalid_request"],
  ["POST", ROTATE, "", 400, "invalid_request"],
  ["POST", ROTATE, "null", 400, "invalid_request"],
  ["POST", ROTATE, "[]", 400, "invalid_request"],
  ["POST", ROTATE, '"text"', 400, "invalid_request"],
  ["POST", ROTATE, "{", 400, "invalid_request"],
  ["POST", ROTATE, '{"key":null}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":""}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"schlüssel"}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"ends\\n"}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"two words"}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"\\u0000"}', 400, "invalid_request"],
  ["POST", ROTATE, `{"key":"${"k".repeat(5_000)}"}`, 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"k","graceMs":null}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"k","graceMs":"1"}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"k","graceMs":1e999}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"k","graceMS":0}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"k","kind":"constructor"}', 400, "invalid_request"],
  ["POST", ROTATE, '{"key":"k","__proto__":{}}', 400, "invalid_request"],
  ["POST", "/v1/sources/test/__proto__/rotate", '{"key":"k"}', 404, "unknown_key_set"],
  ["POST", REPLAYS, "null", 400, "invalid_request"],
  ["POST", REPLAYS, "[1]", 400, "invalid_request"],
  ["POST", REPLAYS, '{"destination":5}', 400, "invalid_request"],
  ["POST", REPLAYS, '{"destination":"emulator","eventsPerSecond":1e999}', 400, "invalid_request"],
  ["POST", REPLAYS, '{"destination":"emulator","eventsPerSecond":1e-300}', 400, "invalid_request"],
  ["POST", REPLAYS, '{"destination":"emulator","since":{}}', 400, "invalid_request"],
  ["POST", REPLAYS, '{"destination":"emulator","since":-1}', 400, "invalid_request"],
  ["POST", REPLAYS, '{"destination":"emulator","since":"1 Jan 2026"}', 400, "invalid_request"],
  ["POST", REPLAYS, '{"destination":"emulator","dryRun":"no"}', 400, "invalid_request"],
  ["POST", REPLAYS, '{"destination":"emulator","userId":{"$ne":1}}', 400, "invalid_request"],
  ["POST", REPLAYS, `{"destination":"emulator","userId":"${"u".repeat(4_000)}"}`, 400, "invalid_request"],
  ["POST", REPLAYS, `{"destination":"emulator","x":"${"y".repeat(70_000)}"}`, 413, "body_too_large"],
  ["POST", "/v1/replays/constructor", '{"destination":"emulator"}', 404, "unknown_environment"],
  ["GET", "/nowhere", "", 404, "unknown_route"],
  ["GET", `/${"n".repeat(20_000)}`, "", 404, "unknown_route"],
  ["PUT", "/v1/reload", "", 404, "unknown_route"],
  ["TRACE", "/v1/reload", "", 404, "unknown_route"],
];
const SHOWN = 60;

test.each(CASES.map((one) => [`${one[0]} ${one[1].slice(0, SHOWN)} ${one[2].slice(0, SHOWN)}`, ...one] as const))(
  "%s",
  async (_name, method, path, body, status, code) => {
    const world = await sharedWorld();
    const answer = await ask(world, method, path, body);
    expect(answer).toMatchObject({ status, json: { code, detail: expect.any(String) as string } });
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    // What a request says comes back short.
    expect(answer.text.length).toBeLessThan(1_000);
    expect((await ask(world, "GET", "/health")).status).toBe(200);
  },
);

/** Refusals change nothing: one relay takes them all. */
let shared: Promise<RelayWorld> | undefined;
function sharedWorld(): Promise<RelayWorld> {
  shared ??= startWorld({ keep: true });
  return shared;
}

test("an id of thousands of characters is found by a trace", async () => {
  const world = await startWorld();
  const messageId = `${"long-ü/ ".repeat(700)}end`;
  await world.post("/v1/track", { type: "track", event: "E", userId: "u", messageId });
  await world.arrived(1);
  const answer = await ask(world, "GET", `/v1/trace/${encodeURIComponent(messageId)}`);
  expect(answer).toMatchObject({ status: 200, json: { events: [{ position: 0 }] } });
});

test("a key of one source is not made one of another, and keys do not pile up without end", async () => {
  const world = await startWorld({
    sources: {
      web: { protocol: "segment", writeKeys: [KEY] },
      app: { protocol: "segment", writeKeys: ["app-key"] },
    },
  });
  expect(await ask(world, "POST", ROTATE, { key: "app-key" })).toMatchObject({ status: 400 });
  const statuses: number[] = [];
  for (let index = 0; index < 101; index++)
    statuses.push((await ask(world, "POST", ROTATE, { key: `k${index}` })).status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(99);
  expect(statuses.at(-1)).toBe(400);
  expect((await send(world.relay.intakeUrl, "POST", "/v1/track", { userId: "u", event: "E" }, BASIC)).status).toBe(200);
});

/** A hundred dead letters of 100 KB. */
async function withDeadLetters(): Promise<RelayWorld> {
  const world = await startWorld({ destinations: (url) => ({ emulator: destination(url) }) });
  world.emulator.refuse(() => true);
  const pad = "x".repeat(100_000);
  for (let index = 0; index < 100; index++)
    await world.post(
      "/v1/track",
      `{"type":"track","event":"E",\n"userId":"u","messageId":"m-${index}","n":12345678901234567890,"pad":"${pad}"}`,
    );
  await until(() => world.relay.accounts().lanes[0]?.account.rejected === 100);
  return world;
}

test("pages of large dead letters end earlier, each event as it was stored, an export has a line each", async () => {
  const world = await withDeadLetters();
  const ids: number[] = [];
  for (let after: number | undefined = -1; after !== undefined; ) {
    const page = await ask(world, "GET", `${DEAD_LETTERS}?limit=1000${after < 0 ? "" : `&after=${after}`}`);
    const { deadLetters, next } = page.json as { deadLetters: { deadLetterId: number }[]; next?: number };
    // 1 MiB.
    expect(deadLetters.length).toBeLessThan(12);
    expect(page.text).toContain('"n":12345678901234567890');
    ids.push(...deadLetters.map(({ deadLetterId }) => deadLetterId));
    if (next !== undefined) expect(next).toBe(ids.at(-1));
    after = next;
  }
  expect(ids).toEqual(Array.from({ length: 100 }, (_, id) => id));
  const exported = await ask(world, "GET", `${DEAD_LETTERS}/export`);
  const lines = exported.text.trimEnd().split("\n");
  expect(lines).toHaveLength(100);
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ state: "waiting" });
  expect(await ask(world, "POST", `${DEAD_LETTERS}/discard`)).toMatchObject({ json: { discarded: 100 } });
});

const openFiles = (): number => readdirSync("/proc/self/fd").length;

test("exports whose reader goes away, or stops reading, leave no file open, and hold no stop up", async () => {
  const world = await withDeadLetters();
  const { hostname, port } = new URL(world.relay.adminUrl);
  const path = `${DEAD_LETTERS}/export`;
  const before = openFiles();
  const stalled: Socket[] = [];
  for (let round = 0; round < 5; round++) {
    for (let index = 0; index < 6; index++) {
      const outgoing = request({ hostname, port, path, agent: false });
      outgoing.on("error", () => undefined);
      outgoing.end();
      const [response] = (await once(outgoing, "response")) as [import("node:http").IncomingMessage];
      response.on("error", () => undefined);
      response.pause();
      // The last ones stay, and never read.
      if (round < 4) response.destroy();
      else stalled.push(response.socket);
    }
    if (round < 4) await until(() => openFiles() <= before);
  }
  const startedAtMs = performance.now();
  await world.relay.stop();
  expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS);
  for (const socket of stalled) socket.destroy();
});

async function tailOf(
  { relay }: RelayWorld,
  path = "/v1/tail",
): Promise<{ readonly status: number; readonly socket: Socket }> {
  const { hostname, port } = new URL(relay.adminUrl);
  const outgoing = request({ hostname, port, path, agent: false });
  outgoing.on("error", () => undefined);
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [import("node:http").IncomingMessage];
  response.on("error", () => undefined);
  response.resume();
  onTestFinished(() => void response.destroy());
  return { status: response.statusCode ?? 0, socket: response.socket };
}

test("tails are few; one that ends makes room", async () => {
  const world = await startWorld();
  const tails = [];
  for (let index = 0; index < 8; index++) tails.push(await tailOf(world));
  expect(tails.map(({ status }) => status)).toEqual(new Array(8).fill(200));
  expect(await ask(world, "GET", "/v1/tail")).toMatchObject({ status: 503, json: { code: "too_many_streams" } });
  expect(await ask(world, "GET", `${DEAD_LETTERS}/export`)).toMatchObject({ status: 503 });
  tails[0]?.socket.destroy();
  await until(async () => {
    const next = await tailOf(world, "/v1/tail?source=web");
    return next.status === 200;
  });
});

/** Connections that never send a whole request: nothing, a head, or a body in part. */
function halfSent({ relay }: RelayWorld, count: number): { readonly closed: () => number } {
  const { hostname, port } = new URL(relay.adminUrl);
  const head =
    "POST /v1/reload HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 900\r\n";
  let closed = 0;
  const sockets = Array.from({ length: count }, (_, index) => {
    const socket = connect(Number(port), hostname);
    socket.on("error", () => undefined);
    socket.on("close", () => (closed += 1));
    socket.on("data", () => undefined);
    socket.write(["", head, `${head}\r\n{`][index % 3] as string);
    return socket;
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { closed: () => closed };
}

test("a thousand half-sent requests lock nobody out: the oldest give way", async () => {
  const world = await startWorld();
  const { closed } = halfSent(world, 1_000);
  await until(() => closed() >= 1_000 - 256);
  expect((await ask(world, "GET", "/v1/accounts")).status).toBe(200);
  expect((await ask(world, "POST", ROTATE, { key: KEY })).status).toBe(200);
  expect((await world.post("/v1/track", { userId: "u", event: "E" })).status).toBe(200);
});

test("half-sent requests end with their timeouts, soon after", async () => {
  const limits = { headersTimeout: "300ms", requestTimeout: "300ms" };
  const world = await startWorld({ extra: { admin: { listen: "127.0.0.1:0" }, limits } });
  const startedAtMs = performance.now();
  const { closed } = halfSent(world, 30);
  await until(() => closed() === 30);
  expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS);
});
