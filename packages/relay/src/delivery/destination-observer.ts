import type { Attempt } from "@waybill/core";
import type { Skip } from "@waybill/log";
import type { LaneMode } from "../admin/views.ts";

/** Called with what happens on a destination's lane. Must not throw. */
export interface DestinationObserver {
  attempted(of: LaneName & { readonly attempt: Attempt }): void;
  modeChanged(of: ModeChange): void;
  stateNotWritten(of: LaneName & { readonly error: unknown }): void;
  /** An event became a dead letter. */
  rejected?(of: LaneName & { readonly reason: string }): void;
  /** Retention took events of the lane, or had at the start. */
  expired?(of: LaneName & { readonly events: number }): void;
  /** An operator has moved the cursor. */
  skipped?(of: LaneName & Skip): void;
}

export interface ModeChange extends LaneName {
  readonly mode: LaneMode;
  readonly reason: string | undefined;
  /** True for a halt to which no answer of the destination led: it has refused no credential. */
  readonly unanswered?: true;
}

/** Whose lane it is. */
export interface LaneName {
  readonly environment: string;
  readonly destination: string;
}
