import type { Attempt, Batch, BatchLimits, Outcome, Sender, Store } from "./delivery.ts";
import type { Runtime } from "./runtime.ts";

/** How a lane is; lane.ts has every transition. */
export type LaneMode = "idle" | "sending" | "waiting" | "halted" | "paused" | "failed" | "closed";

/** When a lane starts a request although more events may come. */
export interface LaneTrigger {
  readonly flushAt: number;
  readonly flushBytes: number;
  /**
   * Longest time an event waits for company. Up to a tenth less, at random, so that a fleet does
   * not post in step.
   */
  readonly flushIntervalMs: number;
}

export interface LaneOptions {
  readonly store: Store;
  readonly sender: Sender;
  readonly runtime: Pick<Runtime, "clock" | "random">;
  readonly limits: BatchLimits;
  readonly trigger: LaneTrigger;
  /** How many batches may be on their way at once; asked before each lease. */
  readonly width: () => number;
  /** How long a halted lane waits before it tries one batch. Default 60 s. */
  readonly probeMs?: number;
  /** After each change of mode. If it throws, as any of these, the lane fails. */
  readonly onModeChange?: (mode: LaneMode, reason: string | undefined) => void;
  /** After each request. */
  readonly onAttempt?: (attempt: Attempt, batch: Batch) => void;
}

/** Those of a lane that somebody operates, over a store that may plan its batches. */
export interface OperatedLaneOptions extends Omit<LaneOptions, "width"> {
  /** For what is wrong with it. */
  readonly name: string;
  /** Default 1. */
  readonly width?: () => number;
  /** After each settled batch. If it throws, as any of these, the lane fails. */
  readonly onSettled?: (batch: Batch, outcomes: readonly Outcome[]) => void;
}

export interface LaneSnapshot {
  readonly mode: LaneMode;
  /** Why it waits, is halted, paused or failed. */
  readonly reason: string | undefined;
  /** Batches on their way. */
  readonly inFlight: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly lastError: string | undefined;
  readonly lastErrorAtMs: number | undefined;
}
