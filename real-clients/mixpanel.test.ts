/**
 * Mixpanel's published SDKs, unmodified, through the relay, which is killed and started again in
 * the middle: every event and every profile update arrives once. The Node SDK never sends anything
 * again, and the browser's gives up what a page without a connection could not send: the relay is
 * killed between their requests.
 */
import { emulators } from "@waybill/testing";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { openPage } from "./page.ts";
import { SOON, startRelay, until } from "./relay.ts";
import { fileOf, INSTALL_MS, installClients, load, TEST_MS } from "./setup.ts";

const EVENTS = 20;
const SETTLE_MS = 500;
const ALL = Array.from({ length: EVENTS }, (_, index) => `event-${index}`);

beforeAll(installClients, INSTALL_MS);

interface World {
  readonly emulator: emulators.MixpanelEmulator;
  readonly url: string;
  restart(): Promise<void>;
}

async function setUp(): Promise<World> {
  const emulator = new emulators.MixpanelEmulator({ tokens: ["mp_out"] });
  const server = await emulator.listen();
  onTestFinished(() => server.close());
  const relay = await startRelay({
    product: {
      sources: {
        site: { protocol: "mixpanel", writeKeys: ["mp_site"] },
        app3: { protocol: "mixpanel", writeKeys: ["mp_app"] },
      },
      destinations: { mixpanel: { vendor: "mixpanel", url: server.url, writeKey: "mp_out", ...SOON } },
    },
  });
  return { emulator, url: relay.url, restart: () => relay.restart() };
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

function openNode({ url }: World, options: object): Mixpanel {
  const { init } = load<{ init(token: string, options: object): Mixpanel }>("mixpanel");
  const silent = (): undefined => undefined;
  const logger = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };
  return init("mp_site", { host: new URL(url).host, protocol: "http", logger, ...options });
}

test.each([
  ["its own path", { key: "mp_site" }],
  ["the source's prefix, verbose", { key: "mp_site", path: "/s/site", verbose: true }],
])("mixpanel, by %s", { timeout: TEST_MS }, async (_what, options) => {
  const world = await setUp();
  const { emulator } = world;
  const mixpanel = openNode(world, options);
  const monthAgo = new Date(Date.now() - 30 * 86_400_000);
  for (let index = 0; index < EVENTS; index++) {
    if (index === EVENTS / 2) {
      await settled(emulator, index, index);
      await world.restart();
    }
    // The largest would not fit a head of Node's own limit.
    const properties = { distinct_id: "u", index, s: "~~~???>>>ü", p: "x".repeat(index * 700) };
    if (index % 4 === 3)
      await done((end) => mixpanel.import(`event-${index}`, monthAgo, { distinct_id: "u", index }, end));
    else await done((end) => mixpanel.track(`event-${index}`, properties, end));
    await done((end) => mixpanel.people.increment("u", "count", 1, end));
  }
  await done((end) => mixpanel.people.set("u", { plan: "pro" }, end));
  await done((end) => mixpanel.people.track_charge("u", 12.5, {}, end));
  await done((end) => mixpanel.groups.set("company", "acme", { size: 3 }, end));
  await done((end) => mixpanel.alias("u", "v", end));
  await settled(emulator, EVENTS + 1, EVENTS + 3);
  expect(namesIn(emulator)).toEqual([...ALL, "$create_alias"]);
  expect(emulator.events[5]).toMatchObject({
    properties: { s: "~~~???>>>ü", mp_lib: "node", distinct_id: "u", ip: 0 },
  });
  expect(emulator.events[5]).not.toHaveProperty("properties.token");
  expect(Object.fromEntries(emulator.profiles.users)).toEqual({
    u: { count: EVENTS, plan: "pro", $transactions: [{ $amount: 12.5 }] },
  });
  expect(Object.fromEntries(emulator.profiles.groups)).toEqual({ "company:acme": { size: 3 } });
  expect(emulator.dropped).toEqual([]);
});

test("mixpanel in batches, of two projects in one request", { timeout: TEST_MS }, async () => {
  const world = await setUp();
  const { emulator } = world;
  const mixpanel = openNode(world, { key: "mp_site" });
  const batchOf = (kind: string, from: number): object[] =>
    Array.from({ length: 120 }, (_, index) => ({
      event: `${kind}-${from + index}`,
      properties: { distinct_id: "u", time: new Date(), ...(index % 2 === 0 ? { token: "mp_app" } : {}) },
    }));
  for (const from of [0, 120]) {
    await done((end) => mixpanel.track_batch(batchOf("track", from), {}, end));
    await done((end) => mixpanel.import_batch(batchOf("import", from), {}, end));
    await world.restart();
  }
  await until(() => emulator.events.length >= 480);
  // Killed in the middle of its deliveries the relay sends some again, and the vendor knows them.
  expect(new Set(namesIn(emulator)).size).toBe(480);
  expect(emulator.events).toHaveLength(480);
  // One unknown token, and nothing of its request is stored.
  const mixed = [...batchOf("no", 0).slice(0, 10), { event: "no", properties: { token: "another" } }];
  await expect(done((end) => mixpanel.track_batch(mixed, {}, end))).rejects.toThrow("key");
  await done((end) => mixpanel.track("last", {}, end));
  await until(() => namesIn(emulator).includes("last"));
  expect(emulator.events).toHaveLength(481);
});

test.each([
  ["its own path, in batches", "", {}],
  ["the source's prefix, one by one", "/s/site", { batch_requests: false }],
])("mixpanel-browser in a page, by %s", { timeout: TEST_MS }, async (_what, prefix, options) => {
  const world = await setUp();
  const { emulator } = world;
  const window = openPage();
  // It puts itself before the first script.
  window.eval('document.head.appendChild(document.createElement("script"))');
  window.eval(fileOf("mixpanel-browser/dist/mixpanel.umd.js"));
  const config = {
    api_host: `${world.url}${prefix}`,
    batch_flush_interval_ms: 50,
    persistence: "localStorage",
    autocapture: false,
    track_pageview: false,
    ...options,
  };
  window.eval(`mixpanel.init("mp_site", ${JSON.stringify(config)}); mixpanel.identify("u");`);
  for (let index = 0; index < EVENTS; index++) {
    if (index === EVENTS / 2) {
      // With the event and the updates by which it makes itself known.
      await until(() => emulator.profiles.users.get("u")?.["count"] === index);
      await settled(emulator, index + 1, 0);
      await world.restart();
    }
    window.eval(`mixpanel.track("event-${index}", { index: ${index} }); mixpanel.people.increment("count");`);
    if (index % 5 === 4) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  window.eval('mixpanel.get_group("company", "acme").set({ size: 3 })');
  const ofUser = (): unknown => emulator.profiles.users.get("u")?.["count"];
  await until(
    () => namesIn(emulator).includes(ALL.at(-1) ?? "") && ofUser() === EVENTS && emulator.profiles.groups.size > 0,
  );
  // Its queue in the page's storage has an order of its own.
  expect(namesIn(emulator).toSorted()).toEqual(["$identify", ...ALL].toSorted());
  expect(emulator.events.at(-1)).toMatchObject({ properties: { $user_id: "u", distinct_id: "u", mp_lib: "web" } });
  expect(Object.fromEntries(emulator.profiles.groups)).toEqual({ "company:acme": { size: 3 } });
});
