/** What every JavaScript platform has: browsers, workers, edge runtimes. Timers there keep nothing alive, or cannot be told not to. */
import type { Runtime } from "@waybill/core";
import { fetchTransport } from "./fetch-transport.ts";
import type { Context, Host, VendorHost } from "./options.ts";

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

/** One value for all: these platforms run one thing at a time, or have no way to tell two apart. An asynchronous function keeps it until it ends. */
export function createContext<T>(): Context<T> {
  let current: T | undefined;
  return {
    get: () => current,
    set(value) {
      current = value;
    },
    run(value, task) {
      const before = current;
      const restore = (): void => {
        current = before;
      };
      current = value;
      let pending = false;
      try {
        const result = task();
        if (!(result instanceof Promise)) return result;
        pending = true;
        return result.finally(restore) as typeof result;
      } finally {
        if (!pending) restore();
      }
    },
  };
}
