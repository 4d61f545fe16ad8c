/**
 * An agent for requests that are not made by our transport, such as those of a vendor's own SDK,
 * under the same guard of addresses.
 */
import http from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import type { SecureContext } from "node:tls";
import { isPublicAddress, privateAddressError, publicAddresses } from "./public-addresses.ts";

type Connect = (options: object, done: (error: Error | null, socket?: unknown) => void) => unknown;

/** Connects to public addresses only, whatever host a request (or a redirect) names. */
export function publicAgent(secure: boolean, secureContext?: SecureContext): http.Agent {
  const options = {
    keepAlive: true,
    lookup: publicAddresses.lookup,
    ...(secureContext === undefined ? {} : { secureContext }),
  };
  const agent = secure ? new https.Agent(options) : new http.Agent(options);
  // An address is connected to without a lookup. The types leave this method out.
  const guarded = agent as unknown as { createConnection: Connect };
  const connect = guarded.createConnection.bind(agent);
  guarded.createConnection = (target, done) => {
    const { host = "" } = target as { readonly host?: string };
    if (isIP(host) === 0 || isPublicAddress(host)) return connect(target, done);
    process.nextTick(done, privateAddressError(host));
    return undefined;
  };
  return agent;
}
