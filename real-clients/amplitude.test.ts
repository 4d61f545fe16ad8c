/**
 * Amplitude's published SDKs, unmodified, through the relay, which is killed and started again in
 * the middle: every event arrives once. The same calls straight to the emulator show that it is
 * like the vendor. The Node SDK drops what it cannot connect for, so the relay is killed between
 * its requests.
 */
import { emulators } from "@waybill/testing";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { openPage } from "./page.ts";
import { SOON, startRelay, until } from "./relay.ts";
import { fileOf, INSTALL_MS, installClients, load, TEST_MS } from "./setup.ts";

const EVENTS = 20;
const ALL = Array.from({ length: EVENTS }, (_, index) => `event-${index}`);

beforeAll(installClients, INSTALL_MS);

interface World {
  readonly emulator: emulators.AmplitudeEmulator;
  readonly url: string;
  readonly apiKey: string;
  restart(): Promise<void>;
}

async function setUp(isStraight = false): Promise<World> {
  const emulator = new emulators.AmplitudeEmulator({ apiKeys: [isStraight ? "amp_in" : "amp_out"] });
  const server = await emulator.listen();
  onTestFinished(() => server.close());
  if (isStraight) return { emulator, url: server.url, apiKey: "amp_in", restart: () => Promise.resolve() };
  const relay = await startRelay({
    product: {
      sources: { shop: { protocol: "amplitude", writeKeys: ["amp_in"] } },
      destinations: { amplitude: { vendor: "amplitude", url: server.url, writeKey: "amp_out", ...SOON } },
    },
  });
  return { emulator, url: relay.url, apiKey: "amp_in", restart: () => relay.restart() };
}

interface Result {
  readonly code: number;
  readonly message: string;
}

interface Returned {
  readonly promise: Promise<Result>;
}

interface Identify {
  set(name: string, value: unknown): Identify;
  add(name: string, value: number): Identify;
}

/** As much of each SDK as is used here. */
interface Client {
  init(apiKey: string, ...rest: readonly unknown[]): Returned;
  track(name: string, properties?: object, options?: object): Returned;
  identify(identify: Identify, options?: object): Returned;
  groupIdentify(type: string, name: string, identify: Identify, options?: object): Returned;
  setGroup(type: string, name: string, options?: object): Returned;
  revenue(revenue: unknown, options?: object): Returned;
}

interface Sdk {
  createInstance(): Client;
  readonly Identify: new () => Identify;
  readonly Revenue: new () => { setPrice(price: number): { setQuantity(quantity: number): unknown } };
}

/**
 * Half of the events, the relay killed and started again, the other half, then one of each other
 * kind; the result of each call.
 */
async function sendAll(sdk: Sdk, client: Client, world: World, options?: object): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const [from, to] of [
    [0, EVENTS / 2],
    [EVENTS / 2, EVENTS],
  ] as const) {
    if (from > 0) await world.restart();
    const sent = ALL.slice(from, to).map((name, index) => client.track(name, { index, ü: "💧" }, options).promise);
    results.push(...(await Promise.all(sent)));
  }
  const others = [
    client.identify(new sdk.Identify().set("plan", "pro").add("count", 2), options),
    client.groupIdentify("company", "acme", new sdk.Identify().set("seats", 5), options),
    client.setGroup("company", "acme", options),
    client.revenue(new sdk.Revenue().setPrice(9.5).setQuantity(2), options),
  ];
  results.push(...(await Promise.all(others.map(({ promise }) => promise))));
  return results;
}

async function expectAll({ emulator }: World, results: readonly Result[]): Promise<void> {
  expect(results.map(({ code }) => code)).toEqual(new Array(EVENTS + 4).fill(200));
  await until(() => emulator.events.length >= EVENTS + 4);
  const names = emulator.events.map(({ event_type: type }) => type);
  // Each once: what a killed relay had sent and not yet noted goes out again, and the vendor knows
  // its id.
  expect(names).toEqual([...ALL, "$identify", "$groupidentify", "$identify", "revenue_amount"]);
  expect(emulator.propertiesOf("user-1")).toEqual({ plan: "pro", count: 2, company: "acme" });
  expect(emulator.groupPropertiesOf("company", "acme")).toEqual({ seats: 5 });
}

test.each([
  ["@amplitude/analytics-node", "its own path", "/2/httpapi"],
  ["@amplitude/analytics-node", "the path of batches", "/batch"],
  ["@amplitude/analytics-node", "the source's prefix", "/s/shop/2/httpapi"],
  ["@amplitude/analytics-node", "straight to the emulator", "straight"],
  ["amplitude-node-1.5", "its own path", "/2/httpapi"],
  ["amplitude-node-1.3", "its own path", "/2/httpapi"],
  ["amplitude-node-1.3", "straight to the emulator", "straight"],
])("%s, by %s", { timeout: TEST_MS }, async (name, _what, path) => {
  const isStraight = path === "straight";
  const world = await setUp(isStraight);
  const sdk = load<Sdk>(name);
  const client = sdk.createInstance();
  const serverUrl = `${world.url}${isStraight ? "/2/httpapi" : path}`;
  await client.init(world.apiKey, { serverUrl, flushIntervalMillis: 50, flushQueueSize: 5, logLevel: 0 }).promise;
  await expectAll(world, await sendAll(sdk, client, world, { user_id: "user-1" }));
  expect(world.emulator.events[0]).toMatchObject({ event_properties: { index: 0, ü: "💧" }, user_id: "user-1" });
});

test.each([
  ["the relay", false],
  ["the emulator", true],
])(
  "@amplitude/analytics-node drops what %s refuses, and the others of the request arrive once",
  { timeout: TEST_MS },
  async (_what, isStraight) => {
    const world = await setUp(isStraight);
    const client = load<Sdk>("@amplitude/analytics-node").createInstance();
    const serverUrl = `${world.url}/2/httpapi`;
    await client.init(world.apiKey, { serverUrl, flushIntervalMillis: 50, logLevel: 0 }).promise;
    const sent = ALL.slice(0, 5).map((name, index) =>
      client.track(name, {}, index % 2 === 1 ? { user_id: "user-1", time: "soon" } : { user_id: "user-1" }),
    );
    const results = await Promise.all(sent.map(({ promise }) => promise));
    expect(results.map(({ code }) => code)).toEqual([200, 400, 200, 400, 200]);
    await until(() => world.emulator.events.length >= 3);
    expect(world.emulator.events.map(({ event_type: type }) => type)).toEqual(["event-0", "event-2", "event-4"]);
    expect(world.emulator.duplicates).toBe(0);
  },
);

test("@amplitude/analytics-node gives up at once at a key that is not known", { timeout: TEST_MS }, async () => {
  const world = await setUp();
  const client = load<Sdk>("@amplitude/analytics-node").createInstance();
  const serverUrl = `${world.url}/2/httpapi`;
  await client.init("another", { serverUrl, flushIntervalMillis: 50, logLevel: 0 }).promise;
  const { code, message } = await client.track("E", {}, { user_id: "user-1" }).promise;
  expect(code).toBe(400);
  expect(message).toMatch(/^Invalid API key/);
});

test.each([
  ["XMLHttpRequest, with preflights", "xhr", ""],
  ["fetch", "fetch", ""],
  ["the source's prefix", "xhr", "/s/shop"],
  ["straight to the emulator", "xhr", "straight"],
])("@amplitude/analytics-browser in a page, by %s", { timeout: TEST_MS }, async (_what, transport, prefix) => {
  const isStraight = prefix === "straight";
  const world = await setUp(isStraight);
  const window = openPage();
  const serverUrl = `${world.url}${isStraight ? "" : prefix}/2/httpapi`;
  // jsdom has no fetch; this one sends the page's origin, as a browser does, and reaches nothing
  // but the relay.
  const pageFetch = (input: string, init?: RequestInit): Promise<Response> =>
    input === serverUrl
      ? fetch(input, { ...init, headers: { ...(init?.headers as Record<string, string>), origin: "http://page.test" } })
      : Promise.reject(new Error(`not for this test: ${input}`));
  Object.assign(window, { fetch: pageFetch, structuredClone, TextEncoder, crypto, CompressionStream, Response, Blob });
  window.eval(fileOf("@amplitude/analytics-browser/lib/scripts/amplitude-min.js"));
  const sdk = window.eval("amplitude") as Sdk;
  const client = sdk.createInstance();
  const options = {
    serverUrl,
    transport,
    flushIntervalMillis: 50,
    flushQueueSize: 10,
    // Bodies of 2 KiB and more are packed.
    enableRequestBodyCompression: true,
    autocapture: false,
    fetchRemoteConfig: false,
    remoteConfig: { fetchRemoteConfig: false },
    logLevel: 0,
  };
  await client.init(world.apiKey, "user-1", options).promise;
  await expectAll(world, await sendAll(sdk, client, world));
  expect(world.emulator.events[0]).toMatchObject({
    user_id: "user-1",
    platform: "Web",
    // The SDK leaves it to the first receiver.
    ip: isStraight ? "$remote" : "127.0.0.1",
  });
});
