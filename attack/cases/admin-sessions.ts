/** Signing in: guesses, too many sessions, the read-only token, foreign pages with a cookie. */
import { PROTOTYPE_NAMES } from "../lib/bodies.ts";
import { check, cut, inParallel } from "../lib/check.ts";
import { type Answer, type Ask, ask } from "../lib/http.ts";
import { exchangeRaw, rawRequest } from "../lib/raw.ts";
import type { Relay } from "../lib/relay.ts";
import { configOf, segmentTo } from "../lib/scenes.ts";
import { type Attack, RSS_MAX_MB, type Scene, type Stage, unblocked } from "../lib/stage.ts";

const TOKEN = "attack-admin-token-of-the-operator";
const READ_ONLY = "attack-token-that-only-looks";
const JSON_TYPE = { "content-type": "application/json" };
const BEARER = { authorization: `Bearer ${TOKEN}` };

function tokens(token: string): { readonly admin: object } {
  return { admin: { listen: "127.0.0.1:0", token, readOnlyToken: READ_ONLY } };
}

/** A relay whose admin API takes two tokens. */
const TOKENS: Scene = {
  name: "tokens",
  async open(stage: Stage) {
    const [good, bad] = [await stage.vendor(), await stage.vendor()];
    const directory = stage.directory();
    const config = configOf(directory, { destinations: { good: segmentTo(good) }, extra: tokens(TOKEN) });
    return { relay: await stage.launch({ directory, config, token: TOKEN }), good, bad };
  },
};

type Asked = Omit<Ask, "port" | "method" | "path">;

function to(relay: Relay, method: string, path: string, more: Asked = {}): Promise<Answer> {
  return ask({ port: relay.adminPort, method, path, ...more });
}

function signIn(relay: Relay, token: string, more: Asked = {}): Promise<Answer> {
  return to(relay, "POST", "/v1/session", { headers: JSON_TYPE, body: JSON.stringify({ token }), ...more });
}

/** The cookie of a new session. */
async function cookieFor(relay: Relay, token: string, localAddress: string): Promise<{ readonly cookie: string }> {
  const { status, headers, text } = await signIn(relay, token, { localAddress });
  check(status === 200, `signing in was answered ${status}: ${cut(text)}`);
  return { cookie: (headers["set-cookie"]?.[0] ?? "").split(";")[0] ?? "" };
}

interface Changing {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

/** Every route that changes something, as the relay's own OpenAPI document has them. */
async function changing(relay: Relay): Promise<readonly Changing[]> {
  const { text } = await to(relay, "GET", "/openapi.json");
  const { paths } = JSON.parse(text) as { readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>> };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => method !== "get" && method !== "head")
      .map((method) => ({
        method: method.toUpperCase(),
        path: path
          .replace("{environment}", "attack")
          .replace("{destination}", "good")
          .replaceAll(/\{\w+\}/g, "web"),
        body: '{"key":"stolen-key","destination":"good","position":1,"text":"","token":"x"}',
      })),
  );
  check(routes.length >= 12, `only ${routes.length} routes change something`);
  return routes;
}

async function checkUntouched(relay: Relay): Promise<void> {
  check((await relay.lane("good")).mode !== "paused", "the lane was paused");
  const answer = await to(relay, "GET", "/v1/rotations", { headers: BEARER });
  check(answer.text === "[]", `a key was rotated: ${cut(answer.text)}`);
  check((await relay.accounts()).replays.length === 0, "a replay was started");
}

export const adminSessions: readonly Attack[] = [
  {
    name: "session-wrong-tokens",
    holds:
      "an address has ten tries a minute, by header and by signing in; then a right guess looks like a wrong one, and the operator at the same address gets in",
    scene: TOKENS,
    quick: true,
    async run({ relay }) {
      const from = "127.0.1.1";
      const tries = async (token: string, index: number): Promise<number> => {
        const byHeader = { headers: { authorization: `Bearer ${token}` }, localAddress: from };
        const answer =
          index % 2 === 0
            ? await to(relay, "GET", "/v1/accounts", byHeader)
            : await signIn(relay, token, { localAddress: from });
        return answer.status;
      };
      for (let index = 0; index < 10; index++)
        check((await tries(`guess-${index}`, index)) === 401, `try ${index} was not answered 401`);
      for (let index = 0; index < 50; index++) {
        const status = await tries(index < 25 ? `guess-${index}` : TOKEN, index);
        check(status === 429, `after ten wrong tokens: answered ${status}`);
      }
      // The operator's own address, from which no other case comes.
      const asOperator = async (authorization: string): Promise<number> =>
        (await to(relay, "GET", "/v1/accounts", { headers: { authorization }, localAddress: "127.0.1.4" })).status;
      check((await asOperator(BEARER.authorization)) === 200, "the operator is refused");
      for (let index = 0; index < 12; index++) await asOperator(`Bearer wrong-${index}`);
      const status = await asOperator(BEARER.authorization);
      check(status === 200, `the operator was answered ${status}`);
    },
  },
  {
    name: "session-wrong-tokens-many-addresses",
    holds: "wrong tokens from 12,000 addresses cost little memory and no block, and others get in",
    scene: TOKENS,
    async run({ relay }) {
      const addresses = Array.from(
        { length: 12_000 },
        (_, at) => `127.${10 + (at >> 14)}.${(at >> 7) & 127}.${1 + (at & 127)}`,
      );
      await relay.lap();
      await inParallel(addresses, 32, async (localAddress) => {
        const headers = { authorization: `Bearer guess-of-${localAddress}` };
        const { status } = await to(relay, "GET", "/v1/accounts", { headers, localAddress });
        check(status === 401, `${localAddress}: answered ${status}`);
      });
      check((await signIn(relay, TOKEN, { localAddress: "127.0.1.2" })).status === 200, "nobody may sign in");
      check(relay.peakRssMb < RSS_MAX_MB, `${relay.peakRssMb} MB`);
    },
  },
  {
    name: "session-ten-thousand",
    holds: "10,000 sessions are 100: the newest work, the oldest are over",
    scene: TOKENS,
    async run({ relay }) {
      const cookies: string[] = [];
      await inParallel(Array.from({ length: 10_000 }), 16, async () => {
        cookies.push((await cookieFor(relay, TOKEN, "127.0.1.3")).cookie);
      });
      const statusOf = async (cookie: string): Promise<number> =>
        (await to(relay, "GET", "/v1/accounts", { headers: { cookie } })).status;
      check((await statusOf(cookies.at(-1) ?? "")) === 200, "the newest session is over");
      let alive = 0;
      for (const cookie of cookies.slice(-300)) alive += (await statusOf(cookie)) === 200 ? 1 : 0;
      check(alive === 100, `${alive} sessions are alive`);
      check((await statusOf(cookies[0] ?? "")) === 401, "the oldest session goes on");
    },
  },
  {
    name: "session-tokens-odd",
    holds: "tokens of 60 KB, of no text and of prototypes' names are refused in bounds, and none is repeated",
    scene: TOKENS,
    quick: true,
    async run({ relay }) {
      const tokens = [
        '"',
        "\u0000",
        "\u4e2d",
        "x".repeat(60_000),
        TOKEN.slice(1),
        `${TOKEN} `,
        TOKEN.toUpperCase(),
        ...PROTOTYPE_NAMES,
      ];
      const bodies = [
        ...tokens.map((token) => JSON.stringify({ token })),
        ...["1", "null", "{}", "[]", '{"toString":null}', "true"].map((token) => `{"token":${token}}`),
        `{"token":"x","__proto__":{"role":"full"}}`,
      ];
      for (const [index, body] of bodies.entries()) {
        const localAddress = `127.0.2.${1 + index}`;
        const { status, text, headers } = await to(relay, "POST", "/v1/session", {
          headers: JSON_TYPE,
          body,
          localAddress,
        });
        check(status >= 400 && status < 500, `${cut(body, 40)}: answered ${status}`);
        check(headers["set-cookie"] === undefined && text.length < 2_000, `${cut(body, 40)}: ${cut(text)}`);
      }
      for (const [index, token] of ["x".repeat(60_000), "", " ", "\u00ff", `${TOKEN}, Bearer x`].entries()) {
        const headers = { authorization: `Bearer ${token}` };
        const { status } = await to(relay, "GET", "/v1/accounts", { headers, localAddress: `127.0.3.${1 + index}` });
        check(status === 401, `Bearer ${cut(token, 40)}: answered ${status}`);
      }
    },
  },
  {
    name: "session-cookies-of-junk",
    holds: "60 KB of cookies, of any shape and many of one name, are nobody's session, and block nothing",
    scene: TOKENS,
    quick: true,
    async run({ relay }) {
      const cookies = [
        "x".repeat(60_000),
        "a=b; ".repeat(12_000),
        "waybill_session=x; ".repeat(3_000),
        "waybill_session".repeat(4_000),
        ";".repeat(60_000),
        "=".repeat(60_000),
        "waybill_session=",
        "waybill_session==x",
        'waybill_session="x"',
        ...PROTOTYPE_NAMES.map((name) => `waybill_session=${name}; ${name}=x`),
      ];
      await unblocked(relay, "cookies of junk", async () => {
        for (const cookie of cookies) {
          const answer = await exchangeRaw(
            relay.adminPort,
            rawRequest("GET /v1/accounts HTTP/1.1", [`host: 127.0.0.1:${relay.adminPort}`, `cookie: ${cookie}`]),
          );
          const status = answer?.status ?? 431;
          check(status === 401 || status === 431, `${cut(cookie, 40)}: answered ${status}`);
        }
      });
    },
  },
  {
    name: "session-replayed",
    holds: "a cookie is worth nothing after signing out, after its token was changed, and after it was changed back",
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const withToken = (token: string): object =>
        configOf(directory, { destinations: { good: segmentTo(good) }, extra: tokens(token) });
      const relay = await stage.launch({ directory, config: withToken(TOKEN), token: TOKEN });
      const statusOf = async (headers: Readonly<Record<string, string>>): Promise<number> =>
        (await to(relay, "GET", "/v1/overview", { headers })).status;
      const out = await cookieFor(relay, TOKEN, "127.0.0.1");
      const full = await cookieFor(relay, TOKEN, "127.0.0.1");
      const readOnly = await cookieFor(relay, READ_ONLY, "127.0.0.1");
      const origin = relay.adminUrl;
      check(
        (await to(relay, "DELETE", "/v1/session", { headers: { ...out, origin } })).status === 204,
        "no signing out",
      );
      check((await statusOf(out)) === 401, "a cookie works after signing out");
      const reloaded = async (token: string, by: string): Promise<void> => {
        relay.writeConfig(withToken(token));
        const { status } = await to(relay, "POST", "/v1/reload", {
          headers: { ...JSON_TYPE, authorization: `Bearer ${by}` },
        });
        check(status === 200, `the reload was answered ${status}`);
      };
      await reloaded("attack-another-admin-token", TOKEN);
      check((await statusOf(full)) === 401, "a cookie works after its token was changed");
      check((await statusOf(readOnly)) === 200, "the session of the other token is over");
      await reloaded(TOKEN, "attack-another-admin-token");
      for (const cookie of [out, full]) check((await statusOf(cookie)) === 401, "a cookie works again");
      await stage.verify(relay, good);
    },
  },
  {
    name: "read-only-changes-nothing",
    holds: "the read-only token is refused on every route that changes something, as a header and as a cookie",
    scene: TOKENS,
    quick: true,
    async run({ relay }) {
      const cookie = await cookieFor(relay, READ_ONLY, "127.0.0.1");
      for (const credential of [{ authorization: `Bearer ${READ_ONLY}` }, { ...cookie, origin: relay.adminUrl }])
        for (const { method, path, body } of await changing(relay)) {
          if (path === "/v1/session") continue;
          const { status, text } = await to(relay, method, path, { headers: { ...JSON_TYPE, ...credential }, body });
          check(status === 403 && text.includes("read_only"), `${method} ${path}: answered ${status} ${cut(text)}`);
        }
      await checkUntouched(relay);
    },
  },
  {
    name: "session-foreign-pages",
    holds: "with the operator's cookie, pages of other origins and hosts change nothing and read nothing",
    scene: TOKENS,
    quick: true,
    async run({ relay }) {
      const cookie = await cookieFor(relay, TOKEN, "127.0.0.1");
      const own = `127.0.0.1:${relay.adminPort}`;
      const pages: readonly Readonly<Record<string, string>>[] = [
        {},
        { origin: "http://evil.example" },
        { origin: "null" },
        { origin: "http://127.0.0.1:1" },
        { origin: "http://localhost" },
        { origin: `http://${own}`, "sec-fetch-site": "cross-site" },
        { origin: `http://${own}`, host: "evil.example" },
        { origin: "http://evil.example", host: "evil.example" },
      ];
      for (const page of pages)
        for (const { method, path, body } of await changing(relay)) {
          const { status } = await to(relay, method, path, { headers: { ...JSON_TYPE, ...cookie, ...page }, body });
          check(status === 403, `${JSON.stringify(page)}: ${method} ${path} was answered ${status}`);
        }
      for (const page of pages.slice(1))
        for (const path of ["/v1/overview", "/v1/live", "/v1/config", "/v1/tail", "/v1/history"]) {
          const { status, headers } = await to(relay, "GET", path, { headers: { ...cookie, ...page } });
          check(status === 403, `${JSON.stringify(page)}: ${path} was answered ${status}`);
          check(headers["access-control-allow-origin"] === undefined, `${path}: answered with CORS headers`);
        }
      await checkUntouched(relay);
    },
  },
];
