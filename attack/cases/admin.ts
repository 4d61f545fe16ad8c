/** The admin API: pages in the operator's browser, odd requests, and many of them. */
import { request } from "node:http";
import { write } from "../lib/behaviours.ts";
import { PROTOTYPE_NAMES } from "../lib/bodies.ts";
import { check, cut, pause, until } from "../lib/check.ts";
import { HOSTILE_VALUES } from "../lib/hostile-events.ts";
import { type Answer, flood, statuses } from "../lib/http.ts";
import { RawConnection, rawRequest } from "../lib/raw.ts";
import type { Relay } from "../lib/relay.ts";
import { configOf, EVERYWHERE, HOSTILE_VENDOR, PLAIN, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track, unblocked } from "../lib/stage.ts";
import { healthy, respond } from "../lib/vendor.ts";
import { drained } from "./events.ts";

const JSON_TYPE = { "content-type": "application/json" };
const PER_REQUEST = 25;
const FOREIGN = "http://evil.example";
/** Everything that changes something. */
const ACTIONS: readonly { readonly method: string; readonly path: string; readonly body: string }[] = [
  { method: "POST", path: "/v1/lanes/attack/good/pause", body: "" },
  { method: "POST", path: "/v1/lanes/attack/good/resume", body: "" },
  { method: "POST", path: "/v1/sources/attack/web/rotate", body: '{"key":"stolen-key","graceMs":0}' },
  { method: "POST", path: "/v1/destinations/attack/good/rotate", body: '{"key":"stolen-key"}' },
  { method: "POST", path: "/v1/reload", body: "" },
  { method: "POST", path: "/v1/dead-letters/attack/good/discard", body: "" },
  { method: "POST", path: "/v1/dead-letters/attack/good/retry", body: "" },
  { method: "POST", path: "/v1/replays/attack", body: '{"destination":"good"}' },
  { method: "DELETE", path: "/v1/replays/attack/1", body: "" },
];

async function checkUntouched(relay: Relay): Promise<void> {
  const { mode, reason } = await relay.lane("good");
  check(mode !== "paused", `the lane was paused: ${reason}`);
  const answer = await relay.ask({ path: "/v1/batch", headers: basic("stolen-key"), body: '{"batch":[]}' });
  check(answer.status === 401, "the key was replaced");
  check((await relay.accounts()).replays.length === 0, "a replay was started");
}

function checkForbidden(answer: Answer, what: string): void {
  check(answer.status >= 400 && answer.status < 500, `${what}: answered ${answer.status}`);
  check(answer.headers["access-control-allow-origin"] === undefined, `${what}: answered with CORS headers`);
}

/** Events that the bad destination refused for good. */
async function withDeadLetters(stage: Stage, count: number, pad = ""): Promise<void> {
  stage.bad.behave(write(respond("400 x", '{"code":"attacked","message":"no"}')));
  for (let sent = 0; sent < count; sent += PER_REQUEST) {
    const some = Math.min(PER_REQUEST, count - sent);
    await stage.send(Array.from({ length: some }, () => track(newId(), { properties: { pad } })));
  }
  await drained(stage.relay);
  stage.bad.behave(healthy);
}

export const admin: readonly Attack[] = [
  {
    name: "admin-foreign-origin",
    holds: "a page of another origin, of null, or of the same host at another port can change nothing",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const origin of [
        FOREIGN,
        "null",
        "http://127.0.0.1:1",
        "http://localhost",
        `http://127.0.0.1.evil.example:${relay.adminPort}`,
        "https://127.0.0.1",
        "file://",
      ])
        for (const { method, path, body } of ACTIONS)
          checkForbidden(
            await relay.admin(method, path, { body, headers: { ...JSON_TYPE, origin } }),
            `${origin}: ${path}`,
          );
      await checkUntouched(relay);
    },
  },
  {
    name: "admin-form-posts",
    holds:
      "what an HTML form can post without a preflight request (text, URL-encoded, multipart, no type) changes nothing",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const type of [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/jsonx",
        "",
      ])
        for (const { method, path, body } of ACTIONS.filter((action) => action.body !== ""))
          checkForbidden(
            await relay.admin(method, path, { body, headers: { "content-type": type, origin: FOREIGN } }),
            `${type}: ${path}`,
          );
      for (const type of ["text/plain", "application/x-www-form-urlencoded"])
        for (const { method, path, body } of ACTIONS.filter((action) => action.body !== ""))
          checkForbidden(
            await relay.admin(method, path, { body, headers: { "content-type": type } }),
            `${type} without an origin: ${path}`,
          );
      await checkUntouched(relay);
    },
  },
  {
    name: "admin-unknown-host",
    holds: "a name that was bent to loopback (DNS rebinding) is refused, but for health, ready and metrics",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const host of [
        "evil.example",
        `evil.example:${relay.adminPort}`,
        "127.0.0.1.evil.example",
        "169.254.169.254",
      ]) {
        for (const { method, path, body } of ACTIONS)
          checkForbidden(
            await relay.admin(method, path, { body, headers: { ...JSON_TYPE, host } }),
            `${host}: ${path}`,
          );
        for (const path of [
          "/v1/accounts",
          "/v1/environments",
          "/v1/trace/x",
          "/v1/dead-letters/attack/good",
          "/v1/tail",
        ])
          checkForbidden(await relay.admin("GET", path, { headers: { host } }), `${host}: ${path}`);
      }
      for (const path of ["/health", "/ready"]) {
        const { status } = await relay.admin("GET", path, { headers: { host: "pod-17.cluster.local" } });
        check(status === 200, `${path} of another host: answered ${status}`);
      }
      await relay.metrics({ host: "prometheus-target:8081" });
      for (const host of [`127.0.0.1:${relay.adminPort}`, `localhost:${relay.adminPort}`, `[::1]:${relay.adminPort}`]) {
        const { status } = await relay.admin("GET", "/v1/accounts", { headers: { host } });
        check(status === 200, `${host}: answered ${status}`);
      }
      await checkUntouched(relay);
    },
  },
  {
    name: "admin-token",
    holds:
      "with a token, everything but health and ready demands it, whatever the request looks like; a page gains nothing by it",
    quick: true,
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const extra = { admin: { listen: "127.0.0.1:0", token: "attack-admin-token" } };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { destinations: { good: segmentTo(good) }, extra }),
      });
      const right = { authorization: "Bearer attack-admin-token" };
      const isRight = async (): Promise<boolean> =>
        (await relay.admin("GET", "/v1/accounts", { headers: right })).status === 200;
      // Who had the right token before is not kept out by wrong ones.
      check(await isRight(), "the right token is refused");
      for (const authorization of [
        undefined,
        "Bearer ",
        "Bearer attack-admin-toke",
        "Bearer attack-admin-token2",
        "Basic attack-admin-token",
        "bearer",
        "Bearer \u00ff",
      ])
        for (const { method, path, body } of [
          ...ACTIONS,
          { method: "GET", path: "/v1/accounts", body: "" },
          { method: "GET", path: "/v1/tail", body: "" },
          { method: "GET", path: "/v1/trace/x", body: "" },
        ]) {
          const headers = { ...JSON_TYPE, ...(authorization === undefined ? {} : { authorization }) };
          const { status } = await relay.admin(method, path, { body, headers });
          // 429 after ten wrong ones.
          check([401, 403, 429].includes(status), `${path} with ${authorization}: answered ${status}`);
        }
      const foreign = await relay.admin("POST", "/v1/lanes/attack/good/pause", {
        headers: { ...JSON_TYPE, ...right, origin: FOREIGN },
      });
      check(foreign.status >= 400, `a foreign origin with the token: answered ${foreign.status}`);
      check(await isRight(), "the right token is refused after wrong ones");
    },
  },
  {
    name: "admin-paths-odd",
    holds: "paths of prototypes' names, dots, broken percent signs and 15 KB are 4xx",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const odd = [
        ...PROTOTYPE_NAMES,
        "..",
        "%2e%2e",
        "%",
        "%ff",
        "%00",
        "%0a",
        "x".repeat(10_000),
        "%F0%9F%92%A9",
        "a%2fb",
      ];
      for (const name of odd)
        for (const path of [
          `/v1/lanes/${name}/${name}/pause`,
          `/v1/dead-letters/${name}/good`,
          `/v1/dead-letters/attack/${name}`,
          `/v1/replays/${name}`,
          `/v1/sources/attack/${name}/rotate`,
          `/${name}`,
          `/v1/tail?environment=${name}`,
          `/v1/dead-letters/attack/good?state=${name}`,
          `/v1/trace/x?environment=${name}`,
        ]) {
          const isPost = /pause$|rotate$|replays/.test(path);
          const connection = await RawConnection.open(relay.adminPort);
          const headers = ["content-type: application/json", `host: 127.0.0.1:${relay.adminPort}`];
          void connection.write(
            rawRequest(
              `${isPost ? "POST" : "GET"} ${path} HTTP/1.1`,
              headers,
              isPost ? '{"key":"x","destination":"good"}' : "",
            ),
          );
          await connection.settled();
          const status = connection.answers[0]?.status ?? 400;
          connection.destroy();
          check(status >= 400 && status < 500, `${cut(path, 60)}: answered ${status}`);
        }
    },
  },
  {
    name: "admin-bodies-odd",
    holds: "bodies of 50 MB, of no JSON, of any JSON and none are 4xx, and nothing is changed",
    scene: PLAIN,
    async run({ relay }) {
      const bodies = [
        "",
        "{",
        "\u0000",
        "[".repeat(100_000),
        ...HOSTILE_VALUES.filter((value) => !value.startsWith('"')).map(
          (value) => `{"key":${value},"graceMs":${value},"destination":${value}}`,
        ),
      ];
      for (const body of bodies)
        for (const path of ["/v1/sources/attack/web/rotate", "/v1/replays/attack"]) {
          const { status } = await relay.admin("POST", path, { body });
          check(status >= 400 && status < 500, `${path} with ${cut(body, 60)}: answered ${status}`);
        }
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const connection = await RawConnection.open(relay.adminPort);
          void connection.write(
            rawRequest(
              "POST /v1/replays/attack HTTP/1.1",
              ["content-type: application/json", `host: 127.0.0.1:${relay.adminPort}`],
              Buffer.alloc(5_000_000, " "),
            ),
          );
          await connection.settled(1, 10_000);
          connection.destroy();
        }),
      );
      await checkUntouched(relay);
    },
  },
  {
    name: "admin-rotate-odd-keys",
    holds:
      "empty, non-ASCII, multi-line, 1 MB and foreign keys are refused or applied, and the relay's own key lives on",
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const sources = { other: { protocol: "segment", writeKeys: ["other-key"] } };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { sources, destinations: { good: segmentTo(good) } }),
      });
      const keys: readonly unknown[] = [
        "",
        " ",
        "a\nb",
        "\u0000",
        "\u4e2d",
        "x".repeat(900_000),
        "__proto__",
        "other-key",
        1,
        null,
        {},
        ["x"],
        { toString: null },
      ];
      for (const key of keys)
        for (const path of ["/v1/sources/attack/web/rotate", "/v1/destinations/attack/good/rotate"])
          for (const graceMs of [undefined, -1, 1e308, "x", Number.MAX_SAFE_INTEGER]) {
            const { status, text } = await relay.admin("POST", path, { body: JSON.stringify({ key, graceMs }) });
            check(
              status === 200 || (status >= 400 && status < 500),
              `${path} with ${cut(JSON.stringify(key), 30)}: answered ${status} ${cut(text)}`,
            );
          }
      check(
        (await relay.ask({ path: "/v1/batch", headers: basic("other-key"), body: '{"batch":[]}' })).status === 200,
        "the other source's key is gone",
      );
      await stage.verify(relay, good);
    },
  },
  {
    name: "admin-ready-tells-strangers-nothing",
    holds: "the intake's /ready and /health name no destination, no environment and no reason",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const path of ["/ready", "/health"]) {
        const { text } = await relay.ask({ method: "GET", path });
        check(!/good|attack|lane|segment/.test(text), `${path}: ${cut(text)}`);
      }
    },
  },
  {
    name: "admin-tails-many",
    holds: "200 tails whose readers sleep hold neither memory nor events up; one of an unknown environment is 4xx",
    scene: PLAIN,
    async run(stage) {
      const { relay } = stage;
      const before = relay.descriptors;
      const unknown = await relay.admin("GET", "/v1/tail?environment=nowhere");
      check(unknown.status >= 400 && unknown.status < 500, `a tail of nowhere: answered ${unknown.status}`);
      const unknownSource = await tailStatus(relay, "/v1/tail?environment=attack&source=nowhere");
      check(unknownSource >= 400 && unknownSource < 500, `a tail of an unknown source: answered ${unknownSource}`);
      const tails = await Promise.all(
        Array.from({ length: 200 }, async () => {
          const tail = await RawConnection.open(relay.adminPort);
          tail.socket.pause();
          await tail.write(rawRequest("GET /v1/tail HTTP/1.1", [`host: 127.0.0.1:${relay.adminPort}`]));
          return tail;
        }),
      );
      for (let sent = 0; sent < 20; sent++)
        await stage.send(Array.from({ length: 200 }, () => track(newId(), { properties: { pad: "x".repeat(1_000) } })));
      for (const tail of tails) tail.reset();
      await until(
        () => relay.descriptors <= before + 20,
        10_000,
        () => `${relay.descriptors} descriptors, ${before} before`,
      );
    },
  },
  {
    name: "admin-connections-slow",
    holds: "500 slow connections to the admin port leave it answering",
    scene: PLAIN,
    async run({ relay }) {
      const slow = await Promise.all(Array.from({ length: 500 }, () => RawConnection.open(relay.adminPort)));
      await Promise.all(
        slow.map((one, index) =>
          one.write(
            index % 2 === 0 ? "GET /v1/acc" : rawRequest("POST /v1/reload HTTP/1.1", ["content-length: 1000000"]),
          ),
        ),
      );
      const { byStatus, slowestMs } = await flood(50, 5, () => ({
        port: relay.adminPort,
        method: "GET",
        path: "/v1/accounts",
      }));
      check(byStatus.get(200) === 50, `answered ${statuses(byStatus)}, slowest after ${Math.round(slowestMs)} ms`);
      for (const one of slow) one.reset();
    },
  },
  {
    name: "trace-ids-odd",
    holds: "a trace of any id is 200 or 404; one of 150 characters that is stored is found",
    scene: PLAIN,
    quick: true,
    async run(stage) {
      const { relay, good } = stage;
      const ids = [
        newId(`long-${"x".repeat(150)}`),
        `${newId()}/slash`,
        `${newId()}%percent`,
        `${newId()} \u00e9"quote`,
      ];
      await stage.send(ids.map((id) => track(id)));
      await until(() => good.received > 0, 5_000, "not delivered");
      stage.acknowledged.clear();
      for (const id of ids) {
        const { status } = await relay.admin("GET", `/v1/trace/${encodeURIComponent(id)}`);
        check(status === 200, `${cut(id, 40)}: answered ${status}`);
      }
      for (const id of ["", "%", "%ff", "%00", "__proto__", "%22", "%5c", "..", "x".repeat(9_000)]) {
        const { status } = await relay.admin("GET", `/v1/trace/${id}`);
        // An id such as these may be stored.
        check(status === 200 || (status >= 400 && status < 500), `${cut(id, 20)}: answered ${status}`);
      }
    },
  },
  {
    name: "receipts-odd",
    holds: "receipts of odd positions, ranges without end and other environments are answered in bounds or 4xx",
    scene: PLAIN,
    async run(stage) {
      const { relay } = stage;
      await stage.send([track(newId()), track(newId())]);
      const odd = [
        "0",
        "0+1",
        "0+999999999",
        "-1",
        "1e9",
        "0+0",
        "0+-1",
        "9007199254740993",
        "0,0,0",
        "0+1,",
        "+",
        "NaN",
        "%00",
        "0x1",
        Array.from({ length: 3_000 }, (_, at) => at).join(),
      ];
      for (const positions of odd)
        for (const environment of ["attack", "nowhere", "__proto__"]) {
          const { status, text } = await relay.admin("GET", `/v1/receipts/${environment}/${positions}`);
          check(
            status === 200 || (status >= 400 && status < 500),
            `${cut(positions, 30)}: answered ${status} ${cut(text)}`,
          );
          check(text.length < 2_000_000, `${cut(positions, 30)}: the answer has ${text.length} bytes`);
        }
    },
  },
  {
    name: "trace-frequent-id",
    holds: "a trace of a text that is in 200,000 events answers, bounded, and blocks nothing",
    limitMs: 90_000,
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { destinations: { good: segmentTo(good) } }),
      });
      const frequent = "frequent-0001";
      const one = (id: string): string =>
        `{"type":"track","event":"E","userId":"${frequent}","properties":{"a":"${frequent}"},"messageId":"${id}"}`;
      for (let sent = 0; sent < 200; sent++) {
        const body = `{"batch":[${Array.from({ length: 1_000 }, () => one(newId())).join(",")}]}`;
        const { status } = await relay.ask({ path: "/v1/batch", headers: basic(KEY), body });
        check(status === 200, `answered ${status}`);
      }
      await drained(relay, 30_000);
      await relay.begin();
      const answer = await unblocked(relay, "the trace", () =>
        relay.admin("GET", `/v1/trace/${frequent}`, { timeoutMs: 20_000 }),
      );
      check(answer.status === 404 || answer.status === 200, `answered ${answer.status}`);
      check(answer.text.length < 5_000_000, `the answer has ${answer.text.length} bytes`);
      await stage.verify(relay, good);
    },
  },
  {
    name: "exports-aborted",
    holds: "200 exports of dead letters that are given up leak no descriptor",
    scene: HOSTILE_VENDOR,
    async run(stage) {
      const { relay } = stage;
      await withDeadLetters(stage, 400, "x".repeat(20_000));
      const before = relay.descriptors;
      for (let round = 0; round < 200; round++) {
        await new Promise<void>((resolve) => {
          const asked = request(
            { port: relay.adminPort, host: "127.0.0.1", path: "/v1/dead-letters/attack/bad/export" },
            (response) => {
              response.once("data", () => {
                response.destroy();
                resolve();
              });
              response.once("end", resolve);
            },
          );
          asked.on("error", () => resolve());
          if (round % 3 === 0)
            asked.on("socket", (socket) => socket.once("connect", () => setTimeout(() => asked.destroy(), 1)));
          asked.on("close", resolve);
          asked.end();
        });
      }
      await until(
        () => relay.descriptors <= before + 10,
        10_000,
        () => `${relay.descriptors} descriptors, ${before} before`,
      );
    },
  },
  {
    name: "replays-many",
    holds: "300 replays at once are run, refused or cancelled within bounds, and their ledgers show every state",
    scene: HOSTILE_VENDOR,
    async run(stage) {
      const { relay } = stage;
      await withDeadLetters(stage, 50);
      const { byStatus } = await flood(300, 20, (index) => ({
        port: relay.adminPort,
        path: "/v1/replays/attack",
        headers: JSON_TYPE,
        body: JSON.stringify({ destination: index % 2 === 0 ? "good" : "bad" }),
      }));
      check(!byStatus.has(0) && !byStatus.has(500), `answered ${statuses(byStatus)}`);
      const text = await relay.metrics();
      for (const state of ["accepted", "delivered", "rejected", "dropped", "expired"])
        check(
          text.includes(`\nwaybill_replay_${state}_events_total{`),
          `the metrics of replays have no ${state} events`,
        );
      check(text.includes("\nwaybill_replay_pending_events{"), "the metrics of replays have no pending events");
      const { replays } = await relay.accounts();
      await Promise.all(replays.map(({ id }) => relay.admin("DELETE", `/v1/replays/attack/${id}`)));
      await pause(200);
    },
  },
  {
    name: "replays-of-hostile-requests",
    holds: "replays with odd times, rates and names are refused; none is begun by halves",
    scene: EVERYWHERE,
    async run({ relay }) {
      const odd = [
        { since: "x" },
        { since: -1e308 },
        { since: 1e308 },
        { until: "9999999-01-01" },
        { eventsPerSecond: 0 },
        { eventsPerSecond: -1 },
        { eventsPerSecond: "1" },
        { type: {} },
        { source: [] },
        { event: { toString: null } },
        { userId: 1 },
        { destination: "__proto__" },
        { unknown: 1 },
        { __proto: 1 },
      ];
      for (const more of odd) {
        const { status, text } = await relay.admin("POST", "/v1/replays/attack", {
          body: JSON.stringify({ destination: "good", dryRun: true, ...more }),
        });
        check(status < 500, `${JSON.stringify(more)}: answered ${status} ${cut(text)}`);
      }
      check((await relay.accounts()).replays.length === 0, "a replay was begun");
    },
  },
  {
    name: "dead-letters-queries-odd",
    holds: "lists of dead letters with odd limits, numbers and filters are answered or refused, in bounds",
    scene: HOSTILE_VENDOR,
    async run(stage) {
      const { relay } = stage;
      await withDeadLetters(stage, 30);
      for (const query of [
        "limit=0",
        "limit=-1",
        "limit=1e9",
        "limit=99999999999",
        "limit=NaN",
        "after=-1",
        "after=99999999999999999999",
        "id=1,2,,3",
        "id=__proto__",
        `id=${"1,".repeat(3_000)}1`,
        "since=x",
        "since=1e400",
        "reason=%00",
        "reason=%ff",
        "state=gone",
      ]) {
        const { status, text } = await relay.admin("GET", `/v1/dead-letters/attack/bad?${query}`);
        check(status === 200 || (status >= 400 && status < 500), `${cut(query, 30)}: answered ${status} ${cut(text)}`);
      }
    },
  },
];

function tailStatus(relay: Relay, path: string): Promise<number> {
  return new Promise((resolve) => {
    const asked = request({ port: relay.adminPort, host: "127.0.0.1", path }, (response) => {
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    asked.on("error", () => resolve(0));
    asked.end();
  });
}
