/**
 * A reload takes a new configuration over as a whole or not at all, and tells truly what has
 * changed.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { nodeClock } from "@waybill/node";
import type { RelayConfig, Trace } from "@waybill/relay";
import { emulators, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import {
  BASIC,
  configOf,
  destination,
  JSON_TYPE,
  KEY,
  type RelayWorld,
  send,
  startWorld,
  until,
} from "../lib/world.ts";

let made = 0;
const track = (event = "E"): object => ({ type: "track", event, userId: "u", messageId: `r-${made++}` });
const basic = (key: string): Record<string, string> => ({ authorization: `Basic ${btoa(`${key}:`)}` });
/** Open files of this relay: sockets and other files come and go by themselves. */
const openFiles = ({ directory }: RelayWorld): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
    } catch {
      return false;
    }
  }).length;
const account = ({ relay }: RelayWorld, lane = 0): unknown => relay.accounts().lanes[lane]?.account;
const settled = ({ relay }: RelayWorld): Promise<void> =>
  until(() => relay.accounts().lanes.every((lane) => lane.account.pending === 0));

/** What became of the event at a position. */
async function outcomesAt({ relay }: RelayWorld, position: number): Promise<unknown> {
  const answer = await fetch(`${relay.adminUrl}/v1/receipts/test/${position}`);
  return ((await answer.json()) as Trace).events[0]?.destinations;
}

/** The configuration of `world` with other parts. */
function changedConfig(world: RelayWorld, options: Parameters<typeof configOf>[2]): RelayConfig {
  return configOf(world.directory, world.server.url, options);
}

/**
 * Faults of the disk and of files that a reload meets, each beside changes that would be right
 * alone.
 */
const FAILURES: readonly (readonly [
  name: string,
  parts: (world: RelayWorld) => Parameters<typeof configOf>[2],
  error: string,
])[] = [
  [
    "flag data that are missing",
    ({ server }) => ({
      destinations: () => ({
        emulator: destination(server.url, { writeKey: "other" }),
        flags: { vendor: "launchdarkly", url: server.url, writeKey: "k", flagsFile: "/nowhere/flags.json" },
      }),
    }),
    "flagsFile /nowhere/flags.json cannot be read: ENOENT",
  ],
  [
    "a destination whose state cannot be opened",
    () => ({
      destinations: (url) => ({
        early: destination(url),
        emulator: destination(url, { writeKey: "other" }),
        late: destination(url),
      }),
    }),
    "fates/late",
  ],
  [
    "an environment that cannot be opened",
    (world) => {
      const { environments } = JSON.parse(
        JSON.stringify({
          environments: {
            test: {
              sources: { web: { protocol: "segment", writeKeys: ["other"] } },
              destinations: {
                emulator: destination(world.server.url, { writeKey: "other" }),
                early: destination("http://127.0.0.1:9"),
              },
            },
            second: {
              sources: { app: { protocol: "segment", writeKeys: ["app"] } },
              destinations: { emulator: destination(world.server.url) },
            },
          },
        }),
      ) as { environments: object };
      return { extra: { environments } };
    },
    "second",
  ],
  [
    "a file that cannot be written",
    (world) => {
      mkdirSync(`${world.directory}/out/events.ndjson`, { recursive: true });
      return {
        destinations: (url) => ({
          emulator: destination(url, { writeKey: "other" }),
          fine: { vendor: "file", path: `${world.directory}/out/fine.ndjson` },
          file: { vendor: "file", path: `${world.directory}/out/events.ndjson` },
        }),
      };
    },
    "events.ndjson",
  ],
];

test.each(FAILURES)(
  "%s: nothing has changed, nothing is left open, and the cause is reported",
  async (_name, parts, error) => {
    let isBroken = true;
    const broken = (path: string): boolean => isBroken && /\/fates\/late|\/second\/fates/.test(path);
    const world = await startWorld({ emulatorKeys: ["outbound"], isBroken: broken });
    await world.post("/v1/track", track());
    await settled(world);
    const { sources = { web: { protocol: "segment", writeKeys: ["other"] } }, ...rest } = parts(world) ?? {};
    const wanted = changedConfig(world, { sources, ...rest });
    const before = openFiles(world);
    const lanes = readdirSync(`${world.directory}/data/test/lanes`);
    const result = await world.relay.reload(wanted);
    expect(result).toMatchObject({ ok: false, changed: [], errors: [expect.stringContaining(error) as string] });
    // One left open by each reload would be twenty more; journals are opened when they are needed.
    await until(() => openFiles(world) < before + 10);
    expect(readdirSync(`${world.directory}/data/test/lanes`)).toEqual(lanes);
    expect(existsSync(`${world.directory}/out/fine.ndjson`)).toBe(false);
    // The keys of before are valid, in both directions, and no other.
    expect((await world.post("/v1/track", track())).status).toBe(200);
    expect((await world.post("/v1/track", track(), basic("other"))).status).toBe(401);
    await settled(world);
    expect(account(world)).toMatchObject({ accepted: 2, delivered: 2, balanced: true });
    expect(world.relay.accounts().lanes).toHaveLength(1);
    // Neither do the keys of the failed one come in by a rotation.
    const rotated = await send(
      world.relay.adminUrl,
      "POST",
      "/v1/sources/test/web/rotate",
      { key: "third" },
      JSON_TYPE,
    );
    expect(rotated.status).toBe(200);
    for (const [key, status] of [
      ["third", 200],
      [KEY, 200],
      ["other", 401],
    ] as const)
      expect((await world.post("/v1/track", track(), basic(key))).status, key).toBe(status);
    // What was in the way is gone: the same configuration is taken.
    if (error.startsWith("flagsFile")) return;
    isBroken = false;
    rmSync(`${world.directory}/out/events.ndjson`, { recursive: true, force: true });
    expect(await world.relay.reload(wanted)).toMatchObject({ ok: true });
  },
);

test("a destination that a failed reload had begun begins at the head of the reload that works", async () => {
  let isBroken = true;
  const world = await startWorld({ isBroken: (path) => isBroken && path.includes("/fates/late") });
  const destinations = (url: string): Record<string, unknown> => ({
    emulator: destination(url),
    early: destination(url),
    late: destination(url),
  });
  expect((await world.relay.reload(changedConfig(world, { destinations }))).ok).toBe(false);
  await world.post("/v1/track", track());
  await settled(world);
  isBroken = false;
  expect((await world.relay.reload(changedConfig(world, { destinations }))).ok).toBe(true);
  for (const lane of [1, 2]) expect(account(world, lane)).toMatchObject({ accepted: 0, delivered: 0 });
});

test("limits of a batch and the time events wait for company hold from the reload on", async () => {
  const world = await startWorld({
    destinations: (url) => ({ emulator: destination(url, { batch: { linger: "1h" } }) }),
  });
  const batch = { batch: Array.from({ length: 40 }, () => track()) };
  await world.post("/v1/batch", batch);
  expect(account(world)).toMatchObject({ pending: 40 });
  const destinations = (url: string): Record<string, unknown> => ({
    emulator: destination(url, { batch: { linger: "1ms", maxEvents: 8 } }),
  });
  expect(await world.relay.reload(changedConfig(world, { destinations }))).toMatchObject({
    changed: ["test/emulator changed"],
  });
  await settled(world);
  expect(world.delivered.map((text) => (JSON.parse(text) as { batch: unknown[] }).batch.length)).toEqual([
    8, 8, 8, 8, 8,
  ]);
});

test("a destination's timeout and backoff hold from the reload on", async () => {
  let answers = 0;
  const hung = await startServer(() => {
    answers += 1;
    return new Promise(() => undefined);
  });
  onTestFinished(() => hung.close());
  const slow = { timeout: "50ms", backoff: { base: "60s", max: "60s" } };
  const quick = { timeout: "40ms", backoff: { base: "1ms", max: "2ms" } };
  const world = await startWorld({ destinations: () => ({ emulator: destination(hung.url, slow) }) });
  await world.post("/v1/track", track());
  await until(() => world.relay.accounts().lanes[0]?.mode === "waiting");
  const before = answers;
  const wanted = changedConfig(world, { destinations: () => ({ emulator: destination(hung.url, quick) }) });
  expect((await world.relay.reload(wanted)).changed).toEqual(["test/emulator changed"]);
  // The wait that was begun ends too.
  await until(() => answers > before + 3);
});

test("settings of the relay as a whole are taken over and reported by their names, or take a restart", async () => {
  const logger = { level: "info", info: () => 0, warn: () => 0, error: () => 0, debug: () => 0 };
  const world = await startWorld({ logger: logger as never });
  const extra = {
    log: { level: "debug" },
    admin: { listen: "127.0.0.1:0", token: "a-long-token", hosts: ["waybill.internal"] },
    limits: { headersTimeout: "300ms", requestTimeout: "400ms" },
    retention: { maxAge: "1h" },
    shutdown: { deadline: "1s" },
  };
  const wanted = changedConfig(world, { extra });
  expect(await world.relay.reload(wanted)).toEqual({
    ok: true,
    changed: [
      "log.level changed",
      "admin.token changed",
      "admin.hosts changed",
      "limits.headersTimeout changed",
      "limits.requestTimeout changed",
      "retention changed",
      "shutdown.deadline changed",
    ],
    errors: [],
  });
  expect(logger.level).toBe("debug");
  expect((await fetch(`${world.relay.adminUrl}/v1/accounts`)).status).toBe(401);
  const headers = { authorization: "Bearer a-long-token", host: "waybill.internal" };
  expect((await send(world.relay.adminUrl, "GET", "/v1/accounts", "", headers)).status).toBe(200);
  const socket = connect(Number(new URL(world.relay.adminUrl).port), "127.0.0.1");
  let cut = "";
  socket.on("data", (chunk) => (cut += String(chunk)));
  socket.on("error", () => undefined);
  socket.write("GET /health HTTP/1.1\r\nhost: 127");
  const startedAtMs = performance.now();
  await until(() => cut.startsWith("HTTP/1.1 408"));
  // The default is ten seconds.
  expect(performance.now() - startedAtMs).toBeLessThan(8_000);
  // The same again changes nothing.
  expect(await world.relay.reload(wanted)).toEqual({ ok: true, changed: [], errors: [] });
});

test.each([
  ["listen", { listen: { host: "127.0.0.1", port: 1 } }],
  ["admin.listen", { admin: { host: "127.0.0.1", port: 1 } }],
  ["dataDirectory", { dataDirectory: "/elsewhere" }],
  ["limits.bodyMaxBytes", { bodyMaxBytes: 1 }],
  ["compat.strict", { strict: true }],
  ["network.allowPrivateAddresses", { allowPrivateAddresses: false }],
  ["exchange.deadline", { exchangeDeadlineMs: 1 }],
  ["dedupe", { dedupe: { windowMs: 1, maxIds: 2 } }],
  ["permissions", { permissions: { fileMode: 0o640, directoryMode: 0o750 } }],
])("%s takes a restart: it is reported, and nothing else is taken over", async (name, change) => {
  const world = await startWorld();
  const wanted = {
    ...changedConfig(world, { sources: { web: { protocol: "segment", writeKeys: ["other"] } } }),
    ...change,
  };
  expect(await world.relay.reload(wanted)).toEqual({
    ok: false,
    changed: [],
    errors: [`${name} changed; that takes a restart. Nothing was reloaded.`],
  });
  expect((await world.post("/v1/track", track(), basic("other"))).status).toBe(401);
});

test("a destination of another vendor goes on at its cursor with its ledger", async () => {
  const emulator = new emulators.LetterEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const world = await startWorld();
  await world.post("/v1/track", track("First"));
  await settled(world);
  world.emulator.fail({ kind: "status", status: 503 });
  await world.post("/v1/track", track("Second"));
  await until(() => world.relay.accounts().lanes[0]?.mode === "waiting");
  const destinations = (): Record<string, unknown> => ({ emulator: destination(server.url, { vendor: "letter" }) });
  expect(await world.relay.reload(changedConfig(world, { destinations }))).toMatchObject({
    changed: ["test/emulator changed: it delivers to letter, before to segment; cursor, ledger and dead letters stay"],
  });
  await settled(world);
  expect(world.relay.accounts().lanes[0]).toMatchObject({ vendor: "letter", account: { accepted: 2, delivered: 2 } });
  expect(emulator.events.map(({ event }) => event)).toEqual(["Second"]);
  expect(await outcomesAt(world, 0)).toMatchObject([
    { destination: "emulator", outcome: "delivered", formerVendor: "segment" },
  ]);
  const second = await outcomesAt(world, 1);
  expect(second).toMatchObject([{ destination: "emulator", outcome: "delivered" }]);
  expect(second).not.toHaveProperty([0, "formerVendor"]);
});

test("a source of another protocol takes its clients' requests from then on; sources that come and go are reported", async () => {
  const world = await startWorld();
  const sources = {
    web: { protocol: "trophy", writeKeys: [KEY] },
    app: { protocol: "segment", writeKeys: ["app"] },
  };
  expect(await world.relay.reload(changedConfig(world, { sources }))).toMatchObject({
    changed: [
      "source test/web changed: its clients speak trophy, before segment; its counters go on",
      "source test/app added",
    ],
  });
  expect(world.relay.accounts().sources).toMatchObject([{ protocol: "trophy" }, { source: "app" }]);
  const more = { app: { protocol: "segment", writeKeys: ["app"], maxRequestsPerSecond: 1_000 } };
  expect(await world.relay.reload(changedConfig(world, { sources: more }))).toMatchObject({
    changed: ["source test/app changed", "source test/web removed"],
  });
});

test("a destination that goes while events wait is reported with their number, and takes up there when it returns", async () => {
  const warnings: string[] = [];
  const logger = {
    info: () => 0,
    warn: (...args: unknown[]) => warnings.push(String(args.at(-1))),
    error: () => 0,
    debug: () => 0,
  };
  const world = await startWorld({
    logger: logger as never,
    destinations: (url) => ({ emulator: destination(url), away: destination("http://127.0.0.1:9") }),
  });
  await world.post("/v1/batch", { batch: Array.from({ length: 1_234 }, () => track()) });
  const text =
    "test/away removed; 1,234 events wait in its lane state and are delivered if a destination of that name returns";
  const renamed = changedConfig(world, {
    destinations: (url) => ({ emulator: destination(url), other: destination(url) }),
  });
  expect(await world.relay.reload(renamed)).toMatchObject({ ok: true, changed: ["test/other added", text] });
  expect(warnings).toContain(text);
  expect(await outcomesAt(world, 7)).toMatchObject([
    { destination: "emulator" },
    { destination: "other", outcome: "not_addressed" },
    { destination: "away", removed: true, outcome: "pending", reason: "the destination is not configured any more" },
  ]);
  const back = changedConfig(world, {
    destinations: (url) => ({ emulator: destination(url), away: destination(url) }),
  });
  expect(await world.relay.reload(back)).toMatchObject({ changed: ["test/away added", "test/other removed"] });
  await settled(world);
  expect(account(world, 1)).toMatchObject({ accepted: 1_234, delivered: 1_234, balanced: true });
  const delivered = { destination: "away", outcome: "delivered" };
  expect(await outcomesAt(world, 7)).toMatchObject([{ destination: "emulator" }, delivered]);
  await world.relay.reload(changedConfig(world, { destinations: (url) => ({ emulator: destination(url) }) }));
  const gone = { ...delivered, removed: true, formerVendor: "segment" };
  expect(await outcomesAt(world, 7)).toMatchObject([{ destination: "emulator" }, gone]);
});

test("an environment that goes while events wait is reported too", async () => {
  const world = await startWorld({ destinations: () => ({ away: destination("http://127.0.0.1:9") }) });
  await world.post("/v1/batch", { batch: [track(), track()] });
  const environments = {
    second: {
      sources: { web: { protocol: "segment", writeKeys: [KEY] } },
      destinations: { emulator: destination(world.server.url) },
    },
  };
  expect(await world.relay.reload(changedConfig(world, { extra: { environments } }))).toMatchObject({
    changed: [
      "second added",
      "test removed; 2 events wait in its log and are delivered if an environment of that name returns",
    ],
  });
  expect((await world.post("/v1/track", track())).status).toBe(200);
  await settled(world);
  expect(world.relay.accounts().lanes).toMatchObject([{ environment: "second", account: { delivered: 1 } }]);
});

test("reloads come one after another, the file read in each one's turn", async () => {
  const read: string[] = [];
  let wanted: (() => Promise<RelayConfig>) | undefined;
  const world = await startWorld({ reloadConfig: () => (wanted as () => Promise<RelayConfig>)() });
  const withKey = (key: string): RelayConfig =>
    changedConfig(world, { sources: { web: { protocol: "segment", writeKeys: [key] } } });
  const keys = ["one", "two", "three"];
  wanted = async () => {
    const key = keys[read.length] as string;
    read.push(key);
    // The first read is the slowest.
    await new Promise((resolve) => nodeClock.after(60 / read.length, () => resolve(undefined)));
    return withKey(key);
  };
  const reload = (): Promise<unknown> => send(world.relay.adminUrl, "POST", "/v1/reload", "", {});
  await Promise.all([reload(), reload(), reload()]);
  expect(read).toEqual(keys);
  const status = async (key: string): Promise<number> => (await world.post("/v1/track", track(), basic(key))).status;
  expect([await status("one"), await status("two"), await status("three")]).toEqual([401, 401, 200]);
});

test("a reload that meets a stop is refused, or ends before it; none is taken after it", async () => {
  const world = await startWorld();
  const wanted = changedConfig(world, {
    destinations: (url) => ({ emulator: destination(url), second: destination(url), third: destination(url) }),
  });
  const before = openFiles(world);
  const during = world.relay.reload(wanted);
  const stopped = world.relay.stop();
  const after = world.relay.reload(world.config);
  const result = await during;
  expect(result.ok ? result.changed : result.errors).toEqual(
    result.ok ? ["test/second added", "test/third added"] : ["The relay is stopping."],
  );
  await stopped;
  expect(await after).toEqual({ ok: false, changed: [], errors: ["The relay is stopping."] });
  expect(await world.relay.reload(world.config)).toMatchObject({ ok: false });
  expect(openFiles(world)).toBeLessThan(before);
});

test("a rotation whose destination cannot be made again changes no key", async () => {
  const flagsFile = "flags.json";
  const world = await startWorld();
  const path = `${world.directory}/${flagsFile}`;
  writeFileSync(path, '{"flags":{}}');
  const destinations = (url: string): Record<string, unknown> => ({
    emulator: destination(url),
    flags: { vendor: "launchdarkly", url, writeKey: "k", flagsFile: path },
  });
  expect(await world.relay.reload(changedConfig(world, { destinations }))).toMatchObject({ ok: true });
  rmSync(path);
  const rotate = (what: string): Promise<{ readonly status: number; readonly text: string }> =>
    send(world.relay.adminUrl, "POST", `/v1/${what}/rotate`, { key: "new-key" }, JSON_TYPE);
  expect(await rotate("destinations/test/flags")).toMatchObject({ status: 400 });
  expect(await rotate("sources/test/web")).toMatchObject({ status: 400 });
  expect((await world.post("/v1/track", track(), basic("new-key"))).status).toBe(401);
  writeFileSync(path, "not json at all: secrets");
  const failed = await rotate("sources/test/web");
  expect([failed.status, failed.text.includes("secrets")]).toEqual([400, false]);
  writeFileSync(path, '{"flags":{}}');
  expect((await rotate("sources/test/web")).status).toBe(200);
  expect((await world.post("/v1/track", track(), basic("new-key"))).status).toBe(200);
  expect((await world.post("/v1/track", track(), BASIC)).status).toBe(200);
});

test("reloads of file destinations leave no file open and lose no line", async () => {
  const world = await startWorld();
  const path = `${world.directory}/out/events.ndjson`;
  const reload = (rotateBytes: number): Promise<unknown> =>
    world.relay.reload(
      changedConfig(world, {
        destinations: () => ({ file: { vendor: "file", path, rotateBytes, batch: { linger: "1ms" } } }),
      }),
    );
  await reload(1_000_000);
  await world.post("/v1/track", track());
  await settled(world);
  const before = openFiles(world);
  for (let round = 1; round <= 20; round++) {
    await reload(1_000_000 + round);
    await world.post("/v1/track", track());
    await settled(world);
  }
  // One left open by each reload would be twenty more; journals are opened when they are needed.
  await until(() => openFiles(world) < before + 10);
  expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(21);
});

test("a source in memory follows its settings and its destination; what waited is posted before", async () => {
  const posts: string[] = [];
  const server = (name: string): ReturnType<typeof startServer> =>
    startServer((request) => {
      const events = JSON.parse(Buffer.from(request.body).toString()) as { n?: number }[];
      posts.push(`${name} ${request.headers["authorization"]} ${events.map(({ n }) => n).join()}`);
      return { status: 202, headers: {}, body: "" };
    });
  const [first, second] = [await server("first"), await server("second")];
  onTestFinished(async () => {
    await first.close();
    await second.close();
  });
  const plan = (memory: object | undefined, ld: object): Parameters<typeof configOf>[2] => ({
    sources: {
      flags: { protocol: "launchdarkly", writeKeys: ["sdk-in"], ...(memory === undefined ? {} : { memory }) },
    },
    destinations: () => ({ ld: { vendor: "launchdarkly", batch: { linger: "1ms" }, ...ld } }),
  });
  const hour = { flushInterval: "1h" };
  const world = await startWorld(plan(hour, { url: first.url, writeKey: "one" }) ?? {});
  const headers = { authorization: "sdk-in", "x-launchdarkly-event-schema": "4" };
  const send = async (n: number): Promise<void> => {
    expect((await world.post("/bulk", `[{"kind":"custom","n":${n}}]`, headers)).status).toBe(202);
  };
  const reload = async (memory: object | undefined, ld: object): Promise<void> => {
    expect((await world.relay.reload(changedConfig(world, plan(memory, ld)))).errors).toEqual([]);
  };
  await send(1);
  // Another key alone: what waits goes on waiting, and leaves under it.
  await reload(hour, { url: first.url, writeKey: "two" });
  expect(posts).toEqual([]);
  await reload(hour, { url: second.url, writeKey: "two" });
  expect(posts).toEqual(["first two 1"]);
  await send(2);
  await reload({ flushInterval: "20ms" }, { url: second.url, writeKey: "two" });
  await send(3);
  await until(() => posts.length === 3);
  expect(posts.slice(1)).toEqual(["second two 2", "second two 3"]);
  await reload(undefined, { url: second.url, writeKey: "two" });
  await send(4);
  await until(() => posts.length === 4);
  expect(account(world)).toMatchObject({ accepted: 1 });
});

test("a reload of a source in memory holds at once: capacity, environment id, a mobile key that comes or goes, users inline", async () => {
  const posts: string[] = [];
  const server = await startServer((request) => {
    const body = Buffer.from(request.body).toString();
    posts.push(`${request.path} ${request.headers["authorization"]} ${body}`);
    return { status: 202, headers: {}, body: "" };
  });
  onTestFinished(() => server.close());
  const plan = (memory: object, more: object): Parameters<typeof configOf>[2] => ({
    sources: {
      flags: {
        protocol: "launchdarkly",
        writeKeys: ["sdk-in"],
        mobileKeys: ["mob-in"],
        environmentId: "env-in",
        memory: { flushInterval: "1h", ...memory },
      },
    },
    destinations: () => ({ ld: { vendor: "launchdarkly", writeKey: "one", url: server.url, ...more } }),
  });
  const world = await startWorld(plan({ capacity: 1 }, { environmentId: "env-1" }) ?? {});
  const post = async (path: string, body: string, key = "sdk-in", schema = "4"): Promise<void> => {
    const headers = { authorization: key, "x-launchdarkly-event-schema": schema };
    expect((await world.post(path, body, headers)).status).toBe(202);
  };
  /** Reloads, and gives what that had posted: what waited before. */
  const reload = async (memory: object, more: object): Promise<string[]> => {
    posts.splice(0);
    const result = await world.relay.reload(changedConfig(world, plan(memory, more)));
    expect(result).toMatchObject({ ok: true, errors: [] });
    expect(result.changed).not.toEqual([]);
    return posts.toSorted();
  };
  await post("/bulk", "[1,2,3]");
  await post("/events/bulk/env-in", "[1]");
  await post("/mobile", "[1]", "mob-in");
  // There is no key for mobile SDKs yet.
  expect(await reload({ capacity: 2 }, { environmentId: "env-2" })).toEqual([
    "/bulk one [1]",
    "/events/bulk/env-1 undefined [1]",
  ]);
  await post("/bulk", "[1,2,3]");
  await post("/events/bulk/env-in", "[2]");
  expect(await reload({ capacity: 2 }, { environmentId: "env-3", mobileKey: "mob" })).toEqual([
    "/bulk one [1,2]",
    "/events/bulk/env-2 undefined [2]",
  ]);
  await post("/events/bulk/env-in", "[3]");
  await post("/mobile", "[3]", "mob-in");
  expect(await reload({ capacity: 2 }, { environmentId: "env-3" })).toEqual([
    "/events/bulk/env-3 undefined [3]",
    "/mobile mob [3]",
  ]);
  await post("/mobile", "[4]", "mob-in");
  expect(await reload({ capacity: 2 }, { environmentId: "env-3", inlineUsers: true })).toEqual([]);
  await post("/bulk", '[{"kind":"custom","creationDate":1,"key":"c","user":{"key":"u"}}]', "sdk-in", "2");
  expect(await reload({ capacity: 3 }, { environmentId: "env-3" })).toEqual([
    '/bulk one [{"kind":"custom","creationDate":1,"key":"c","user":{"key":"u"}}]',
  ]);
  // Another capacity alone.
  await post("/bulk", "[1,2,3,4]");
  expect(await reload({ capacity: 1 }, { environmentId: "env-3" })).toEqual(["/bulk one [1,2,3]"]);
  await post("/bulk", "[1,2]");
  expect(await reload({ capacity: 4 }, { environmentId: "env-3" })).toEqual(["/bulk one [1]"]);
});

test("in memory an environment id alone, changed by a reload, is where events go from then on", async () => {
  const paths: string[] = [];
  const server = await startServer(({ path }) => {
    paths.push(path);
    return { status: 202, headers: {}, body: "" };
  });
  onTestFinished(() => server.close());
  const plan = (environmentId: string): Parameters<typeof configOf>[2] => ({
    sources: {
      flags: {
        protocol: "launchdarkly",
        writeKeys: ["sdk-in"],
        environmentId: "env-in",
        memory: { flushInterval: "1h" },
      },
    },
    destinations: () => ({ ld: { vendor: "launchdarkly", writeKey: "one", url: server.url, environmentId } }),
  });
  const world = await startWorld(plan("env-1") ?? {});
  for (const [n, id] of ["env-2", "env-3"].entries()) {
    await world.post("/events/bulk/env-in", "[1]", { "x-launchdarkly-event-schema": "4" });
    expect((await world.relay.reload(changedConfig(world, plan(id)))).errors).toEqual([]);
    expect(paths.at(-1)).toBe(`/events/bulk/env-${n + 1}`);
  }
});
