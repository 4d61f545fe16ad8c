/** Node, and what has its modules: Bun, Deno. */
import { AsyncLocalStorage } from "node:async_hooks";
import http from "node:http";
import https from "node:https";
import type { Transport } from "@waybill/core";
import { createNodeTransport, type NodeTransportOptions, nodeClock, nodeRandom } from "@waybill/node";
import type { Context, Host, VendorHost, VendorHostOptions } from "../options.ts";
import { nodeVendorHost } from "../vendor-kit/node-vendor-host.ts";

/**
 * 16 MiB: answers with a user's data may be long. One number, because minifiers keep a product that
 * nobody uses.
 */
const ANSWER_MAX_BYTES = 16_777_216;

/** At once, to one host: the transport's own default. */
const CONNECTIONS_MAX = 64;

export function createHost(transport: Transport = createNodeTransport()): Host {
  return {
    runtime: { clock: nodeClock, random: nodeRandom, transport },
    byteLength: (text) => Buffer.byteLength(text),
  };
}

export function createVendorHost({ keepAlive = true }: VendorHostOptions = {}): VendorHost {
  const agents = keepAlive ? {} : { route: onceUsed() };
  return nodeVendorHost(createHost(createNodeTransport({ ...agents, answerMaxBytes: ANSWER_MAX_BYTES })));
}

/** Connections that serve one request each. */
function onceUsed(): NonNullable<NodeTransportOptions["route"]> {
  const options = { maxSockets: CONNECTIONS_MAX };
  const agents = { http: new http.Agent(options), https: new https.Agent(options) };
  return ({ url }) => ({ agent: url.startsWith("https:") ? agents.https : agents.http });
}

/** A value per chain of asynchronous calls. */
export function createContext<T>(): Context<T> {
  const storage = new AsyncLocalStorage<T>();
  return {
    get: () => storage.getStore(),
    run: (value, task, ...args) => storage.run(value, task, ...args),
  };
}
