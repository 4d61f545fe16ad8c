import type { Runtime } from "@waybill/core";
import { fetchTransport } from "./fetch-transport.ts";
import type { Host } from "./options.ts";

/** What every JavaScript platform has. Timers there keep nothing alive, or cannot be told not to. */
const runtime: Runtime = {
  clock: {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after(delayMs, run) {
      const timer = setTimeout(run, Math.max(0, delayMs));
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

export const webHost: Host = { runtime, byteLength: (text) => encoder.encode(text).length };
