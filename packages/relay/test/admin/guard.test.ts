/**
 * A web page in the operator's browser, a name that was made to lead here, a client without the
 * token: what the admin API does not answer.
 */
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type Answered, JSON_TYPE, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const TOKEN = "a-long-token";
const ROTATE = "/v1/sources/test/web/rotate";
const PAUSE = "/v1/lanes/test/emulator/pause";

async function worldWith(token: string | undefined, more: object = {}): Promise<RelayWorld> {
  const admin = { listen: "127.0.0.1:0", ...(token === undefined ? {} : { token }), ...more };
  return startWorld({ extra: { admin } });
}

function ask(
  { relay }: RelayWorld,
  [method, path]: readonly [string, string],
  headers: Readonly<Record<string, string>>,
  body: unknown = "",
): Promise<Answered> {
  return send(relay.adminUrl, method, path, body, { authorization: `Bearer ${TOKEN}`, ...headers });
}

const portOf = ({ relay }: RelayWorld): string => new URL(relay.adminUrl).port;

test.each([
  ["without a token", undefined],
  ["with a token", TOKEN],
])("%s, foreign pages are refused whatever they ask for", async (_name, token) => {
  const world = await worldWith(token);
  const foreign: readonly Readonly<Record<string, string>>[] = [
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:1" },
    { origin: `http://localhost:${portOf(world)}` },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
  ];
  for (const headers of foreign) {
    for (const route of [
      ["POST", PAUSE],
      ["POST", "/v1/reload"],
      ["GET", "/v1/accounts"],
      ["GET", "/v1/tail"],
      ["GET", "/openapi.json"],
      ["OPTIONS", "/v1/reload"],
      ["GET", "/nowhere"],
    ] as const) {
      const answer = await ask(world, route, headers);
      expect(answer, JSON.stringify([route, headers])).toMatchObject({ status: 403, json: { code: "foreign_origin" } });
      expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
    }
    const rotated = await ask(world, ["POST", ROTATE], { ...headers, ...JSON_TYPE }, { key: "theirs" });
    expect(rotated.status).toBe(403);
  }
  expect(world.relay.accounts().lanes[0]?.mode).toBe("idle");
});

test("its own page, and clients that are not pages, are answered", async () => {
  const world = await worldWith(undefined);
  const host = `127.0.0.1:${portOf(world)}`;
  for (const headers of [
    {},
    { origin: `http://${host}`, "sec-fetch-site": "same-origin" },
    { "sec-fetch-site": "none" },
    // Through a proxy that speaks TLS.
    { host: "localhost", origin: "https://localhost" },
  ] as const)
    expect((await ask(world, ["GET", "/v1/accounts"], headers)).status, JSON.stringify(headers)).toBe(200);
});

test.each([
  "evil.example",
  "evil.example:8081",
  "127.0.0.1.evil.example",
  "localhost.evil.example",
  "10.0.0.1",
  "0.0.0.0",
])("a request for the host %s is refused, as a rebound name would send it", async (host) => {
  const world = await worldWith(undefined);
  for (const route of [
    ["GET", "/v1/accounts"],
    ["GET", "/openapi.json"],
    ["POST", PAUSE],
  ] as const)
    expect(await ask(world, route, { host })).toMatchObject({ status: 403, json: { code: "unknown_host" } });
  // A page of that name is its own origin.
  expect((await ask(world, ["POST", PAUSE], { host, origin: `http://${host}` })).status).toBe(403);
  expect(world.relay.accounts().lanes[0]?.mode).toBe("idle");
});

test("loopback by any name or port, and what admin.hosts names, are known", async () => {
  const world = await worldWith(undefined, { hosts: ["waybill.internal", "10.1.2.3", "fd00::1"] });
  for (const host of [
    "localhost",
    "LOCALHOST:9",
    "relay.localhost",
    "127.0.0.1",
    "127.8.8.8:1",
    "[::1]:8081",
    "localhost.",
    "waybill.internal",
    "waybill.internal:80",
    "10.1.2.3",
    "[fd00::1]:8081",
  ])
    expect((await ask(world, ["GET", "/v1/accounts"], { host })).status, host).toBe(200);
});

test("health, ready and metrics take any host; what they name is for those who may ask", async () => {
  const world = await worldWith(TOKEN);
  const rebound = { host: "evil.example", authorization: "" };
  expect((await ask(world, ["GET", "/health"], rebound)).status).toBe(200);
  expect((await ask(world, ["GET", "/ready"], rebound)).json).toEqual({
    ready: true,
    components: [{ name: "log", ready: true }],
  });
  expect((await ask(world, ["GET", "/ready"], { authorization: "" })).json).not.toHaveProperty("lanes");
  expect((await ask(world, ["GET", "/ready"], {})).json).toHaveProperty("lanes");
  expect((await ask(world, ["GET", "/metrics"], rebound)).status).toBe(401);
  expect((await ask(world, ["GET", "/metrics"], { host: "evil.example" })).status).toBe(200);
  const open = await worldWith(undefined);
  expect((await ask(open, ["GET", "/metrics"], { host: "prometheus.internal" })).status).toBe(200);
  expect((await ask(open, ["GET", "/ready"], { host: "evil.example" })).json).not.toHaveProperty("lanes");
});

test.each([
  ["an HTML form", { "content-type": "application/x-www-form-urlencoded" }, "key=theirs"],
  ["an HTML form without fields", { "content-type": "application/x-www-form-urlencoded" }, ""],
  ["an HTML form as plain text", { "content-type": "text/plain" }, '{"key":"theirs"}'],
  ["an HTML form with files", { "content-type": "multipart/form-data; boundary=x" }, "--x--"],
  ["a body of no type", {}, '{"key":"theirs"}'],
  ["a type that begins like JSON", { "content-type": "application/jsonp" }, '{"key":"theirs"}'],
])("%s is refused, also where no body is needed", async (_name, headers, body) => {
  const world = await worldWith(undefined);
  for (const path of [ROTATE, PAUSE])
    expect(await ask(world, ["POST", path], headers, body)).toMatchObject({
      status: 415,
      json: { code: "json_required" },
    });
  expect(world.relay.accounts().lanes[0]?.mode).toBe("idle");
});

test("JSON with a charset, and no body at all, are taken", async () => {
  const world = await worldWith(undefined);
  const typed = { "content-type": "Application/JSON; charset=utf-8" };
  expect((await ask(world, ["POST", ROTATE], typed, { key: "k" })).status).toBe(200);
  expect((await ask(world, ["POST", PAUSE], {})).status).toBe(204);
});

test.each([
  "",
  "Bearer",
  "Bearer wrong",
  `bearer ${TOKEN}`,
  `Bearer ${TOKEN} `,
  `Basic ${TOKEN}`,
  `Bearer ${"x".repeat(9_000)}`,
])("the token must be there, whole: %s", async (authorization) => {
  const world = await worldWith(TOKEN);
  // A head's white space at its end is not a part of the value.
  const expected = authorization.trim() === `Bearer ${TOKEN}` ? 200 : 401;
  for (const path of ["/v1/accounts", "/metrics", "/nowhere"])
    expect((await ask(world, ["GET", path], { authorization })).status).toBe(
      expected === 200 && path === "/nowhere" ? 404 : expected,
    );
});

test("a request without any host is not answered, a probe of HTTP/1.0 is", async () => {
  const world = await worldWith(undefined);
  const raw = async (head: string): Promise<string> => {
    const socket = connect(Number(portOf(world)), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    let text = "";
    socket.on("data", (chunk) => (text += String(chunk)));
    socket.write(`${head}\r\n\r\n`);
    await until(() => text.includes("\r\n\r\n"));
    return text;
  };
  expect(await raw("GET /v1/accounts HTTP/1.0")).toMatch(/^HTTP\/1.1 403/);
  expect(await raw("POST /v1/reload HTTP/1.1\r\nhost: ")).toMatch(/^HTTP\/1.1 403/);
  expect(await raw("GET /health HTTP/1.0")).toMatch(/^HTTP\/1.1 200/);
  expect(await raw("GET http://evil.example/v1/accounts HTTP/1.1\r\nhost: 127.0.0.1")).toMatch(/^HTTP\/1.1 400/);
  expect(await raw("GET /v1/accounts HTTP/1.1\r\nhost: evil.example\r\nhost: 127.0.0.1")).toMatch(/^HTTP\/1.1 4/);
});
