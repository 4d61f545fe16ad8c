import type { DiskRuntime } from "@waybill/core";
import type { Log, ReadMemory } from "@waybill/log";
import type { EnvironmentConfig, RelayConfig } from "./config/types.ts";
import type { DestinationObserver } from "./delivery/destination-observer.ts";
import type { SenderSettings } from "./delivery/extension.ts";
import type { KeptAnswers } from "./delivery/kept-answers.ts";
import type { WriteLine } from "./log-lines/operator-log.ts";

export interface EnvironmentOptions {
  readonly config: EnvironmentConfig;
  readonly directory: string;
  readonly runtime: DiskRuntime;
  readonly observer: DestinationObserver;
  readonly dedupe: RelayConfig["dedupe"];
  /** Of all lanes of the relay. Default: one of its own. */
  readonly memory?: ReadMemory;
  /** Default: not strict. */
  readonly settings?: SenderSettings;
  /** What a person should know of. Default: it is not reported. */
  readonly report?: WriteLine;
  /** As of the log's options. */
  readonly segmentMaxBytes?: number;
  /**
   * A log that is open, of another engine than the disk: duplicates are found by it, and its lanes
   * come and go ({@link Environment.addLane}). Default: files in `directory`.
   */
  readonly log?: Log;
  /** Of vendors, for callers at other relays. Default: none are kept. */
  readonly keptAnswers?: KeptAnswers;
}
