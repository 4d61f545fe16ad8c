import { type Log, ReadMemory } from "@waybill/log";
import type { DestinationConfig } from "./config/types.ts";
import { Destination } from "./delivery/destination.ts";
import type { Exchanges } from "./delivery/exchanges.ts";
import type { KeptPauses } from "./delivery/kept-pauses.ts";
import type { LaneEngine } from "./delivery/lane-engine.ts";
import type { EnvironmentOptions } from "./environment-options.ts";
import { SILENT } from "./log-lines/operator-log.ts";

/** Opens a destination, paused where it was before the start. **Errors**: `WAYBILL_DISK`. */
export async function openDestination(
  options: EnvironmentOptions,
  config: DestinationConfig,
  { log, exchanges, pauses }: { readonly log: Log; readonly exchanges: Exchanges; readonly pauses: KeptPauses },
  lane?: LaneEngine,
): Promise<Destination> {
  const isPaused = lane === undefined && (await pauses.has(config.name));
  const { directory, runtime, observer, memory = new ReadMemory(), settings = { strict: false } } = options;
  const destination = await Destination.open({
    environment: options.config.name,
    config,
    log,
    ...(lane === undefined ? {} : { lane }),
    runtime,
    directory,
    observer,
    settings,
    memory,
    onAttempt: (name, first, attempt) => exchanges.attempted(name, first, attempt),
    report: options.report ?? SILENT,
  });
  if (isPaused) destination.pause();
  return destination;
}
