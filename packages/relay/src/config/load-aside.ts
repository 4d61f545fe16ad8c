/**
 * Reads a configuration in a thread of its own. One of a thousand destinations takes a second, and
 * a hostile one as long as it likes: events come in meanwhile.
 */
import { Worker } from "node:worker_threads";
import { nodeClock } from "@waybill/node";
import { ConfigError } from "./faults.ts";
import type { ConfigSource } from "./load.ts";
import type { Loaded } from "./load-thread.ts";
import type { RelayConfig } from "./types.ts";

/** Ten times what a configuration of a thousand destinations takes. */
const TIME_MAX_MS = 10_000;
/** Of the thread: ten times the largest text. */
const HEAP_MAX_MB = 128;
/** Node runs no TypeScript: from the sources, too, the thread is what the build made. */
const THREAD = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/config/load-thread.js" : "./load-thread.js",
  import.meta.url,
);

/** As `loadConfig`. **Errors**: also a `ConfigError` when it takes too much time or memory. */
export async function loadConfigAside(source: ConfigSource): Promise<RelayConfig> {
  const loaded = await inThread(source);
  if ("config" in loaded) return loaded.config;
  throw new ConfigError(loaded.faults);
}

function inThread(source: ConfigSource): Promise<Loaded> {
  const thread = new Worker(THREAD, {
    workerData: source,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB },
  });
  return new Promise((resolve) => {
    const refuse = (message: string): void => {
      resolve({ faults: [{ file: source.file, line: 0, column: 0, path: "", message }] });
      void thread.terminate();
    };
    const timer = nodeClock.after(TIME_MAX_MS, () => refuse(`takes longer than ${TIME_MAX_MS} ms to read`));
    thread.once("message", resolve);
    // It may quote the text, which has secrets in it.
    thread.once("error", () => refuse("is too large or too deep to be read"));
    thread.once("exit", () => timer.cancel());
  });
}
