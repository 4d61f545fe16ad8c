import { accountView } from "../admin/account-view.ts";
import type { LaneView } from "../admin/views.ts";
import type { Destination } from "./destination.ts";

interface Around {
  readonly environment: string;
  readonly nowMs: number;
  /** How long the log takes to grow by so many bytes, ms; `undefined` while it does not grow. */
  readonly timeToGrow: (bytes: number) => number | undefined;
  /** Where a lane that is still behind begins to lose events. */
  readonly hardMaxBytes: number;
}

/** What is shown of a destination's lane. */
export function laneViewOf(
  destination: Destination,
  { environment, nowMs, timeToGrow, hardMaxBytes }: Around,
): LaneView {
  const { mode, reason, attempts, failedAttempts, lastError, lastErrorAtMs } = destination.lane();
  const pending = destination.pending();
  // Read once: it counts.
  const { unknownFates } = destination;
  const { report } = destination;
  const timeUntilLossMs = pending.events === 0 ? undefined : timeToGrow(hardMaxBytes - pending.bytes);
  return {
    environment,
    destination: destination.config.name,
    vendor: destination.config.vendor,
    mode,
    ...(reason === undefined ? {} : { reason }),
    account: accountView(destination.account()),
    pendingBytes: pending.bytes,
    ...(pending.oldestAtMs === undefined ? {} : { oldestPendingMs: Math.max(0, nowMs - pending.oldestAtMs) }),
    attempts,
    failedAttempts,
    ...destination.delivery(),
    deadLetters: destination.deadLetters.counts(),
    ...(timeUntilLossMs === undefined ? {} : { timeUntilLossMs }),
    ...(unknownFates === 0 ? {} : { unknownFates }),
    ...(lastError === undefined ? {} : { lastError }),
    ...(lastErrorAtMs === undefined ? {} : { lastErrorAtMs }),
    ...(report === undefined ? {} : { report }),
  };
}
