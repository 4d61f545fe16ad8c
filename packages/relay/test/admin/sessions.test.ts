/** Signing in with the page: what a cookie may do, for how long, and who is kept out. */
import { request } from "node:http";
import { expect, test } from "vitest";
import { type Answered, configOf, JSON_TYPE, type RelayWorld, send, startWorld } from "../lib/world.ts";

const TOKEN = "a-long-token";
const READ_ONLY = "only-for-looking";
const PAUSE = "/v1/lanes/test/emulator/pause";
const ADMIN = { listen: "127.0.0.1:0", token: TOKEN, readOnlyToken: READ_ONLY };

const startWith = (admin: object = ADMIN): Promise<RelayWorld> => startWorld({ extra: { admin } });
const ownOrigin = ({ relay }: RelayWorld): Record<string, string> => ({ origin: relay.adminUrl });

function signIn({ relay }: RelayWorld, token: string, headers: Record<string, string> = {}): Promise<Answered> {
  return send(relay.adminUrl, "POST", "/v1/session", { token }, { ...JSON_TYPE, ...headers });
}

function cookieOf({ headers }: Answered): Record<string, string> {
  const [text = ""] = headers["set-cookie"] ?? [];
  return { cookie: text.split(";")[0] ?? "" };
}

function ask({ relay }: RelayWorld, method: string, path: string, headers: Record<string, string>): Promise<Answered> {
  return send(relay.adminUrl, method, path, "", headers);
}

test("a token becomes a cookie that scripts cannot read and other sites do not send", async () => {
  const world = await startWith();
  const before = await ask(world, "GET", "/v1/session", {});
  expect(before.json).toMatchObject({ required: true, role: null, readOnlyTokenConfigured: true });
  const signedIn = await signIn(world, TOKEN);
  expect(signedIn).toMatchObject({ status: 200, json: { required: true, role: "full" } });
  const [text = ""] = signedIn.headers["set-cookie"] ?? [];
  expect(text).toMatch(/^waybill_session=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/; Max-Age=43200$/);
  expect(text).not.toContain(TOKEN);
  // Anybody can send it: see trusted-proxies.test.ts.
  const pretended = await signIn(world, TOKEN, { "x-forwarded-proto": "https" });
  expect(pretended.headers["set-cookie"]?.[0]).not.toContain("Secure");
  const cookie = cookieOf(signedIn);
  expect((await ask(world, "GET", "/v1/session", cookie)).json).toMatchObject({ role: "full" });
  expect((await ask(world, "GET", "/v1/accounts", cookie)).status).toBe(200);
  // Beside cookies of others.
  expect((await ask(world, "GET", "/v1/accounts", { cookie: `a=b; ${cookie["cookie"]}; c=d` })).status).toBe(200);
  // A token that is there decides.
  expect((await ask(world, "GET", "/v1/accounts", { ...cookie, authorization: "Bearer wrong" })).status).toBe(401);
});

test("with a cookie nothing is changed without our own origin", async () => {
  const world = await startWith();
  const cookie = cookieOf(await signIn(world, TOKEN));
  expect(await ask(world, "POST", PAUSE, cookie)).toMatchObject({ status: 403, json: { code: "foreign_origin" } });
  for (const origin of ["null", "http://evil.example", "http://127.0.0.1:1", "http://localhost"])
    expect((await ask(world, "POST", PAUSE, { ...cookie, origin })).status).toBe(403);
  expect((await ask(world, "DELETE", "/v1/session", cookie)).status).toBe(403);
  expect(world.relay.accounts().lanes[0]?.mode).toBe("idle");
  expect((await ask(world, "POST", PAUSE, { ...cookie, ...ownOrigin(world) })).status).toBe(204);
  // The header cannot be sent by a page without our leave.
  expect((await ask(world, "POST", PAUSE, { ...cookie, authorization: `Bearer ${TOKEN}` })).status).toBe(204);
});

test("the read-only token looks at everything and changes nothing, as a header and as a session", async () => {
  const world = await startWith();
  const signedIn = await signIn(world, READ_ONLY);
  expect(signedIn.json).toMatchObject({ role: "readOnly" });
  const cookie = { ...cookieOf(signedIn), ...ownOrigin(world) };
  for (const headers of [cookie, { authorization: `Bearer ${READ_ONLY}` }]) {
    for (const path of ["/v1/overview", "/v1/accounts", "/metrics", "/v1/lanes/test/emulator"])
      expect((await ask(world, "GET", path, headers)).status).toBe(200);
    for (const [method, path] of [
      ["POST", PAUSE],
      ["POST", "/v1/reload"],
      ["POST", "/v1/lanes/test/emulator/probe"],
      ["POST", "/v1/dead-letters/test/emulator/discard"],
      ["DELETE", "/v1/replays/test/x"],
    ] as const)
      expect(await ask(world, method, path, headers)).toMatchObject({ status: 403, json: { code: "read_only" } });
  }
  expect(world.relay.accounts().lanes[0]?.mode).toBe("idle");
  // It may end its own session.
  expect((await ask(world, "DELETE", "/v1/session", cookie)).status).toBe(204);
});

test("who signs out is signed out, here and in the browser", async () => {
  const world = await startWith();
  const cookie = { ...cookieOf(await signIn(world, TOKEN)), ...ownOrigin(world) };
  const other = cookieOf(await signIn(world, TOKEN));
  const out = await ask(world, "DELETE", "/v1/session", cookie);
  expect(out.status).toBe(204);
  expect(out.headers["set-cookie"]?.[0]).toMatch(/^waybill_session=; .*Max-Age=0/);
  expect((await ask(world, "GET", "/v1/accounts", cookie)).status).toBe(401);
  expect((await ask(world, "GET", "/v1/accounts", other)).status).toBe(200);
});

test("a session ends when a reload changes the token that began it, and no other does", async () => {
  const world = await startWith();
  const full = cookieOf(await signIn(world, TOKEN));
  const readOnly = cookieOf(await signIn(world, READ_ONLY));
  const admin = { ...ADMIN, token: "another-long-token" };
  const config = configOf(world.directory, world.server.url, { extra: { admin } });
  expect(await world.relay.reload(config)).toMatchObject({ ok: true, changed: ["admin.token changed"] });
  expect((await ask(world, "GET", "/v1/accounts", full)).status).toBe(401);
  expect((await ask(world, "GET", "/v1/accounts", readOnly)).status).toBe(200);
  // Nor does it come back with the token.
  await world.relay.reload(world.config);
  expect((await ask(world, "GET", "/v1/accounts", full)).status).toBe(401);
});

test("there are at most 100 sessions: the oldest gives way", async () => {
  const world = await startWith();
  const first = cookieOf(await signIn(world, TOKEN));
  const second = cookieOf(await signIn(world, TOKEN));
  for (let index = 0; index < 99; index++) await signIn(world, TOKEN);
  expect((await ask(world, "GET", "/v1/accounts", first)).status).toBe(401);
  expect((await ask(world, "GET", "/v1/accounts", second)).status).toBe(200);
});

test("after ten wrong tokens an address waits, with a right one too; others and sessions go on", async () => {
  const world = await startWith();
  const cookie = cookieOf(await signIn(world, TOKEN));
  for (let index = 0; index < 10; index++) expect((await signIn(world, "wrong-token")).status).toBe(401);
  for (const token of ["wrong-token", TOKEN]) {
    const refused = await signIn(world, token);
    expect(refused).toMatchObject({ status: 429, json: { code: "too_many_attempts" } });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    expect(Number(refused.headers["retry-after"])).toBeLessThanOrEqual(60);
    expect(refused.headers["set-cookie"]).toBeUndefined();
  }
  expect((await ask(world, "GET", "/v1/accounts", cookie)).status).toBe(200);
  expect((await ask(world, "GET", "/v1/accounts", { authorization: `Bearer ${TOKEN}` })).status).toBe(200);
});

/** The status of a look with a token, from one of loopback's addresses. */
function lookFrom(localAddress: string, { relay }: RelayWorld, token: string, path = "/v1/accounts"): Promise<string> {
  const { hostname, port } = new URL(relay.adminUrl);
  const headers = { authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, localAddress, agent: false, headers }, (incoming) => {
      let text = "";
      incoming.on("data", (chunk) => (text += String(chunk)));
      incoming.on("end", () => resolve(`${incoming.statusCode} ${text}`));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

test("after ten wrong tokens in the header an address waits; who had the right one before still gets in", async () => {
  const world = await startWith();
  const [operator, guesser] = ["127.0.0.2", "127.0.0.3"];
  expect(await lookFrom(operator, world, TOKEN)).toMatch(/^200/);
  for (const address of [operator, guesser])
    for (let index = 0; index < 10; index++) expect(await lookFrom(address, world, `guess-${index}`)).toMatch(/^401/);
  for (const address of [operator, guesser]) expect(await lookFrom(address, world, "guess")).toMatch(/^429/);
  expect(await lookFrom(operator, world, TOKEN)).toMatch(/^200/);
  // Every route answers a right guess as it answers a wrong one.
  expect(await lookFrom(guesser, world, TOKEN)).toBe(await lookFrom(guesser, world, "guess"));
  for (const path of ["/v1/session", "/ready", "/metrics"])
    expect(await lookFrom(guesser, world, TOKEN, path)).toBe(await lookFrom(guesser, world, "guess", path));
  // Nor does the one token help with guessing the other.
  expect(await lookFrom(operator, world, READ_ONLY)).toMatch(/^429/);
  expect(await lookFrom("127.0.0.4", world, TOKEN)).toMatch(/^200/);
});

test.each([
  ["of another site", { origin: "http://evil.example" }],
  ["through a rebound name", { host: "evil.example" }],
  ["as an HTML form", { "content-type": "application/x-www-form-urlencoded" }],
] as const)("a page %s cannot sign a browser in", async (_name, headers) => {
  const world = await startWith();
  const refused = await signIn(world, TOKEN, headers);
  expect(refused.status).toBeGreaterThanOrEqual(403);
  expect(refused.headers["set-cookie"]).toBeUndefined();
});

test.each(["", "x", "waybill_session", "a".repeat(5_000)])(
  "%s is not the token, and is not repeated",
  async (token) => {
    const world = await startWith();
    const { status, text } = await signIn(world, token);
    expect([400, 401]).toContain(status);
    if (token.length > 1) expect(text).not.toContain(token.slice(0, 100));
  },
);

test("without a token nobody signs in: everybody may do everything", async () => {
  const world = await startWith({ listen: "127.0.0.1:0" });
  expect((await ask(world, "GET", "/v1/session", {})).json).toMatchObject({ required: false, role: "full" });
  const signedIn = await signIn(world, "anything");
  expect(signedIn).toMatchObject({ status: 200, json: { role: "full" } });
  expect(signedIn.headers["set-cookie"]).toBeUndefined();
});

test("a read-only token alone, or the same one twice, is a fault of the configuration", () => {
  const loaded = (admin: object): unknown => configOf("/tmp/x", "http://127.0.0.1:1", { extra: { admin } });
  expect(() => loaded({ listen: "127.0.0.1:0", readOnlyToken: READ_ONLY })).toThrow(/needs an admin.token/);
  expect(() => loaded({ ...ADMIN, readOnlyToken: TOKEN })).toThrow(/the same as admin.token/);
});
