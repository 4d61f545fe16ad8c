/** A real relay that delivers through a real proxy, to a vendor that only the proxy can find. */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeRuntime } from "@waybill/node";
import { ADMIN_ROUTES, loadConfig, type RelayConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { createTestCa } from "@waybill/testing";
import { launchdarklyMetadata } from "@waybill/vendors";
import { expect, onTestFinished, test } from "vitest";
import { ForwardProxy } from "../../../node/test/lib/forward-proxy.ts";
import { resolveEnvironment } from "../../src/config/load.ts";
import { createRelayTransport } from "../../src/delivery/relay-transport.ts";
import { createFlagSource } from "../../src/launchdarkly/flags.ts";
import { MemoryRelay } from "../../src/launchdarkly/memory-relay.ts";
import { type LaunchDarklyDestination, memoryOf } from "../../src/launchdarkly/options.ts";
import { destination, JSON_TYPE, KEY, send, until } from "../lib/world.ts";

const CA = createTestCa();
const SECRET = "pr0xy-pass";
/** No label of a name may be so long: a look-up fails without asking anybody. */
const NAME = `vendor-${"x".repeat(64)}.test`;

interface Vendor {
  readonly url: string;
  readonly bodies: string[];
  /** Write keys, in the order of requests. */
  readonly keys: string[];
  connections: number;
}

/** Takes what it is sent. */
async function startVendor(ca = CA): Promise<Vendor> {
  const bodies: string[] = [];
  const keys: string[] = [];
  const server = https.createServer({ ...ca.issue(NAME) }, (request, response) => {
    const chunks: Buffer[] = [];
    const credentials = request.headers.authorization?.replace("Basic ", "") ?? "";
    keys.push(Buffer.from(credentials, "base64").toString().replace(":", ""));
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      bodies.push(Buffer.concat(chunks).toString());
      response.end("{}");
    });
  });
  const vendor = { url: "", bodies, keys, connections: 0 };
  server.on("connection", () => vendor.connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(vendor, { url: `https://${NAME}:${(server.address() as AddressInfo).port}` });
}

interface World {
  readonly relay: RunningRelay;
  /** Everything that was logged, as JSON. */
  readonly logged: string[];
  /** A CA's file. */
  readonly ca: string;
  configWith(options: Options): RelayConfig;
  track(event?: string): Promise<void>;
}

interface Options {
  readonly destination?: object;
  readonly network?: object;
  readonly env?: Readonly<Record<string, string>>;
}

async function start(vendor: Vendor, options: (ca: string) => Options): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-outbound-"));
  const ca = join(directory, "ca.pem");
  writeFileSync(ca, CA.cert);
  const configWith = ({ destination: more = {}, network = {}, env = {} }: Options): RelayConfig =>
    loadConfig({
      file: "waybill.yaml",
      text: JSON.stringify({
        listen: "127.0.0.1:0",
        dataDirectory: `${directory}/data`,
        admin: { listen: "127.0.0.1:0" },
        shutdown: { deadline: "2s" },
        network,
        environments: {
          test: {
            sources: { web: { protocol: "segment", writeKeys: [KEY] } },
            destinations: { far: destination(vendor.url, { ca, ...more }) },
          },
        },
      }),
      env,
    });
  const logged: string[] = [];
  const log = (...parts: readonly unknown[]): void => void logged.push(JSON.stringify(parts));
  const logger = { info: log, warn: log, error: log, debug: log };
  const relay = await startRelay(configWith(options(ca)), { logger: logger as never });
  onTestFinished(async () => {
    await relay.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  let made = 0;
  const track = async (event = "E"): Promise<void> => {
    const body = { type: "track", event, userId: "u", messageId: `o-${made++}` };
    expect((await send(relay.intakeUrl, "POST", "/v1/track", body)).status).toBe(200);
  };
  return { relay, logged, ca, configWith, track };
}

/** All that the admin API shows. */
async function shown({ relay }: World): Promise<string> {
  const routes = Object.values(ADMIN_ROUTES).filter(
    ({ method, path }) => method === "GET" && !path.includes("{") && !path.includes("tail") && !path.includes("live"),
  );
  const answers = await Promise.all(routes.map(({ path }) => send(relay.adminUrl, "GET", path, "", {})));
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(3);
  return answers.map(({ text }) => text).join("\n");
}

const lane = ({ relay }: World): ReturnType<RunningRelay["accounts"]>["lanes"][0] | undefined =>
  relay.accounts().lanes[0];

test("a destination delivers through its own proxy, over connections that it keeps", async () => {
  const vendor = await startVendor();
  const proxy = await ForwardProxy.start({ credentials: `relay:${SECRET}` });
  const world = await start(vendor, () => ({ destination: { proxy: proxy.url(`relay:${SECRET}`) } }));
  for (let count = 1; count <= 4; count++) {
    await world.track();
    await until(() => lane(world)?.account.delivered === count);
  }
  expect(proxy.requests).toEqual([`CONNECT ${new URL(vendor.url).host}`]);
  expect(vendor.connections).toBe(1);
  expect(lane(world)?.account).toMatchObject({ delivered: 4 });
});

test("HTTPS_PROXY is for every destination that names none; NO_PROXY and none go directly", async () => {
  const vendor = await startVendor();
  const proxy = await ForwardProxy.start();
  const env = { HTTPS_PROXY: proxy.url() };
  const world = await start(vendor, () => ({ env }));
  await world.track();
  await until(() => vendor.bodies.length === 1);
  // Without the proxy nobody knows the vendor's name.
  for (const options of [
    { env: { ...env, NO_PROXY: ".test" } },
    { env: { https_proxy: proxy.url(), no_proxy: "*" } },
    { env, destination: { proxy: "none" } },
    { env, network: { proxy: "none" } },
  ]) {
    const { failedAttempts = 0 } = lane(world) ?? {};
    expect(await world.relay.reload(world.configWith(options))).toMatchObject({ ok: true });
    await world.track();
    await until(() => (lane(world)?.failedAttempts ?? 0) > failedAttempts);
    expect(lane(world)?.lastError).toMatch(/: dns$/);
    expect(await world.relay.reload(world.configWith({ env }))).toMatchObject({ ok: true });
    await until(() => lane(world)?.account.pending === 0);
  }
  expect(vendor.bodies.length).toBeGreaterThanOrEqual(5);
});

test("a wrong password pauses the lane with the reason, and a reload with the right one goes on", async () => {
  const vendor = await startVendor();
  const proxy = await ForwardProxy.start({ credentials: "relay:right" });
  const world = await start(vendor, () => ({ network: { proxy: proxy.url(`relay:${SECRET}`) } }));
  await world.track();
  await until(() => lane(world)?.mode === "halted");
  expect(lane(world)?.reason).toContain(`the proxy ${proxy.url()} answered 407`);
  expect(lane(world)?.account).toMatchObject({ pending: 1, rejected: 0 });
  expect(await shown(world)).not.toContain(SECRET);
  const right = world.configWith({ network: { proxy: proxy.url("relay:right") } });
  const reloaded = await world.relay.reload(right);
  expect(reloaded).toMatchObject({ ok: true, changed: ["test/far changed"] });
  await until(() => vendor.bodies.length === 1);
  const logged = world.logged.join("\n");
  expect(logged).toContain("no request reaches the destination until somebody acts");
  for (const secret of [SECRET, "relay:", "right", btoa(`relay:${SECRET}`)]) expect(logged).not.toContain(secret);
});

test("a proxy that is down or refuses delays, and loses nothing", async () => {
  const vendor = await startVendor();
  const proxy = await ForwardProxy.start();
  proxy.fault = { status: 502 };
  const world = await start(vendor, () => ({ destination: { proxy: proxy.url(`u:${SECRET}`) } }));
  await world.track();
  await until(() => (lane(world)?.failedAttempts ?? 0) > 1);
  expect(lane(world)?.lastError).toContain(`the proxy ${proxy.url()} answered 502`);
  proxy.fault = "closes";
  await until(() => lane(world)?.lastError?.includes("closed the connection without an answer") === true);
  proxy.fault = undefined;
  await until(() => lane(world)?.account.delivered === 1);
  expect(world.logged.join("\n")).not.toContain(SECRET);
});

test("a certificate that nobody trusts waits, and its reason names the option; a reload reads the file again", async () => {
  const other = createTestCa("Other CA");
  const vendor = await startVendor(other);
  const proxy = await ForwardProxy.start();
  const options = { destination: { proxy: proxy.url() } };
  const world = await start(vendor, () => options);
  await world.track();
  await until(() => (lane(world)?.failedAttempts ?? 0) > 0);
  expect(lane(world)?.lastError).toMatch(/the option ca of the destination, or NODE_EXTRA_CA_CERTS/);
  // The same path with more in it.
  writeFileSync(world.ca, `${CA.cert}${other.cert}`);
  expect(await world.relay.reload(world.configWith(options))).toMatchObject({
    ok: true,
    changed: ["test/far changed"],
  });
  await until(() => vendor.bodies.length === 1);
  expect(await world.relay.reload(world.configWith(options))).toMatchObject({ ok: true, changed: [] });
});

test("a reload takes a request in flight to its end", async () => {
  const vendor = await startVendor();
  const proxy = await ForwardProxy.start();
  const world = await start(vendor, () => ({ destination: { proxy: proxy.url() } }));
  await world.track();
  await until(() => vendor.bodies.length === 1);
  const second = await ForwardProxy.start();
  expect(await world.relay.reload(world.configWith({ destination: { proxy: second.url() } }))).toMatchObject({
    ok: true,
  });
  await world.track();
  await until(() => vendor.bodies.length === 2);
  expect(second.requests).toHaveLength(1);
  // What was kept open before is closed.
  await until(() => proxy.connections === 0);
  expect(lane(world)?.failedAttempts).toBe(0);
});

test("flag data, and events of a source in memory, go through the proxy too", async () => {
  const vendor = await startVendor();
  const proxy = await ForwardProxy.start();
  const { sources, destinations } = resolveEnvironment("e", {
    sources: { flags: { protocol: "launchdarkly", writeKeys: ["k"], memory: { flushInterval: "1h" } } },
    destinations: {
      flags: { vendor: "launchdarkly", writeKey: "k", url: vendor.url, flagsFromVendor: true, flagsUrl: vendor.url },
    },
  });
  const outbound = { proxy: { https: proxy.url() }, ca: [CA.cert] };
  const config = { ...destinations[0], outbound } as LaunchDarklyDestination;
  const flags = createFlagSource(config, { publicOnly: true });
  await until(() => vendor.bodies.length > 0);
  flags.close();
  expect(proxy.requests).toEqual([`CONNECT ${new URL(vendor.url).host}`]);
  const memory = new MemoryRelay(
    { ...config, flagsFromVendor: false },
    {
      memory: memoryOf(sources[0]) as never,
      runtime: nodeRuntime(),
      strict: false,
      connect: createRelayTransport,
      onWarning: () => undefined,
    },
  );
  memory.publish(launchdarklyMetadata({ sdk: "server", schema: 4, tags: "" }), ['{"kind":"custom","key":"one"}']);
  await memory.close();
  expect(vendor.bodies.at(-1)).toContain('"one"');
  expect(proxy.requests).toHaveLength(2);
});

test("what a proxy refuses is not taken for a refusal of the vendor's key", async () => {
  const vendor = await startVendor();
  const proxy = await ForwardProxy.start({ credentials: "relay:right" });
  const world = await start(vendor, () => ({ destination: { proxy: proxy.url("relay:wrong") } }));
  const rotated = { key: "second", graceMs: 600_000 };
  const answer = await send(world.relay.adminUrl, "POST", "/v1/destinations/test/far/rotate", rotated, JSON_TYPE);
  expect(answer.status).toBe(200);
  await world.track();
  await until(() => lane(world)?.mode === "halted");
  const right = world.configWith({ destination: { proxy: proxy.url("relay:right") } });
  expect(await world.relay.reload(right)).toMatchObject({ ok: true });
  await until(() => vendor.keys.length > 0);
  expect(vendor.keys).toEqual(["second"]);
  expect(proxy.requests).toHaveLength(2);
});
