/** What an application imports: capture, flush, close. */
import { nodeRuntime } from "@waybill/node";
import { type Client, createClientOn } from "./client.ts";
import type { ClientOptions } from "./options.ts";

export * from "./exports.ts";

/**
 * Makes a client. Nothing happens on the network until an event is captured.
 *
 * **Errors**: `WAYBILL_OPTIONS`, with every fault at once. Afterwards no call throws, but with the overflow policy `throw`.
 *
 * @example
 * const client = createClient({ relay: { url: "http://127.0.0.1:8080", writeKey: "dev" } });
 * client.track({ userId: "u1", event: "Order Completed", properties: { total: 42 } });
 * await client.close(); // => { delivered: 1, rejected: 0, dropped: 0, left: 0 }
 */
export function createClient(options: ClientOptions): Client {
  return createClientOn({ runtime: nodeRuntime(), byteLength: (text) => Buffer.byteLength(text) }, options);
}
