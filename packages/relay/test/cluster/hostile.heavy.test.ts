/** What strangers and false relays send to the routes of a cluster ends as one answer, soon. */
import { get as httpGet, type IncomingMessage } from "node:http";
import { nodeClock, nodeRuntime } from "@waybill/node";
import type { RunningRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { RELAY_HEADER, signatureOf } from "../../src/admin/cluster/relay-signature.ts";
import { type Answered, send, until } from "../lib/world.ts";
import { type ClusterWorld, recordsOf, startCluster } from "./lib/cluster-world.ts";
import { AUTHORIZED, clusterOf, get, startTwo, TOKEN } from "./lib/reachable.ts";

const SOON_MS = 6_500;
const STREAMS = 200;
const STREAMS_MAX = 64;
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
  const [one, two] = await startTwo(await startCluster());
  const [{ environment } = { environment: "" }] = two.accounts().lanes;
  const path = `/v1/tail?environment=${encodeURIComponent(environment)}`;
  const streams = await Promise.all(Array.from({ length: STREAMS }, () => openSleeper(one, path)));
  const open = streams.filter(({ statusCode }) => statusCode === 200);
  expect(open.length).toBeLessThanOrEqual(STREAMS_MAX);
  expect(open.length).toBeGreaterThan(0);
  expect(new Set(streams.map(({ statusCode }) => statusCode))).toEqual(new Set([200, 503]));
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
