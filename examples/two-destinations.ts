/** Two destinations of one client, each on its own path. Arguments: their URLs. */
import { createClient, segment } from "waybill";

const [europe = "https://events.eu1.segmentapis.com", america = "https://api.segment.io"] = process.argv.slice(2);
const client = createClient({
  destinations: [
    segment({ name: "europe", url: europe, writeKey: "key-1" }),
    segment({ name: "america", url: america, writeKey: "key-2" }),
  ],
  context: { app: { name: "shop", version: "3.1.4" } },
  onDrop: (drop) => console.warn("dropped", drop),
});
client.identify({ userId: "u1", traits: { plan: "pro" } });
const { delivered } = client.track({ userId: "u1", event: "Signed Up" });
console.log(await delivered);
console.log(await client.close(), client.accounts());
