import type { Client } from "waybill";

/** Where events come from: the write key is what each source is known by. */
export const SOURCES = [
  { name: "app", writeKey: "dev", share: 0.25 },
  { name: "web", writeKey: "dev-web", share: 0.6 },
  { name: "shop", writeKey: "dev-shop", share: 0.15 },
] as const;

export type SourceName = (typeof SOURCES)[number]["name"];

const PRODUCTS = ["notebook", "fountain pen", "ink", "blotter"];
const PLANS = ["free", "pro", "team"];
const USERS = 50;

interface Visit {
  readonly userId: string;
  readonly anonymousId: string;
  readonly product: string;
  readonly count: number;
}

type Step = (client: Client, visit: Visit) => void;

const STEPS: Readonly<Record<SourceName, readonly Step[]>> = {
  web: [
    (client, { anonymousId, product }) =>
      client.page({ anonymousId, name: "Shop", properties: { path: `/shop/${product}` } }),
    (client, { userId, product }) => client.track({ userId, event: "Product Viewed", properties: { product } }),
    (client, { userId, anonymousId, count }) =>
      client.identify({ userId, anonymousId, traits: { plan: PLANS[count % PLANS.length] } }),
    (client, { userId, product, count }) =>
      client.track({ userId, event: "Product Added", properties: { product, quantity: 1 + (count % 3) } }),
    (client, { userId }) => client.track({ userId, event: "Checkout Started", properties: {} }),
  ],
  app: [
    (client, { userId }) => client.screen({ userId, name: "Home" }),
    (client, { userId, product }) => client.track({ userId, event: "Product Viewed", properties: { product } }),
    (client, { userId, product }) => client.track({ userId, event: "Product Shared", properties: { product } }),
  ],
  shop: [
    (client, { userId, product, count }) =>
      client.track({
        userId,
        event: "Order Completed",
        properties: { product, total: 5 + (count % 40), currency: "EUR" },
      }),
    (client, { userId, count }) =>
      client.track({ userId, event: "Invoice Paid", properties: { total: 5 + (count % 40), currency: "EUR" } }),
    (client, { userId, product }) => client.track({ userId, event: "Order Refunded", properties: { product } }),
  ],
};

/** The same little shop every time: visitors look around, sign up, order. */
export function sampleEvents(): { next(source: SourceName, client: Client): void } {
  const counts = new Map<SourceName, number>();
  return {
    next(source, client) {
      const count = counts.get(source) ?? 0;
      counts.set(source, count + 1);
      const user = count % USERS;
      const steps = STEPS[source];
      const step = steps[count % steps.length] as Step;
      const product = PRODUCTS[count % PRODUCTS.length] as string;
      step(client, { userId: `user-${user}`, anonymousId: `visitor-${user}`, product, count });
    },
  };
}
