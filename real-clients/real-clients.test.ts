/**
 * Vendors' published SDKs, unmodified, through the relay by changing their base URL: events arrive at the emulator behind it. The relay is a process of its own that is killed and
 * started again in the middle; nothing is lost.
 */
import { fileURLToPath } from "node:url";
import { emulators } from "@waybill/testing";
import { build } from "esbuild";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { openPage } from "./page.ts";
import { SOON, startRelay, until } from "./relay.ts";
import { fileOf, INSTALL_MS, installClients, load, TEST_MS } from "./setup.ts";

beforeAll(installClients, INSTALL_MS);

interface World {
  readonly flags: emulators.LaunchDarklyEmulator;
  readonly trophy: emulators.TrophyEmulator;
  readonly segment: emulators.SegmentEmulator;
  readonly posthog: emulators.PosthogEmulator;
  /** Where flags are. */
  readonly flagsUrl: string;
  /** Where events go: the relay. */
  readonly url: string;
  /** Kills the relay and starts it again on the same port. */
  restart(): Promise<void>;
}

async function setUp(): Promise<World> {
  const flag = {
    key: "flag",
    version: 7,
    on: true,
    fallthrough: { variation: 1 },
    offVariation: 0,
    variations: [false, true],
    salt: "s",
    rules: [],
    targets: [],
    prerequisites: [],
  };
  const flags = new emulators.LaunchDarklyEmulator({ flags: { flag } });
  const trophy = new emulators.TrophyEmulator();
  const segment = new emulators.SegmentEmulator({ limits: "none" });
  const posthog = new emulators.PosthogEmulator({ apiKeys: ["phc_out"] });
  const [flagsServer, trophyServer, segmentServer, posthogServer] = await Promise.all([
    flags.listen(),
    trophy.listen(),
    segment.listen(),
    posthog.listen(),
  ]);
  onTestFinished(async () => {
    for (const server of [flagsServer, trophyServer, segmentServer, posthogServer]) await server.close();
  });
  const relay = await startRelay({
    flags: {
      sources: { sdks: { protocol: "launchdarkly", writeKeys: ["sdk-in"], environmentId: "env-in" } },
      destinations: {
        launchdarkly: {
          vendor: "launchdarkly",
          url: flagsServer.url,
          writeKey: "sdk-out",
          environmentId: "env-out",
          ...SOON,
        },
      },
    },
    game: {
      sources: { app: { protocol: "trophy", writeKeys: ["in.secret"] } },
      destinations: {
        trophy: { vendor: "trophy", url: `${trophyServer.url}/v1`, writeKey: "out.secret", ...SOON },
      },
    },
    product: {
      sources: { app2: { protocol: "posthog", writeKeys: ["phc_in"] } },
      destinations: { posthog: { vendor: "posthog", url: posthogServer.url, writeKey: "phc_out", ...SOON } },
    },
    web: {
      sources: { site: { protocol: "segment", writeKeys: ["w"] } },
      destinations: { segment: { vendor: "segment", url: segmentServer.url, writeKey: "out", ...SOON } },
    },
  });
  return {
    flags,
    trophy,
    segment,
    posthog,
    flagsUrl: flagsServer.url,
    url: relay.url,
    restart: () => relay.restart(),
  };
}

const LOGGER = { error: () => undefined, warn: () => undefined, info: () => undefined, debug: () => undefined };
const EVENTS = 20;

/** As much of every LaunchDarkly SDK as is used here. */
interface LaunchDarkly {
  waitForInitialization?(timeoutS?: number): Promise<unknown>;
  waitUntilReady?(): Promise<unknown>;
  track(key: string, ...rest: readonly unknown[]): void;
  flush(): Promise<unknown>;
  close(): unknown;
}

/** Half of the events, the relay killed and started again, the other half. */
async function trackThroughRestart(client: LaunchDarkly, world: World, user: unknown): Promise<void> {
  for (let index = 0; index < EVENTS; index++) {
    if (index === EVENTS / 2) {
      await client.flush();
      await world.restart();
    }
    if (user === undefined) client.track(`event-${index}`, { index });
    else client.track(`event-${index}`, user, { index });
  }
  await client.flush();
  await client.close();
}

function customKeys(flags: emulators.LaunchDarklyEmulator): string[] {
  return flags.events.filter(({ kind }) => kind === "custom").map(({ key }) => String(key));
}
const ALL = Array.from({ length: EVENTS }, (_, index) => `event-${index}`);

test.each([
  ["@launchdarkly/node-server-sdk", "4"],
  ["launchdarkly-node-server-sdk-7", "4"],
  ["launchdarkly-node-server-sdk-6", "3"],
  ["ldclient-node", "3"],
])("%s", { timeout: TEST_MS }, async (name, schema) => {
  const world = await setUp();
  const { init } = load<{
    init(
      key: string,
      options: object,
    ): LaunchDarkly & { variation(key: string, user: object, fallback: boolean): Promise<unknown> };
  }>(name);
  const { flagsUrl, url } = world;
  // The oldest has other names for the same options.
  const options =
    name === "ldclient-node"
      ? { base_uri: flagsUrl, stream_uri: flagsUrl, events_uri: url, flush_interval: 3_600 }
      : { baseUri: flagsUrl, streamUri: flagsUrl, eventsUri: url, flushInterval: 3_600 };
  const client = init("sdk-in", { ...options, stream: false, logger: LOGGER });
  await (client.waitForInitialization?.(10) ?? client.waitUntilReady?.());
  const user = schema === "4" ? { kind: "user", key: "u" } : { key: "u" };
  expect(await client.variation("flag", user, false)).toBe(true);
  await trackThroughRestart(client, world, user);
  await until(() => customKeys(world.flags).length >= EVENTS);
  expect(customKeys(world.flags)).toEqual(ALL);
  expect(world.flags.payloads[0]?.headers).toMatchObject({
    "x-launchdarkly-event-schema": schema,
    authorization: "sdk-out",
  });
  // Old events leave summarised: an index event and counters instead of each evaluation.
  expect(world.flags.events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["index", "summary"]));
  expect(world.flags.events.map(({ kind }) => kind)).not.toContain("feature");
});

test("launchdarkly-node-client-sdk", { timeout: TEST_MS }, async () => {
  const world = await setUp();
  const { initialize } = load<{ initialize(id: string, user: object, options: object): LaunchDarkly }>(
    "launchdarkly-node-client-sdk",
  );
  const options = {
    baseUrl: world.flagsUrl,
    streamUrl: world.flagsUrl,
    eventsUrl: world.url,
    flushInterval: 3_600_000,
    logger: LOGGER,
  };
  const client = initialize("env-in", { kind: "user", key: "u" }, options);
  await client.waitForInitialization?.(10);
  await trackThroughRestart(client, world, undefined);
  await until(() => customKeys(world.flags).length >= EVENTS);
  expect(customKeys(world.flags)).toEqual(ALL);
  expect(world.flags.payloads[0]?.path).toBe("/events/bulk/env-out");
});

test.each([
  ["launchdarkly-js-client-sdk", "4"],
  ["launchdarkly-js-client-sdk-2", "3"],
])("%s in a page, with preflights", { timeout: TEST_MS }, async (name, schema) => {
  const world = await setUp();
  const window = openPage();
  window.eval(fileOf(`${name}/dist/ldclient.min.js`));
  const options = {
    baseUrl: world.flagsUrl,
    streamUrl: world.flagsUrl,
    eventsUrl: world.url,
    flushInterval: 3_600_000,
    bootstrap: {},
    sendLDHeaders: true,
  };
  const user = schema === "4" ? { kind: "user", key: "u" } : { key: "u" };
  const client = window.eval(
    `LDClient.initialize("env-in", ${JSON.stringify(user)}, Object.assign(${JSON.stringify(options)}, { logger: { error() {}, warn() {}, info() {}, debug() {} } }))`,
  ) as LaunchDarkly;
  await client.waitForInitialization?.(10);
  await trackThroughRestart(client, world, undefined);
  await until(() => customKeys(world.flags).length >= EVENTS);
  expect(customKeys(world.flags)).toEqual(ALL);
  expect(world.flags.payloads[0]).toMatchObject({
    path: "/events/bulk/env-out",
    headers: { "x-launchdarkly-event-schema": schema },
  });
});

test("@launchdarkly/js-client-sdk in a page", { timeout: TEST_MS }, async () => {
  const world = await setUp();
  const window = openPage();
  // jsdom has no fetch; this one says where the page is, as a browser does.
  const pageFetch = (input: string, init?: RequestInit): Promise<Response> =>
    fetch(input, { ...init, headers: { ...(init?.headers as Record<string, string>), origin: "http://page.test" } });
  Object.assign(window, { fetch: pageFetch, structuredClone, TextEncoder, crypto });
  const { outputFiles } = await build({
    stdin: {
      contents: 'import { createClient } from "@launchdarkly/js-client-sdk"; window.LD = { createClient };',
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    write: false,
    format: "iife",
    logLevel: "error",
  });
  window.eval(outputFiles[0]?.text ?? "");
  const options = {
    baseUri: world.flagsUrl,
    streamUri: world.flagsUrl,
    eventsUri: world.url,
    flushInterval: 3_600,
    streaming: false,
  };
  const client = window.eval(
    `LD.createClient("env-in", { kind: "user", key: "u" }, Object.assign(${JSON.stringify(options)}, { logger: { error() {}, warn() {}, info() {}, debug() {} } }))`,
  ) as LaunchDarkly & { start(options: object): Promise<unknown> };
  await client.start({ timeout: 5 });
  await trackThroughRestart(client, world, undefined);
  await until(() => customKeys(world.flags).length >= EVENTS);
  expect(customKeys(world.flags)).toEqual(ALL);
  expect(world.flags.payloads[0]?.path).toBe("/events/bulk/env-out");
});

test("ldclient-js in a page, by pixel", { timeout: TEST_MS }, async () => {
  const world = await setUp();
  const window = openPage();
  const asked: Promise<unknown>[] = [];
  Object.assign(window, { beacon: (url: string) => asked.push(fetch(url)) });
  // jsdom loads no images; this one asks for them as a browser does.
  window.eval(
    "window.Image = function () { Object.defineProperty(this, 'src', { set(url) { window.beacon(url); } }); }; delete window.XMLHttpRequest.prototype.withCredentials;",
  );
  window.eval(fileOf("ldclient-js/dist/ldclient.min.js"));
  const options = { baseUrl: world.flagsUrl, eventsUrl: world.url, bootstrap: {}, flushInterval: 100 };
  const client = window.eval(`LDClient.initialize("env-in", { key: "u" }, ${JSON.stringify(options)})`) as {
    track(key: string): void;
    identify(user: object): unknown;
  };
  await new Promise((resolve) => setTimeout(resolve, 300));
  client.track("first");
  await until(() => customKeys(world.flags).includes("first"));
  await Promise.all(asked);
  await world.restart();
  client.track("second");
  await until(() => customKeys(world.flags).includes("second"));
  expect(world.flags.payloads.every(({ path }) => path === "/events/bulk/env-out")).toBe(true);
});

test("@trophyso/node", { timeout: TEST_MS }, async () => {
  const world = await setUp();
  const { TrophyApiClient } = load<{
    TrophyApiClient: new (
      options: object,
    ) => { metrics: { event(key: string, event: object): Promise<{ total: number }> } };
  }>("@trophyso/node");
  const sdk = new TrophyApiClient({ apiKey: "in.secret", environment: { api: `${world.url}/v1`, admin: world.url } });
  for (let index = 0; index < EVENTS; index++) {
    if (index === EVENTS / 2) await world.restart();
    expect(await sdk.metrics.event("words", { user: { id: "u" }, value: 1 })).toMatchObject({ total: index + 1 });
  }
  expect(world.trophy.total("u", "words")).toBe(EVENTS);
});

test("@segment/analytics-node", { timeout: TEST_MS }, async () => {
  const world = await setUp();
  const { Analytics } = load<{
    Analytics: new (
      options: object,
    ) => { track(event: object): void; flush(): Promise<unknown>; closeAndFlush(): Promise<unknown> };
  }>("@segment/analytics-node");
  const analytics = new Analytics({ writeKey: "w", host: world.url, flushAt: 5, flushInterval: 50 });
  for (let index = 0; index < EVENTS; index++) {
    // Killed with requests on their way: the SDK sends them again.
    if (index === EVENTS / 2) await world.restart();
    analytics.track({ userId: "u", event: `event-${index}` });
  }
  await analytics.closeAndFlush();
  await until(() => world.segment.received >= EVENTS);
  expect(world.segment.events).toHaveLength(EVENTS);
  expect(new Set(world.segment.events.map(({ event }) => event["event"]))).toEqual(new Set(ALL));
});

test.each([
  ["its own path", ""],
  ["the source's prefix", "/s/app2"],
])("posthog-node, by %s", { timeout: TEST_MS }, async (_what, prefix) => {
  const world = await setUp();
  const { PostHog } = load<{
    PostHog: new (
      key: string,
      options: object,
    ) => {
      capture(event: object): void;
      identify(event: object): void;
      on(name: string, run: () => void): void;
      flush(): Promise<unknown>;
      shutdown(ms: number): Promise<unknown>;
    };
  }>("posthog-node");
  const posthog = new PostHog("phc_in", { host: `${world.url}${prefix}`, flushAt: 5, flushInterval: 50 });
  posthog.on("error", () => undefined);
  posthog.identify({ distinctId: "u", properties: { plan: "pro" } });
  for (let index = 0; index < EVENTS; index++) {
    if (index === EVENTS / 2) {
      await posthog.flush();
      await world.restart();
    }
    posthog.capture({ distinctId: "u", event: `event-${index}`, properties: { index } });
  }
  await posthog.shutdown(10_000);
  await until(() => world.posthog.events.length >= EVENTS + 1);
  const names = world.posthog.events.map(({ event }) => event);
  expect(new Set(names)).toEqual(new Set(["$identify", ...ALL]));
  expect(world.posthog.events).toHaveLength(EVENTS + 1);
});
