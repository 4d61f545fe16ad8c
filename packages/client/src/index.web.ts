import { type Client, createClientOn } from "./client.ts";
import type { ClientOptions } from "./options.ts";
import { webHost } from "./web-runtime.ts";

export * from "./exports.ts";

/** Makes a client for browsers, workers and edge runtimes. See the entry point for Node; there is no spool here. */
export function createClient(options: ClientOptions): Client {
  return createClientOn(webHost, options);
}
