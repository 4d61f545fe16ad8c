/**
 * What a destination does beside what its adapter says: the interface by which LaunchDarkly's own
 * ways are attached.
 */
import type { Rewrite, Runtime } from "@waybill/core";
import type { DestinationConfig } from "../config/types.ts";
import type { Tracing } from "../tracing/tracing.ts";
import type { ConnectionSettings } from "./connection.ts";

export interface SenderSettings extends ConnectionSettings {
  /** Send exactly what the vendors' own relays send where they differ. */
  readonly strict: boolean;
  /** Keeps SDKs that make their own requests from connecting to private addresses too. */
  readonly publicOnly?: boolean;
  /** Where attempts are traced. */
  readonly tracing?: { readonly tracing: Tracing; readonly environment: string };
}

export interface ExtensionOptions {
  readonly config: DestinationConfig;
  readonly runtime: Runtime;
  readonly settings: SenderSettings;
}

export interface DestinationExtension {
  /**
   * How batches of this metadata are made anew before they are sent; `undefined`: they are sent as
   * all others. May throw: then each of their events is rejected.
   */
  rewriteOf(metadata: string): Rewrite | undefined;
  close(): void;
}
