/** LaunchDarkly's own part of the configuration. */
import type { DestinationConfig, SourceConfig } from "../config/types.ts";

export type LaunchDarklyDestination = Extract<DestinationConfig, { readonly vendor: "launchdarkly" }>;
export type LaunchDarklySource = Extract<SourceConfig, { readonly protocol: "launchdarkly" }>;

/** `undefined` for a destination of another vendor. */
export function launchdarklyOf(config: DestinationConfig): LaunchDarklyDestination | undefined {
  return config.vendor === "launchdarkly" ? config : undefined;
}

export function isInMemory(source: SourceConfig): boolean {
  return memoryOf(source) !== undefined;
}

/** How a source keeps its events in memory; `undefined` when it stores them. */
export function memoryOf(source: SourceConfig | undefined): LaunchDarklySource["memory"] {
  return source?.protocol === "launchdarkly" ? source.memory : undefined;
}
