/** Node, and what has its modules: Bun, Deno. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Transport } from "@waybill/core";
import { createNodeTransport, nodeClock, nodeRandom } from "@waybill/node";
import type { Context, Host, VendorHost } from "../options.ts";
import { nodeVendorHost } from "../vendor-kit/node-vendor-host.ts";

/**
 * 16 MiB: answers with a user's data may be long. One number, because minifiers keep a product that
 * nobody uses.
 */
const ANSWER_MAX_BYTES = 16_777_216;

export function createHost(transport: Transport = createNodeTransport()): Host {
  return {
    runtime: { clock: nodeClock, random: nodeRandom, transport },
    byteLength: (text) => Buffer.byteLength(text),
  };
}

export function createVendorHost(): VendorHost {
  return nodeVendorHost(createHost(createNodeTransport({ answerMaxBytes: ANSWER_MAX_BYTES })));
}

/** A value per chain of asynchronous calls. */
export function createContext<T>(): Context<T> {
  const storage = new AsyncLocalStorage<T>();
  return {
    get: () => storage.getStore(),
    run: (value, task, ...args) => storage.run(value, task, ...args),
  };
}
