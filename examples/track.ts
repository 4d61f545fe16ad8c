/** The smallest program: one event to a relay. Argument: the relay's URL. */
import { createClient } from "waybill";

const client = createClient({ relay: { url: process.argv[2] ?? "http://127.0.0.1:8080", writeKey: "dev" } });
client.track({ userId: "u1", event: "Order Completed", properties: { total: 42 } });
console.log(await client.close());
