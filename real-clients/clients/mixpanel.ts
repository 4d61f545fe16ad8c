/**
 * Mixpanel's SDKs of Node and of the browser: every event and every profile update arrives once.
 * The Node SDK never sends anything again, and the browser's gives up what a page without a
 * connection could not send: the relay is killed between their requests.
 */
import { emulators } from "@waybill/testing";
import { expect } from "vitest";
import { type Relay, SOON, until } from "../relay.ts";
import type { Scenario } from "../scenario.ts";
import { fileOf, load } from "../setup.ts";
import { EVENT_NAMES, HALF, type Stage } from "../stage.ts";

const EVENTS = EVENT_NAMES.length;
const SETTLE_MS = 500;
/** Between some events, so that they leave the page in several requests. */
const PAUSE_MS = 100;
const MONTH_MS = 30 * 86_400_000;
/** Of a request of batches: the SDK makes several of them. */
const BATCH = 120;
const BATCHED = 480;

interface World {
  readonly emulator: emulators.MixpanelEmulator;
  readonly relay: Relay;
}

async function setUp(stage: Stage): Promise<World> {
  const emulator = new emulators.MixpanelEmulator({ tokens: ["mp_out"] });
  stage.keeps(() => namesIn(emulator));
  const url = await stage.serve(emulator);
  const relay = await stage.startRelay({
    product: {
      sources: {
        site: { protocol: "mixpanel", writeKeys: ["mp_site"] },
        app3: { protocol: "mixpanel", writeKeys: ["mp_app"] },
      },
      destinations: { mixpanel: { vendor: "mixpanel", url, writeKey: "mp_out", ...SOON } },
    },
  });
  return { emulator, relay };
}

function namesIn({ events }: emulators.MixpanelEmulator): string[] {
  return events.map(({ event }) => String(event));
}

/** Lets the relay note what was delivered: a profile's counter that it sends again counts twice. */
async function settled(
  { events, profiles }: emulators.MixpanelEmulator,
  eventCount: number,
  updates: number,
): Promise<void> {
  await until(() => events.length >= eventCount && profiles.updates.length >= updates);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

type Done = (error?: Error | readonly (Error | undefined)[]) => void;

/** As much of the Node SDK as is used here. */
interface Mixpanel {
  track(event: string, properties: object, done: Done): void;
  import(event: string, time: Date, properties: object, done: Done): void;
  track_batch(events: readonly object[], options: object, done: Done): void;
  import_batch(events: readonly object[], options: object, done: Done): void;
  alias(id: string, alias: string, done: Done): void;
  readonly people: {
    set(id: string, properties: object, done: Done): void;
    increment(id: string, property: string, by: number, done: Done): void;
    track_charge(id: string, amount: number, properties: object, done: Done): void;
  };
  readonly groups: { set(key: string, id: string, properties: object, done: Done): void };
}

/** Rejects with what the SDK says against the answer. */
function done(call: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => {
      const first = Array.isArray(error) ? (error as readonly (Error | undefined)[]).find(Boolean) : error;
      if (first === undefined || first === null) resolve();
      else reject(first as Error);
    });
  });
}

function openNode({ url }: Relay, options: object): Mixpanel {
  const sdk = load<{ init(token: string, options: object): Mixpanel }>("mixpanel");
  const silent = (): undefined => undefined;
  const logger = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };
  return sdk.init("mp_site", { host: new URL(url).host, protocol: "http", logger, ...options });
}

async function runNode(stage: Stage, options: object): Promise<void> {
  const { emulator, relay } = await setUp(stage);
  const mixpanel = openNode(relay, options);
  const monthAgo = new Date(Date.now() - MONTH_MS);
  for (const [index, name] of EVENT_NAMES.entries()) {
    if (index === HALF) {
      await settled(emulator, index, index);
      await relay.restart();
    }
    stage.give(name);
    // The largest would not fit a head of Node's own limit.
    const properties = { distinct_id: "u", index, s: "~~~???>>>ü", p: "x".repeat(index * 700) };
    if (index % 4 === 3) await done((end) => mixpanel.import(name, monthAgo, { distinct_id: "u", index }, end));
    else await done((end) => mixpanel.track(name, properties, end));
    await done((end) => mixpanel.people.increment("u", "count", 1, end));
  }
  await done((end) => mixpanel.people.set("u", { plan: "pro" }, end));
  await done((end) => mixpanel.people.track_charge("u", 12.5, {}, end));
  await done((end) => mixpanel.groups.set("company", "acme", { size: 3 }, end));
  stage.give("$create_alias");
  await done((end) => mixpanel.alias("u", "v", end));
  await stage.arrived();
  await settled(emulator, EVENTS + 1, EVENTS + 3);
  expect(namesIn(emulator)).toEqual([...EVENT_NAMES, "$create_alias"]);
  expect(emulator.events[5]).toMatchObject({
    properties: { s: "~~~???>>>ü", mp_lib: "node", distinct_id: "u", ip: 0 },
  });
  expect(emulator.events[5]).not.toHaveProperty("properties.token");
  expect(Object.fromEntries(emulator.profiles.users)).toEqual({
    u: { count: EVENTS, plan: "pro", $transactions: [{ $amount: 12.5 }] },
  });
  expect(Object.fromEntries(emulator.profiles.groups)).toEqual({ "company:acme": { size: 3 } });
  expect(emulator.dropped).toEqual([]);
}

async function runBatches(stage: Stage): Promise<void> {
  const { emulator, relay } = await setUp(stage);
  const mixpanel = openNode(relay, { key: "mp_site" });
  const batchOf = (kind: string, from: number): { readonly event: string }[] =>
    Array.from({ length: BATCH }, (_, index) => ({
      event: `${kind}-${from + index}`,
      properties: { distinct_id: "u", time: new Date(), ...(index % 2 === 0 ? { token: "mp_app" } : {}) },
    }));
  const given = (kind: string, from: number): object[] =>
    batchOf(kind, from).map((item) => ({ ...item, event: stage.give(item.event) }));
  for (const from of [0, BATCH]) {
    await done((end) => mixpanel.track_batch(given("track", from), {}, end));
    await done((end) => mixpanel.import_batch(given("import", from), {}, end));
    await relay.restart();
  }
  await stage.arrived();
  // Killed in the middle of its deliveries the relay sends some again, and the vendor knows them.
  expect(emulator.events).toHaveLength(BATCHED);
  // One unknown token, and nothing of its request is stored.
  const mixed = [...batchOf("no", 0).slice(0, 10), { event: "no", properties: { token: "another" } }];
  await expect(done((end) => mixpanel.track_batch(mixed, {}, end))).rejects.toThrow("key");
  await done((end) => mixpanel.track(stage.give("last"), {}, end));
  await stage.arrived();
  expect(emulator.events).toHaveLength(BATCHED + 1);
}

async function runPage(stage: Stage, prefix: string, options: object): Promise<void> {
  const { emulator, relay } = await setUp(stage);
  const window = stage.openPage();
  // It puts itself before the first script.
  window.eval('document.head.appendChild(document.createElement("script"))');
  window.eval(fileOf("mixpanel-browser/dist/mixpanel.umd.js"));
  const config = {
    api_host: `${relay.url}${prefix}`,
    batch_flush_interval_ms: 50,
    persistence: "localStorage",
    autocapture: false,
    track_pageview: false,
    ...options,
  };
  stage.give("$identify");
  window.eval(`mixpanel.init("mp_site", ${JSON.stringify(config)}); mixpanel.identify("u");`);
  const countOf = (): unknown => emulator.profiles.users.get("u")?.["count"];
  for (const [index, name] of EVENT_NAMES.entries()) {
    if (index === HALF) {
      // With the event and the updates by which it makes itself known.
      await until(() => countOf() === index);
      await settled(emulator, index + 1, 0);
      await relay.restart();
    }
    window.eval(`mixpanel.track("${stage.give(name)}", { index: ${index} }); mixpanel.people.increment("count");`);
    if (index % 5 === 4) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  window.eval('mixpanel.get_group("company", "acme").set({ size: 3 })');
  await stage.arrived();
  await until(() => countOf() === EVENTS && emulator.profiles.groups.size > 0);
  // Its queue in the page's storage has an order of its own.
  expect(namesIn(emulator).toSorted()).toEqual(["$identify", ...EVENT_NAMES].toSorted());
  const last = { $user_id: "u", distinct_id: "u", mp_lib: "web" };
  expect(emulator.events.at(-1)).toMatchObject({ properties: last });
  expect(Object.fromEntries(emulator.profiles.groups)).toEqual({ "company:acme": { size: 3 } });
}

function ofNode(how: string, run: (stage: Stage) => Promise<void>): Scenario {
  return { client: "mixpanel", how, run };
}

function ofPage(how: string, prefix: string, options: object): Scenario {
  return { client: "mixpanel-browser", how, needs: ["jsdom"], run: (stage) => runPage(stage, prefix, options) };
}

export const scenarios: readonly Scenario[] = [
  ofNode("its own path", (stage) => runNode(stage, { key: "mp_site" })),
  ofNode("the source's prefix, verbose", (stage) => runNode(stage, { key: "mp_site", path: "/s/site", verbose: true })),
  ofNode("in batches, of two projects in one request", runBatches),
  ofPage("in a page, its own path, in batches", "", {}),
  ofPage("in a page, the source's prefix, one by one", "/s/site", { batch_requests: false }),
];
