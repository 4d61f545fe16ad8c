import type { Position } from "../types.ts";
import type { FateTail } from "./fate-blocks.ts";
import type { LaneRuntime } from "./lane-runtime.ts";

export interface FatesOptions {
  /** Names the log of blocks. */
  readonly directory: string;
  readonly runtime: LaneRuntime;
  /** As it is stored in the lane's state. */
  readonly tail: FateTail;
  /** Of the log of blocks. Default 8 MiB. */
  readonly segmentMaxBytes?: number;
  /** Runs that the state holds at most. Default 60, at most 1.2 KiB of text. */
  readonly tailMaxRuns?: number;
  /** Events that the state has, or some of them, and the log no longer has. Default: none. */
  readonly removed?: { readonly from: Position; readonly to: Position };
  /** The first event that is parked. Default: none is. */
  readonly parkedFrom?: Position | undefined;
}
