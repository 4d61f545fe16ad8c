/** What every JavaScript platform has: browsers, workers, edge runtimes. Timers there keep nothing alive, or cannot be told not to. */
import type { Runtime } from "@waybill/core";
import { fetchTransport } from "./fetch-transport.ts";
import type { Host, VendorHost } from "./options.ts";

export { createContext } from "./web-context.ts";

/** Longest delay `setTimeout` takes; a longer one would fire at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

const runtime: Runtime = {
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
  transport: fetchTransport,
};

const encoder = new TextEncoder();

export function createHost(): Host {
  return { runtime, byteLength: (text) => encoder.encode(text).length };
}

export function createVendorHost(): VendorHost {
  return {
    ...createHost(),
    platform: "Web/1",
    environment: () => undefined,
    isBrowser: isPage(),
    onExit: () => () => undefined,
  };
}

/** A page has a window with a document. Service workers, edge workers and other runtimes have no document. */
function isPage(): boolean {
  return "window" in globalThis && "document" in globalThis;
}
