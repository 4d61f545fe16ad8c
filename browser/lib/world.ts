/** The relay that most flows look at: emulated vendors that are well, slow, down, and refuse. */
import { emulators, SegmentEmulator, type StartedServer, startServer } from "@waybill/testing";
import { type Config, Relay } from "./relay.ts";

const KEEP_IDS = 1_000;
/** Of a vendor that takes its time, as one over the sea does. */
const SLOW_MS = 180;
const FEED_EVERY_MS = 250;
const FEED_EVENTS = 6;
const WRONG_KEY_EVERY = 120;
const NAMES = ["Product Viewed", "Product Added", "Order Completed", "Debug Opened"] as const;
const PRODUCTS = ["notebook", "fountain pen", "ink", "blotter"] as const;
const USERS = 50;
const OLD_KEY = "segment-key-of-last-year";
export const NEW_KEY = "segment-key-of-this-year";
/** Longer than the suite: a lane that failed waits until it is probed. */
const LONG_BACKOFF = { base: "60s", max: "60s" };
const SHORT_BACKOFF = { base: "200ms", max: "1s" };

export interface Vendors {
  readonly analytics: SegmentEmulator;
  /** Refuses events about ink, until it is mended. */
  readonly warehouse: SegmentEmulator;
  readonly product: emulators.PosthogEmulator;
  /** Knows {@link NEW_KEY} alone; the configuration has the old one. */
  readonly crm: SegmentEmulator;
  readonly archive: SegmentEmulator;
  /** Down until it is mended. */
  readonly search: SegmentEmulator;
}

export interface World {
  readonly relay: Relay;
  readonly vendors: Vendors;
  readonly environments: Config;
  close(): Promise<void>;
}

export function segmentAt(server: StartedServer, more: Config = {}): Config {
  return { vendor: "segment", url: server.url, writeKey: "any-key", backoff: SHORT_BACKOFF, ...more };
}

export async function startWorld(): Promise<World> {
  const options = { keepEvents: 0, keepIds: KEEP_IDS };
  const vendors: Vendors = {
    analytics: new SegmentEmulator(options),
    warehouse: new SegmentEmulator(options),
    product: new emulators.PosthogEmulator(),
    crm: new SegmentEmulator({ ...options, writeKeys: [NEW_KEY] }),
    archive: new SegmentEmulator(options),
    search: new SegmentEmulator(options),
  };
  vendors.warehouse.refuse((event) => isAboutInk(event));
  vendors.product.fail({ kind: "slow", delayMs: SLOW_MS });
  vendors.search.fail({ kind: "status", status: 503 });
  const { analytics, warehouse, product, crm, archive, search } = vendors;
  const all = [analytics, warehouse, product, crm, archive, search];
  const servers = await Promise.all(all.map((vendor) => startServer(vendor.handle)));
  const [atAnalytics, atWarehouse, atProduct, atCrm, atArchive, atSearch] = servers as [
    StartedServer,
    StartedServer,
    StartedServer,
    StartedServer,
    StartedServer,
    StartedServer,
  ];
  const environments: Config = {
    production: {
      sources: {
        shop: { protocol: "segment", writeKeys: ["shop-key"] },
        "mobile-app": { protocol: "posthog", writeKeys: ["mobile-key"] },
      },
      destinations: {
        analytics: segmentAt(atAnalytics),
        warehouse: segmentAt(atWarehouse),
        product: { vendor: "posthog", url: atProduct.url, writeKey: "any-key" },
        crm: segmentAt(atCrm, { writeKey: OLD_KEY }),
        archive: segmentAt(atArchive),
        search: segmentAt(atSearch, { backoff: LONG_BACKOFF }),
      },
    },
    staging: {
      sources: { app: { protocol: "segment", writeKeys: ["staging-key"] } },
      destinations: { analytics: segmentAt(atAnalytics) },
    },
  };
  const relay = await new Relay(environments).start();
  await relay.send(Array.from({ length: USERS * 4 }, (_, index) => eventOf(index)));
  await relay.send([eventOf(0)], { key: "staging-key" });
  await relay.admin("/v1/lanes/production/archive/pause", { method: "POST" });
  const feed = startFeed(relay);
  return {
    relay,
    vendors,
    environments,
    close: async () => {
      clearInterval(feed);
      await relay.stop();
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

/** Events go on coming in, those of another protocol and some with a wrong key among them. */
function startFeed(relay: Relay): NodeJS.Timeout {
  let fed = 0;
  return setInterval(() => {
    fed += FEED_EVENTS;
    if (fed % WRONG_KEY_EVERY === 0) void relay.send([eventOf(fed)], { key: "a-wrong-key" }).catch(() => undefined);
    const events = Array.from({ length: FEED_EVENTS }, (_, index) => eventOf(fed + index, "notebook"));
    // The relay of a flow may be gone by the end.
    void relay.send(events).catch(() => undefined);
    void fetch(`${relay.url}/batch`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        api_key: "mobile-key",
        batch: [{ event: "screen viewed", distinct_id: "m-1", uuid: crypto.randomUUID(), properties: {} }],
      }),
    }).catch(() => undefined);
  }, FEED_EVERY_MS);
}

/** The fourth part are orders, a quarter of those about ink unless another product is named. */
export function eventOf(index: number, product?: string): Readonly<Record<string, unknown>> {
  return {
    type: "track",
    messageId: crypto.randomUUID(),
    userId: `user-${index % USERS}`,
    event: NAMES[index % NAMES.length],
    properties: {
      product: product ?? PRODUCTS[Math.floor(index / NAMES.length) % PRODUCTS.length],
      total: 5 + (index % 40),
      currency: "EUR",
    },
  };
}

export function isAboutInk({ properties }: Readonly<Record<string, unknown>>): boolean {
  return (
    typeof properties === "object" && properties !== null && "product" in properties && properties.product === "ink"
  );
}
