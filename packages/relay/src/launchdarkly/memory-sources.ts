/**
 * The sources of an environment that keep their events in memory, each with queues of its own in
 * front of the environment's LaunchDarkly destination.
 */
import type { Runtime } from "@waybill/core";
import type { LaunchDarklyMemory } from "@waybill/vendors/config";
import type { Cleanup } from "../cleanup.ts";
import type { DestinationConfig, EnvironmentConfig, SourceConfig } from "../config/types.ts";
import type { SenderSettings } from "../delivery/extension.ts";
import { takesFrom } from "../delivery/left-out.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { memoryProblem } from "../log-lines/safe-text.ts";
import { within } from "../within.ts";
import { MemoryRelay } from "./memory-relay.ts";
import { type LaunchDarklyDestination, launchdarklyOf, memoryOf } from "./options.ts";

export interface MemorySourcesOptions {
  readonly runtime: Runtime;
  /** Default: not strict. */
  readonly settings?: SenderSettings;
  /** Whose sources they are. */
  readonly config: Pick<EnvironmentConfig, "name">;
  /** What is lost in memory is reported here. */
  readonly report: WriteLine;
}

export class MemorySources {
  readonly #options: MemorySourcesOptions;
  readonly #relays = new Map<string, { readonly relay: MemoryRelay; readonly memory: LaunchDarklyMemory }>();

  constructor(options: MemorySourcesOptions) {
    this.#options = options;
  }

  /**
   * Where a source's events are kept; `undefined` when they are stored in the log, or no
   * destination is there for them.
   */
  of(source: SourceConfig, destinations: readonly DestinationConfig[]): MemoryRelay | undefined {
    const { name } = source;
    const memory = memoryOf(source);
    if (memory === undefined) return undefined;
    const destination = firstOf(destinations);
    if (destination === undefined) return undefined;
    const known = this.#relays.get(name);
    if (known !== undefined) return known.relay;
    const { runtime, settings, report, config } = this.#options;
    const onWarning = (text: string): void =>
      report("memory_source", { environment: config.name, source: name, problem: memoryProblem(text) });
    const strict = settings?.strict ?? false;
    const relay = new MemoryRelay(destination, { memory, runtime, ...settings, strict, onWarning });
    this.#relays.set(name, { relay, memory });
    return relay;
  }

  /**
   * Sources follow their own settings and those of the destination. Returns what takes that over.
   * **Errors**: `WAYBILL_CONFIG`.
   */
  prepare(config: EnvironmentConfig, cleanup: Cleanup): (deadlineMs: number) => Promise<void> {
    const commits: ((deadlineMs: number) => unknown)[] = [];
    for (const [name, { relay, memory }] of this.#relays) {
      const source = config.sources.find((one) => one.name === name);
      const wanted = firstOf(config.destinations.filter((one) => takesFrom(one, name)));
      const isSame = JSON.stringify(memoryOf(source)) === JSON.stringify(memory);
      if (wanted !== undefined && isSame && differOnlyInKeys(relay.destination, wanted)) {
        const prepared = relay.prepare(wanted);
        cleanup.add(prepared.discard);
        commits.push(prepared.commit);
      } else
        commits.push((deadlineMs) => {
          this.#relays.delete(name);
          return within(deadlineMs, this.#options.runtime.clock, relay.close());
        });
    }
    return async (deadlineMs) => void (await Promise.all(commits.map((commit) => commit(deadlineMs))));
  }

  /** Sends what waits, once, each at most until the deadline. */
  async close(deadlineMs: number): Promise<void> {
    const { clock } = this.#options.runtime;
    await Promise.all([...this.#relays.values()].map(({ relay }) => within(deadlineMs, clock, relay.close())));
  }
}

function firstOf(destinations: readonly DestinationConfig[]): LaunchDarklyDestination | undefined {
  return destinations.map(launchdarklyOf).find((config) => config !== undefined);
}

/**
 * With other keys what waits goes on waiting; anything else takes new queues. An environment id is
 * a part of the URL.
 */
function differOnlyInKeys(before: LaunchDarklyDestination, after: LaunchDarklyDestination): boolean {
  const rest = (config: LaunchDarklyDestination): string =>
    JSON.stringify({ ...config, writeKey: "", mobileKey: config.mobileKey !== undefined });
  return rest(before) === rest(after);
}
