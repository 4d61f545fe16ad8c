import type { Client } from "waybill";

const PRODUCTS = ["notebook", "fountain pen", "ink", "blotter"];
const USERS = 50;

/** The same little shop every time: visitors look around, sign up, order. */
export function sampleEvents(): { next(client: Client): void } {
  let count = 0;
  return {
    next(client) {
      const userId = `user-${count % USERS}`;
      const product = PRODUCTS[count % PRODUCTS.length] as string;
      const step = count++ % 5;
      if (step === 0) client.page({ userId, name: "Shop", properties: { path: `/shop/${product}` } });
      else if (step === 1) client.track({ userId, event: "Product Viewed", properties: { product } });
      else if (step === 2) client.identify({ userId, traits: { plan: count % 3 === 0 ? "pro" : "free" } });
      else if (step === 3)
        client.track({ userId, event: "Product Added", properties: { product, quantity: 1 + (count % 3) } });
      else
        client.track({
          userId,
          event: "Order Completed",
          properties: { product, total: 5 + (count % 40), currency: "EUR" },
        });
    },
  };
}
