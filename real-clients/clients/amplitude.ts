/**
 * Amplitude's SDKs of Node and of the browser: every event arrives once. The Node SDK drops what it
 * cannot connect for, so the relay is killed between its requests.
 */
import { emulators } from "@waybill/testing";
import { expect } from "vitest";
import { SOON } from "../relay.ts";
import type { Scenario } from "../scenario.ts";
import { fileOf, load } from "../setup.ts";
import { EVENT_NAMES, HALF, type Stage } from "../stage.ts";

/** What the SDKs make of the other calls, in their order. */
const OTHER_NAMES = ["$identify", "$groupidentify", "$identify of groups", "revenue_amount"];
const API_KEY = "amp_in";
/** Where the SDKs of Node send to when nothing else is chosen. */
export const PATH = "/2/httpapi";
/** How much of Amplitude there is: a relay before the emulator, or the emulator alone. */
export type Route = "relay" | "straight";

export interface World {
  readonly stage: Stage;
  readonly emulator: emulators.AmplitudeEmulator;
  readonly url: string;
  readonly apiKey: string;
  restart(): Promise<void>;
}

export async function setUp(stage: Stage, route: Route): Promise<World> {
  const isStraight = route === "straight";
  const emulator = new emulators.AmplitudeEmulator({ apiKeys: [isStraight ? API_KEY : "amp_out"] });
  stage.keeps(() => namesIn(emulator));
  const url = await stage.serve(emulator);
  const world = { stage, emulator, apiKey: API_KEY };
  if (isStraight) return { ...world, url, restart: () => Promise.resolve() };
  const relay = await stage.startRelay({
    product: {
      sources: { shop: { protocol: "amplitude", writeKeys: [API_KEY] } },
      destinations: { amplitude: { vendor: "amplitude", url, writeKey: "amp_out", ...SOON } },
    },
  });
  return { ...world, url: relay.url, restart: () => relay.restart() };
}

/** Two calls make an `$identify`; only `setGroup` has groups in it. */
function namesIn({ events }: emulators.AmplitudeEmulator): string[] {
  return events.map(({ event_type: type, groups }) =>
    type === "$identify" && groups !== undefined ? "$identify of groups" : String(type),
  );
}

export interface Result {
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
export interface Client {
  init(apiKey: string, ...rest: readonly unknown[]): Returned;
  track(name: string, properties?: object, options?: object): Returned;
  identify(identify: Identify, options?: object): Returned;
  groupIdentify(type: string, name: string, identify: Identify, options?: object): Returned;
  setGroup(type: string, name: string, options?: object): Returned;
  revenue(revenue: unknown, options?: object): Returned;
}

export interface Sdk {
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
    [0, HALF],
    [HALF, EVENT_NAMES.length],
  ] as const) {
    if (from > 0) await world.restart();
    const names = EVENT_NAMES.slice(from, to);
    const sent = names.map((name, index) => client.track(world.stage.give(name), { index, ü: "💧" }, options).promise);
    results.push(...(await Promise.all(sent)));
  }
  for (const name of OTHER_NAMES) world.stage.give(name);
  const others = [
    client.identify(new sdk.Identify().set("plan", "pro").add("count", 2), options),
    client.groupIdentify("company", "acme", new sdk.Identify().set("seats", 5), options),
    client.setGroup("company", "acme", options),
    client.revenue(new sdk.Revenue().setPrice(9.5).setQuantity(2), options),
  ];
  results.push(...(await Promise.all(others.map(({ promise }) => promise))));
  return results;
}

async function expectAll({ stage, emulator }: World, results: readonly Result[]): Promise<void> {
  const names = [...EVENT_NAMES, ...OTHER_NAMES];
  expect(results.map(({ code }) => code)).toEqual(names.map(() => 200));
  await stage.arrived();
  // Each once: what a killed relay had sent and not yet noted goes out again, and the vendor knows
  // its id.
  expect(namesIn(emulator)).toEqual(names);
  expect(emulator.propertiesOf("user-1")).toEqual({ plan: "pro", count: 2, company: "acme" });
  expect(emulator.groupPropertiesOf("company", "acme")).toEqual({ seats: 5 });
}

export async function runNode(
  stage: Stage,
  { name, path = PATH, route = "relay" }: { readonly name: string; readonly path?: string; readonly route?: Route },
): Promise<void> {
  const world = await setUp(stage, route);
  const sdk = load<Sdk>(name);
  const client = sdk.createInstance();
  const serverUrl = `${world.url}${path}`;
  await client.init(world.apiKey, { serverUrl, flushIntervalMillis: 50, flushQueueSize: 5, logLevel: 0 }).promise;
  await expectAll(world, await sendAll(sdk, client, world, { user_id: "user-1" }));
  expect(world.emulator.events[0]).toMatchObject({ event_properties: { index: 0, ü: "💧" }, user_id: "user-1" });
}

export async function runPage(
  stage: Stage,
  {
    transport = "xhr",
    prefix = "",
    route = "relay",
  }: { readonly transport?: "xhr" | "fetch"; readonly prefix?: string; readonly route?: Route },
): Promise<void> {
  const world = await setUp(stage, route);
  const window = stage.openPage();
  const serverUrl = `${world.url}${prefix}${PATH}`;
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
    ip: route === "straight" ? "$remote" : "127.0.0.1",
  });
}

function ofNode(name: string, how: string, path?: string): Scenario {
  return { client: name, how, run: (stage) => runNode(stage, { name, ...(path === undefined ? {} : { path }) }) };
}

function ofPage(how: string, options: { readonly transport?: "fetch"; readonly prefix?: string }): Scenario {
  const client = "@amplitude/analytics-browser";
  return { client, how, needs: ["jsdom"], run: (stage) => runPage(stage, options) };
}

export const scenarios: readonly Scenario[] = [
  ofNode("@amplitude/analytics-node", "its own path"),
  ofNode("@amplitude/analytics-node", "the path of batches", "/batch"),
  ofNode("@amplitude/analytics-node", "the source's prefix", `/s/shop${PATH}`),
  ofNode("amplitude-node-1.5", "its own path"),
  ofNode("amplitude-node-1.3", "its own path"),
  ofPage("in a page, XMLHttpRequest with preflights", {}),
  ofPage("in a page, fetch", { transport: "fetch" }),
  ofPage("in a page, the source's prefix", { prefix: "/s/shop" }),
];
