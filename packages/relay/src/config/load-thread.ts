/** The thread of load-aside.ts: reads one configuration, and ends. */
import { parentPort, workerData } from "node:worker_threads";
import { type ConfigFault, faultsIn } from "./faults.ts";
import { type ConfigSource, loadConfig } from "./load.ts";
import type { RelayConfig } from "./types.ts";

/** What it tells. */
export type Loaded = { readonly config: RelayConfig } | { readonly faults: readonly ConfigFault[] };

function loaded(source: ConfigSource): Loaded {
  try {
    return { config: loadConfig(source) };
  } catch (error) {
    const faults = faultsIn(error);
    if (faults === undefined) throw error;
    return { faults };
  }
}

parentPort?.postMessage(loaded(workerData as ConfigSource));
