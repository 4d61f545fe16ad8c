/**
 * Valued's own client: one connection for the program, a scope per request. Argument: the URL of
 * the vendor.
 */
import { Valued } from "waybill/valued";

const [endpoint = "https://ingest.valued.app/events"] = process.argv.slice(2);
const client = Valued.connect("token", endpoint, { onError: (error) => console.warn(error.message) });

async function handleRequest(userId: number): Promise<void> {
  await Valued.scope.with({ "user.id": userId, "customer.id": 9 }, async () => {
    await Promise.resolve();
    Valued.action("report.sent", { attributes: { pages: 3 } });
  });
}

await Promise.all([handleRequest(5), handleRequest(6)]);
Valued.syncUser({ id: 5, name: "Ada" });
await client.close();
console.log("sent");
