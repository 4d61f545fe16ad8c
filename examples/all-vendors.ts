/**
 * One client for four vendors, with typed events. Arguments: the URLs of Letter, GetFluxly, Trophy
 * and Valued.
 */
import { createClient } from "waybill";
import { getfluxly } from "waybill/getfluxly";
import { letter } from "waybill/letter";
import { trophy } from "waybill/trophy";
import { valued } from "waybill/valued";

interface Events {
  readonly "Order Completed": { readonly total: number };
  readonly "Debug Opened": { readonly panel?: string };
}

const [letterUrl = "", getfluxlyUrl = "", trophyUrl = "", valuedUrl = ""] = process.argv.slice(2);
const client = createClient<Events>({
  destinations: [
    letter({ apiKey: "lt_live_1", url: letterUrl, events: { "Debug Opened": false } }),
    getfluxly({ token: "gflux_secret_1", url: getfluxlyUrl }),
    trophy({
      apiKey: "key.secret",
      url: trophyUrl,
      metrics: { "Order Completed": { metric: "spent", value: "total" } },
    }),
    valued({ token: "token", url: valuedUrl, events: { "Debug Opened": false } }),
  ],
});
client.identify({ userId: "u-1", traits: { email: "ada@example.test" } });
client.track({ userId: "u-1", event: "Order Completed", properties: { total: 42 } });
client.track({ userId: "u-1", event: "Debug Opened" });
await client.close();
for (const [name, { delivered, droppedTotal, balanced }] of Object.entries(client.accounts()))
  console.log(name, delivered, droppedTotal, balanced);
