/**
 * Requests whose caller gets the vendor's own answer: what callers can make of the vendor's paths,
 * and vendors of their callers.
 */
import { ESCAPES, endless, inTurn, reset, silent, status, write, writeAndEnd } from "../lib/behaviours.ts";
import { check, cut, pause, until } from "../lib/check.ts";
import { flood, statuses } from "../lib/http.ts";
import { keepSending } from "../lib/load.ts";
import { exchangeRaw, rawRequest } from "../lib/raw.ts";
import { configOf, EVERY_SOURCE, KEYS, QUICK, sceneOf, segmentTo } from "../lib/scenes.ts";
import { type Attack, newId, type Scene, type Stage, track } from "../lib/stage.ts";
import { type Behaviour, healthy, respond } from "../lib/vendor.ts";
import { drained } from "./events.ts";

const DEADLINE_MS = 2_000;
/** From the deadline to the answer in the caller's hands. */
const GRACE_MS = 2_500;
const ANSWERED_MS = DEADLINE_MS + GRACE_MS;
const TROPHY_KEY = `x-api-key: ${KEYS.trophy}`;
const HIDDEN_HEADER = "x-hidden-header";

/** Trophy and GetFluxly behind the relay, both hostile when the case says so. */
const EXCHANGE: Scene = sceneOf("exchange", ({ good, bad }) => ({
  sources: EVERY_SOURCE,
  destinations: {
    good: segmentTo(good),
    trophy: { vendor: "trophy", url: `${bad.url}/v1`, writeKey: "vendor-secret", ...QUICK },
    getfluxly: { vendor: "getfluxly", url: bad.url, writeKey: "gflux_vendor", ...QUICK },
  },
  extra: { exchange: { deadline: `${DEADLINE_MS}ms` } },
}));

const CALLS = [
  { method: "GET", path: "/v1/users/u", headers: { "x-api-key": KEYS.trophy } },
  {
    method: "POST",
    path: "/v1/metrics/attacked/event",
    headers: { "x-api-key": KEYS.trophy },
    body: '{"user":{"id":"u"},"value":1}',
  },
  {
    method: "POST",
    path: "/v1/identify/alias",
    headers: { authorization: `Bearer ${KEYS.getfluxly}` },
    body: '{"user_id":"u","anonymous_id":"a"}',
  },
] as const;

/** Every kind of caller gets an answer in time that HTTP knows, whatever the vendor says. */
async function misanswer(stage: Stage, behaviour: Behaviour): Promise<void> {
  const { relay, bad } = stage;
  bad.behave(behaviour);
  const answers = await Promise.all(CALLS.map((call) => relay.ask({ ...call, timeoutMs: ANSWERED_MS })));
  for (const [index, answer] of answers.entries()) {
    check(answer.status >= 200 && answer.status <= 999, `${CALLS[index]?.path}: answered ${answer.status}`);
    check(answer.headers["set-cookie"] === undefined, `${CALLS[index]?.path}: the vendor's cookie was passed on`);
  }
  check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
  bad.behave(healthy);
  for (const lane of ["trophy", "getfluxly"]) await relay.admin("POST", `/v1/lanes/attack/${lane}/resume`);
  await drained(relay);
}

function hostile(name: string, holds: string, behaviour: Behaviour, more: Partial<Attack> = {}): Attack {
  return { name: `exchange-${name}`, holds, scene: EXCHANGE, run: (stage) => misanswer(stage, behaviour), ...more };
}

const TRAVERSALS = [
  "/users/../admin",
  "/v1/users/../../v2/keys",
  "/v1/users/%2e%2e/%2e%2e/admin",
  "/v1/users/%2E%2e/admin",
  "/v1/users/.%2e/admin",
  "/v1/users/..%2fadmin",
  "/v1/users/..%5cadmin",
  "/v1/users/..\\..\\admin",
  "/v1/users/./../admin",
  "/v1/users/x/../../../admin",
  "/users//../admin",
  "/users/%252e%252e/admin",
  "/users/x%00/../../admin",
  "/users/\t../admin",
  "/users@evil.example/",
  "/users/..;/admin",
  "/achievements/..",
  "/leaderboards/.",
  "/users/?../../admin",
  "/users/%23/../../admin",
];

export const exchanges: readonly Attack[] = [
  {
    name: "trophy-paths-with-dots",
    holds: "no passthrough request reaches another path of the vendor's with its key",
    scene: EXCHANGE,
    quick: true,
    async run({ relay, bad }) {
      bad.behave(healthy);
      for (const path of TRAVERSALS)
        for (const method of ["GET", "PUT"]) {
          const answer = await exchangeRaw(
            relay.port,
            rawRequest(`${method} ${path} HTTP/1.1`, [TROPHY_KEY], method === "GET" ? "" : "{}"),
          );
          check(answer !== undefined, `${path}: the connection was closed`);
        }
      for (const { target } of bad.requests.filter((one) => one.headers.has("x-api-key"))) {
        const [path = ""] = target.split("?");
        const isKnown = /^\/v1\/(?:users|achievements|streaks|points|leaderboards|metrics)(?:\/|$)/.test(path);
        const isPlain = !/(?:^|\/|\\|%2f|%5c)(?:\.|%2e){1,2}(?:\/|\\|;|%2f|%5c|$)/i.test(path);
        check(isKnown && isPlain, `the vendor got a request for ${cut(target)}`);
      }
    },
  },
  {
    name: "trophy-metric-of-dots",
    holds: "a metric or a user named .. or with slashes stays one part of the vendor's path",
    scene: EXCHANGE,
    async run(stage) {
      const { relay, bad } = stage;
      bad.behave(healthy);
      for (const metric of ["..", ".", "%2e%2e", "..%2f..", "a%2fb", "a%00b", "%0d%0ax:y", "%"])
        await exchangeRaw(
          relay.port,
          rawRequest(`POST /v1/metrics/${metric}/event HTTP/1.1`, [TROPHY_KEY], '{"user":{"id":".."},"value":1}'),
        );
      await stage.send([
        track(newId(), { event: ".." }),
        { type: "identify", userId: "..", messageId: newId(), traits: { name: "n" } },
      ]);
      await drained(relay);
      for (const { target } of bad.requests.filter((one) => one.headers.has("x-api-key")))
        check(
          /^\/v1\/(?:metrics\/[^/?]+\/event|users\/[^/?]+)$/.test(target),
          `the vendor got a request for ${cut(target)}`,
        );
    },
  },
  {
    name: "trophy-headers-passed-on",
    holds:
      "of the caller's headers only those of the protocol reach the vendor, and none of the vendor's cookies the caller",
    scene: EXCHANGE,
    async run({ relay, bad }) {
      bad.behave(
        write(respond("200 OK", "{}", ["set-cookie: a=b", "x-powered-by: z", "access-control-allow-origin: *"])),
      );
      const headers = {
        "x-api-key": KEYS.trophy,
        [HIDDEN_HEADER]: "x",
        cookie: "session=1",
        authorization: "Bearer x",
      };
      const answer = await relay.ask({ method: "GET", path: "/v1/users/u", headers });
      check(answer.headers["set-cookie"] === undefined, "the vendor's cookie was passed on");
      for (const request of bad.requests) {
        check(
          !request.headers.has(HIDDEN_HEADER) && !request.headers.has("cookie"),
          "the caller's headers were passed on",
        );
        check(![...request.headers.values()].includes(KEYS.trophy), "the inbound key was passed on");
      }
    },
  },
  {
    name: "trophy-message-id-no-header",
    holds: "a message id that no header can carry ends as an outcome, and the event after it is delivered",
    scene: EXCHANGE,
    quick: true,
    async run(stage) {
      const { relay, bad } = stage;
      bad.behave(healthy);
      const odd = ["a\nb", "a\r\nx: y", "\u0000", "\u0100\u4e2d", "\u007f", "\ud800", " ", "x".repeat(20_000)];
      const after = newId("after-odd");
      await stage.send([...odd.map((id, index) => track(`${newId()}${id}`, { userId: `odd-${index}` })), track(after)]);
      await drained(relay);
      await until(
        () => bad.requests.some(({ headers }) => headers.get("idempotency-key")?.includes(after) === true),
        5_000,
        "the event after the odd ones was not delivered",
      );
      // Those of the good destination are compared by their text in JSON.
      stage.acknowledged.clear();
    },
  },
  hostile("status-000", "a vendor's status of 000 is answered as no answer of the vendor's", status("000 x"), {
    quick: true,
  }),
  hostile("status-099", "a vendor's status of 099 is answered as no answer of the vendor's", status("099 x")),
  hostile("status-999", "a vendor's status of 999 is answered as something that HTTP knows", status("999 x")),
  hostile(
    "status-odd",
    "statuses of 1000, one digit and text reach no caller",
    inTurn(["1000 x", "1 x", "abc x", "600 x", "20 x", " "].map(status)),
  ),
  hostile(
    "status-without-body",
    "204 and 304 with bodies, and 205, are answered whole",
    inTurn(["204 x", "304 x", "205 x"].map((line) => write(respond(line, "{}")))),
  ),
  hostile(
    "interim",
    "101 and other interim answers instead of one are answered in time",
    inTurn([write("HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), write("HTTP/1.1 102 x\r\n\r\n")]),
  ),
  hostile(
    "endless-body",
    "a body without end is answered in time, and bounded",
    endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", `10000\r\n${"x".repeat(65_536)}\r\n`),
  ),
  hostile("silent", "a vendor that says nothing is answered 503 by the deadline", silent),
  hostile(
    "resets",
    "a vendor that resets, and one that ends early, are answered in time",
    inTurn([reset, writeAndEnd("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")]),
  ),
  hostile(
    "odd-headers",
    "types that no header can carry, and cookies, stay with the relay",
    inTurn(
      [
        "content-type: \u0080\u00ff",
        "content-type: a\u0001b",
        "set-cookie: a=b",
        `content-type: ${"x".repeat(10_000)}`,
        "content-length: 2",
      ].map((header) => write(`HTTP/1.1 200 OK\r\n${header}\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}`)),
    ),
  ),
  hostile(
    "escapes",
    "escape sequences in the answer are passed on as the body they are",
    write(respond("400 x", ESCAPES)),
  ),
  {
    name: "exchange-flood-silent-vendor",
    holds: "300 callers who wait for a silent vendor are answered by the deadline, beside healthy requests",
    scene: EXCHANGE,
    async run({ relay, bad }) {
      bad.behave(silent);
      const healthyLoad = keepSending(relay);
      const [events, questions] = await Promise.all(
        [CALLS[1], CALLS[0]].map((call) =>
          flood(150, 150, () => ({ port: relay.port, ...call, timeoutMs: ANSWERED_MS + 3_000 })),
        ),
      );
      await healthyLoad.stop();
      for (const { byStatus } of [events, questions].filter((one) => one !== undefined))
        check(![0, 200, 201, 500].some((one) => byStatus.has(one)), `answered ${statuses(byStatus)}`);
      bad.behave(healthy);
      await relay.admin("POST", "/v1/lanes/attack/trophy/resume");
      await drained(relay, 30_000);
    },
  },
  {
    name: "exchange-large-questions",
    holds: "passthrough requests of 9 MB and of 250 KB are passed on or refused within the memory's bounds",
    scene: EXCHANGE,
    async run({ relay, bad }) {
      bad.behave(healthy);
      for (const [bytes, count] of [
        [9_000_000, 60],
        [250_000, 300],
      ] as const) {
        const body = Buffer.alloc(bytes, " ");
        const call = { method: "PUT", path: "/v1/users/u", headers: { "x-api-key": KEYS.trophy } };
        const { byStatus } = await flood(count, 30, () => ({ port: relay.port, ...call, body, timeoutMs: 15_000 }));
        // A body that is not read to its end may be refused by the end of the connection.
        check(bytes > 1_000_000 || !byStatus.has(0), `answered ${statuses(byStatus)}`);
        check(!byStatus.has(500) && !relay.isEnded, `answered ${statuses(byStatus)}`);
      }
    },
  },
  ...[
    ["trophy", { vendor: "trophy", writeKey: "secret\n" }],
    ["letter", { vendor: "letter", writeKey: "secret\r\nx-a: b" }],
    ["getfluxly", { vendor: "getfluxly", writeKey: "gflux_\u0100secret" }],
    ["http", { vendor: "http", headers: { "x-hook": "a\nsecret" } }],
    ["http-name", { vendor: "http", headers: { "x hook": "secret" } }],
    ["tenant", { vendor: "trophy", writeKey: "k", tenantId: "a\nsecret" }],
  ].map(([name, destination]): Attack => brokenKey(name as string, destination as object)),
];

/**
 * A setting that no header can carry: refused at the start, or the lane says so; never attempts for
 * ever.
 */
function brokenKey(name: string, destination: object): Attack {
  return {
    name: `key-no-header-${name}`,
    holds: "a key or header that HTTP refuses is a configuration fault, or ends its lane's attempts with a reason",
    async run(stage) {
      const good = await stage.vendor();
      const bad = await stage.vendor();
      const directory = stage.directory();
      const destinations = { good: segmentTo(good), bad: { url: bad.url, ...QUICK, ...destination } };
      const relay = await stage.tryLaunch({ directory, config: configOf(directory, { destinations }) });
      if ("text" in relay) {
        check(relay.code === 78, `ended with ${relay.code}: ${cut(relay.text)}`);
        check(!relay.text.includes("secret"), "the message tells the key");
        return;
      }
      await stage.send([track(newId()), track(newId())], relay);
      await pause(1_500);
      const settled = async (): Promise<boolean> => {
        const { mode, account } = await relay.lane("bad");
        return account.pending === 0 || mode === "halted" || String(mode) === "failed";
      };
      await until(settled, 6_000, "the lane attempts for ever what HTTP refuses");
      check(!JSON.stringify(await relay.accounts()).includes("secret"), "the accounts tell the key");
      check(!relay.log.includes("secret"), "the log tells the key");
      await stage.verify(relay, good);
    },
  };
}
