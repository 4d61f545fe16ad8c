/**
 * LaunchDarkly's event publisher: payloads per metadata value, a rotated key. Argument: the URL of
 * the vendor.
 */
import { HttpEventPublisher } from "waybill/launchdarkly";

const [uri = "https://events.launchdarkly.com"] = process.argv.slice(2);
const publisher = new HttpEventPublisher({ kind: "sdkKey", value: "sdk-1" }, { uri });
const clicked = {
  kind: "custom",
  key: "clicked",
  creationDate: 1_767_225_600_000,
  context: { kind: "user", key: "u-1" },
};
publisher.publish({ schemaVersion: 4, tags: "application-id/shop" }, clicked, { ...clicked, key: "bought" });
await publisher.flush();
publisher.replaceCredential({ kind: "sdkKey", value: "sdk-2" });
publisher.publish({ schemaVersion: 4 }, clicked);
await publisher.flush();
await publisher.close();
console.log("sent");
