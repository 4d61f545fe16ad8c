/** What strangers and false relays send to the routes of a cluster ends as one answer, soon. */
import { get as httpGet, type IncomingMessage } from "node:http";
import { nodeClock, nodeRuntime } from "@waybill/node";
import type { RunningRelay } from "@waybill/relay";
import { startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { RELAY_HEADER, signatureOf } from "../../src/admin/cluster/relay-signature.ts";
import { type Answered, send, until } from "../lib/world.ts";
import { type ClusterWorld, capture, recordsOf, startCluster } from "./lib/cluster-world.ts";
import { AUTHORIZED, clusterOf, get, post, startTwo, TOKEN } from "./lib/reachable.ts";

const SOON_MS = 6_500;
const STREAMS = 200;
const STREAMS_MAX = 64;
const EVENTS = 5_000;
const RELAYS = { topic: "waybill.relays", partition: 0 };

const PARTITIONS = [
  "test%2F4",
  "test%2F-1",
  "test%2F01",
  "test%2F1e0",
  "test%2F0x1",
  "test%2F1.0",
  "test%2F%201",
  "test%2F1%00",
  "test%2F1%0d%0a",
  "test%2F1%2F2",
  "test%2F..",
  "..%2F1",
  "__proto__%2F1",
  "constructor%2F1",
  `test%2F${"9".repeat(400)}`,
  "test%2F%F0%9F%98%80",
];

const routesOf = (partition: string): readonly string[] => [
  `/v1/lanes/${partition}/emulator`,
  `/v1/dead-letters/${partition}/emulator`,
  `/v1/dead-letters/${partition}/emulator/export`,
  `/v1/tail?environment=${partition}`,
  `/v1/events/${partition}/0`,
  `/v1/history?environment=${partition}`,
  `/v1/trace/m-1?environment=${partition}`,
];

async function serves(...relays: readonly RunningRelay[]): Promise<void> {
  for (const relay of relays) {
    expect((await send(relay.intakeUrl, "GET", "/health", "")).status).toBe(200);
    expect((await get(relay, "/v1/cluster")).status).toBe(200);
  }
}

test("partitions that there are not are 404 from every route, whichever relay is asked", async () => {
  const [one, two] = await startTwo(await startCluster());
  for (const relay of [one, two])
    for (const partition of PARTITIONS) {
      for (const path of routesOf(partition)) expect((await get(relay, path)).status, path).toBe(404);
      const body = { destination: "emulator" };
      const headers = { ...AUTHORIZED, "content-type": "application/json" };
      const replay = await send(relay.adminUrl, "POST", `/v1/replays/${partition}`, body, headers);
      expect([replay.status, replay.json["code"]], partition).toEqual([404, expect.stringMatching(/^unknown_/)]);
    }
  await serves(one, two);
});

test("an answer is for a relay that signs: once, for this relay and path, and now", async () => {
  const [one, two] = await startTwo(await startCluster());
  const { relays } = await clusterOf(one);
  const idOf = ({ adminUrl }: RunningRelay): string => relays.find((relay) => relay.adminUrl === adminUrl)?.id ?? "";
  const [{ environment } = { environment: "" }] = one.accounts().lanes;
  const path = `/v1/exchanges/${encodeURIComponent(environment)}/emulator/0?waitMs=1`;
  const { random } = nodeRuntime();
  const sign = (changed: { to?: string; path?: string; token?: string; aheadMs?: number } = {}): string => {
    const { to = idOf(one), path: signed = path, token = TOKEN, aheadMs = 0 } = changed;
    const clock = { ...nodeClock, now: () => nodeClock.now() + aheadMs };
    return signatureOf({ to, method: "GET", path: signed }, "", { token, clock, random });
  };
  const ask = (authorization: string, to = idOf(one), at = path): Promise<Answered> =>
    send(one.adminUrl, "GET", at, "", { authorization, [RELAY_HEADER]: to });

  const signature = sign();
  expect([200, 204, 404]).toContain((await ask(signature)).status);
  for (const refused of [
    signature,
    sign({ to: idOf(two) }),
    sign({ path: path.replace("/0?", "/1?") }),
    sign({ token: "another-token" }),
    sign({ aheadMs: 61_000 }),
    sign({ aheadMs: -61_000 }),
    sign().slice(0, -1),
    sign().toUpperCase(),
    `Waybill-Relay ${"1".repeat(12_000)}`,
    "Waybill-Relay ",
  ])
    expect((await ask(refused)).status, refused.slice(0, 40)).toBe(401);
  expect((await ask(sign({ to: idOf(two) }), idOf(two))).json["code"]).toBe("other_relay");
  for (const offset of ["9".repeat(4_000), "-1", "1e9", "NaN", "1.5", "9007199254740993", "%2e%2e"]) {
    const odd = path.replace("/0?", `/${offset}?`);
    expect((await ask(sign({ path: odd }), idOf(one), odd)).status, offset.slice(0, 20)).toBe(400);
  }
  await serves(one, two);
});

/** Opens a stream that is never read. */
function openSleeper(relay: RunningRelay, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpGet(`${relay.adminUrl}${path}`, { headers: AUTHORIZED, agent: false }, (response) => {
      response.pause();
      response.on("error", () => undefined);
      resolve(response);
    });
    request.on("error", reject);
    onTestFinished(() => void request.destroy());
  });
}

test("many streams that are never read are bounded at both relays, and leave others their turn", async () => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  const [{ environment } = { environment: "" }] = two.accounts().lanes;
  const path = `/v1/tail?environment=${encodeURIComponent(environment)}`;
  const streams = await Promise.all(Array.from({ length: STREAMS }, () => openSleeper(one, path)));
  const open = streams.filter(({ statusCode }) => statusCode === 200);
  expect(open.length).toBeLessThanOrEqual(STREAMS_MAX);
  expect(open.length).toBeGreaterThan(0);
  expect(new Set(streams.map(({ statusCode }) => statusCode))).toEqual(new Set([200, 503]));
  for (let sent = 0; sent < EVENTS; sent += 500) await capture(one, sent, 500);
  await until(() => world.emulator.received >= EVENTS);
  await serves(one, two);
  for (const stream of streams) stream.destroy();
  await until(async () => {
    const again = await openSleeper(one, path);
    again.destroy();
    return again.statusCode === 200;
  });
});

test("a relay that says it is where another one is makes no loop", async () => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  await pretend(world, two, { adminUrl: one.adminUrl });
  for (const { environment } of two.accounts().lanes) {
    const asked = await get(one, `/v1/lanes/${encodeURIComponent(environment)}/emulator`);
    expect([200, 502]).toContain(asked.status);
  }
  await serves(one, two);
});

/** Writes what a relay reports of itself once more, with what is not true. */
async function pretend(world: ClusterWorld, { adminUrl }: RunningRelay, lies: object): Promise<void> {
  const record = recordsOf(world.cluster).find((one) => one.adminUrl === adminUrl);
  const lie = { ...record, ...lies };
  const values = [Buffer.from(JSON.stringify(lie))];
  await world.cluster.connect("liar").produce({ ...RELAYS, keys: [lie.id ?? ""], values, deadlineMs: 5_000 });
}

test.each([
  ["a header in its id", { id: "evil\r\nx-evil: 1" }],
  ["a path for an id", { id: "../../etc/passwd" }],
  ["half a megabyte of a name", { id: "long", name: "n".repeat(500_000) }],
  ["characters that steer a terminal in its name", { id: "steers", name: "\u001b[2J\r\nHTTP/1.1 200 OK" }],
  ["an address that is not one", { id: "nowhere", adminUrl: "http://:@[" }],
  ["an address with a password and a path", { id: "with-path", adminUrl: "http://u:p@127.0.0.1:1/x?y#z" }],
  ["a scheme of its own", { id: "scheme", adminUrl: "file:///etc/passwd" }],
  ["numbers beyond all", { id: "numbers", appliedOffset: 1e308, lanesLeftOut: 9_007_199_254_740_991 }],
])("a false relay with %s breaks nothing", async (_what, lies) => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  await pretend(world, two, lies);
  for (const path of ["/v1/accounts", "/v1/overview", "/v1/cluster", "/v1/replays", "/metrics", "/v1/history"]) {
    const startedAtMs = nodeClock.monotonic();
    const { status, headers } = await get(one, path);
    expect(status, path).toBe(200);
    expect(headers["x-evil"]).toBeUndefined();
    expect(nodeClock.monotonic() - startedAtMs, path).toBeLessThan(SOON_MS);
  }
  await serves(one, two);
});

test.each([
  ["answers with its own JSON", 200, '{"password":"of-the-inside"}'],
  ["sends elsewhere", 302, ""],
  ["answers with a page", 200, "<html>of-the-inside</html>"],
])(
  "a service of the inside whose address a false relay gives, and that %s, is not shown",
  async (_what, status, body) => {
    const asked: string[] = [];
    const inside = await startServer(({ method, path, headers }) => {
      asked.push(`${method} ${path} ${JSON.stringify(headers)}`);
      return { status, headers: { location: "/secrets" }, body };
    });
    onTestFinished(() => inside.close());
    const world = await startCluster();
    const [one, two] = await startTwo(world);
    await pretend(world, two, { id: "impostor", name: "impostor", adminUrl: inside.url, lanes: [] });
    await until(async () => (await clusterOf(one)).relays.some(({ id }) => id === "impostor"));
    for (const path of ["/v1/accounts", "/v1/overview", "/v1/replays", "/v1/history", "/v1/trace/m-1"]) {
      const { text, headers } = await get(one, path);
      expect(text + JSON.stringify(headers), path).not.toContain("of-the-inside");
      expect(String(headers["waybill-unanswered"] ?? text), path).toContain("impostor");
    }
    expect(asked.length).toBeGreaterThan(0);
    // Signed for the false relay: nobody else takes them, and none changes anything.
    for (const request of asked) expect(request).toMatch(/^GET \/v1\/.*"authorization":"Waybill-Relay /);
    expect(asked.join()).not.toContain(TOKEN);
    expect(asked.join()).not.toContain("/secrets");
    await serves(one, two);
  },
);

const DESIRED = { topic: "waybill.desired", partition: 0 };
const REPLAY = "replay/test/0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa";
const deep = "[".repeat(400_000);

test.each([
  ["names of no lane", ["pause/", "pause/test", "pause/__proto__/constructor", `pause/${"x".repeat(500_000)}/y`], "{}"],
  ["rotations of nobody", ["rotation/", "rotation/__proto__", `rotation/${"k".repeat(500_000)}`], '{"sealed":"AAAA"}'],
  ["a rotation that is half a megabyte", ["rotation/x"], JSON.stringify({ sealed: "A".repeat(500_000) })],
  ["a rotation of brackets", ["rotation/x", REPLAY, `${REPLAY}/0`], deep],
  ["a replay of another prototype", [REPLAY], '{"__proto__":{"destination":"emulator"},"parts":[]}'],
  [
    "a replay of all that there ever will be",
    [REPLAY],
    JSON.stringify({
      destination: "emulator",
      choice: { log: {} },
      createdAtMs: 1,
      parts: [
        [0, 0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
        [99_999, 5, 1, 7],
      ],
    }),
  ],
  ["parts that count against themselves", [`${REPLAY}/99999`, `${REPLAY}/0`], '{"total":-1}'],
  ["a reload of noise", ["reload"], "\u0000".repeat(1_000)],
])("%s in the topic of what operators asked for stop nothing", async (_what, keys, value) => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  const broker = world.cluster.connect("stranger");
  const values = keys.map(() => Buffer.from(value));
  await broker.produce({ ...DESIRED, keys: [...keys], values, deadlineMs: 5_000 });
  await capture(one, 0, 20);
  await until(() => world.emulator.received >= 20);
  for (const action of ["pause", "resume"]) {
    const asked = await post(two, `/v1/lanes/test/emulator/${action}`);
    expect([asked.status, asked.json["unconfirmed"]], asked.text).toEqual([204, undefined]);
  }
  for (const path of ["/v1/replays", "/v1/overview", "/v1/cluster", "/metrics"])
    expect((await get(one, path)).text.length, path).toBeLessThan(100_000);
  await serves(one, two);
});

const HUGE = "9".repeat(20);
const LARGEST = "9".repeat(15);
const receipt = (positions: string): string => `/v1/receipts/test/${encodeURIComponent(positions)}`;

test("names of absurd size are refused, or are of nothing, whichever relay is asked", async () => {
  const [one, two] = await startTwo(await startCluster());
  await capture(one, 0, 20);
  const refused = [
    receipt("99999999@1"),
    receipt(`3@${HUGE}`),
    receipt(`3@1.${HUGE}`),
    receipt(`3@1+${HUGE}`),
    receipt("__proto__"),
    receipt(`${"0@1,".repeat(5_000)}0`),
    receipt(`0@1+${LARGEST}`),
    receipt(`3@${LARGEST}+1`),
    receipt("99999@1"),
    `/v1/trace/${encodeURIComponent(`test/99999999@${HUGE}`)}`,
    `/v1/events/test%2F3/${HUGE}`,
    `/v1/dead-letters/test%2F3/emulator?after=${HUGE}`,
    ...[`3:${HUGE}`, "99999:1", "-1:1", "__proto__"].map((name) => `/v1/dead-letters/test/emulator?after=${name}`),
    ...[`${HUGE}:1`, "99999:1", `${"3:1,".repeat(5_000)}3:1`].map(
      (names) => `/v1/dead-letters/test/emulator?id=${names}`,
    ),
  ];
  for (const relay of [one, two]) {
    for (const path of refused) {
      const { status, json, text } = await get(relay, path);
      expect([400, 404], path).toContain(status);
      expect(json["code"], path).toMatch(/^(?:invalid_request|unknown_)/);
      expect(text.length, path).toBeLessThan(1_000);
    }
    for (const action of ["retry", "discard"]) {
      const path = `/v1/dead-letters/test/emulator/${action}?id=`;
      expect((await post(relay, `${path}3:${HUGE}`)).status).toBe(400);
      expect((await post(relay, `${path}99999:1`)).status).toBe(400);
      expect((await post(relay, `${path}3:${LARGEST}`)).json["events"]).toBe(0);
    }
  }
  await serves(one, two);
});

test("a stranger's request with a body of any size is refused, and no answer names the token", async () => {
  const [one, two] = await startTwo(await startCluster());
  const { relays } = await clusterOf(one);
  const body = { noise: "x".repeat(4 * 1024 * 1024) };
  const zeros = "0".repeat(64);
  for (const relay of [one, two]) {
    const id = relays.find(({ adminUrl }) => adminUrl === relay.adminUrl)?.id ?? "";
    const authorization = `Waybill-Relay ${nodeClock.now()}.${"0".repeat(32)}.${zeros}.${zeros}`;
    const headers = { authorization, [RELAY_HEADER]: id, "content-type": "application/json" };
    const { status, text } = await send(relay.adminUrl, "POST", "/v1/lanes/test%2F0/emulator/cursor", body, headers);
    expect([status, text.includes(TOKEN)]).toEqual([401, false]);
  }
  await serves(one, two);
});
