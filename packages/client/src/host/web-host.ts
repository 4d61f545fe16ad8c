/**
 * What every JavaScript platform has: browsers, workers, edge runtimes. Timers there keep nothing
 * alive, or cannot be configured not to.
 */
import type { Runtime, Transport } from "@waybill/core";
import type { Host, VendorHost, VendorHostOptions } from "../options.ts";
import { createFetchTransport } from "./fetch-transport.ts";

export { createContext } from "./web-context.ts";

/** Longest delay `setTimeout` takes; a longer one would fire at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

const runtime: Omit<Runtime, "transport"> = {
  clock: {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after(delayMs, run) {
      const timer = setTimeout(run, Math.min(Math.max(0, delayMs), DELAY_MAX_MS));
      return { cancel: () => clearTimeout(timer) };
    },
  },
  random: {
    next: () => Math.random(),
    fill(target) {
      crypto.getRandomValues(target as Uint8Array<ArrayBuffer>);
    },
  },
};

const encoder = new TextEncoder();

/** Answers with a user's data may be long. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024;

export function createHost(transport: Transport = createFetchTransport()): Host {
  return { runtime: { ...runtime, transport }, byteLength: (text) => encoder.encode(text).length };
}

export function createVendorHost(_options?: VendorHostOptions): VendorHost {
  return {
    ...createHost(createFetchTransport(ANSWER_MAX_BYTES)),
    platform: "Web/1",
    environment: () => undefined,
    isBrowser: isPage(),
    onExit: () => () => undefined,
  };
}

/**
 * A page has a window with a document. Service workers, edge workers and other runtimes have no
 * document.
 */
function isPage(): boolean {
  return "window" in globalThis && "document" in globalThis;
}
