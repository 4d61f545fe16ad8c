import { WaybillError } from "@waybill/core";
import type { LogStore, Position, Skip } from "@waybill/log";
import type { LaneMode } from "../admin/views.ts";

/** Modes of a lane that has nothing on its way. */
const STOPPED: ReadonlySet<LaneMode> = new Set(["paused", "halted", "failed"]);

export interface CursorMove {
  readonly to: Position;
  /** Only counts. */
  readonly dryRun: boolean;
}

/**
 * The last resort: moves a lane's cursor forward; what is not settled before it is dropped, as
 * `skipped`. Durable when it resolves. **Errors**: `WAYBILL_INPUT` with the reason `lane` unless
 * the lane is paused, halted or failed, and `position` unless it is ahead of the cursor and in the
 * log; `WAYBILL_DISK`.
 */
export async function moveCursor(store: LogStore, mode: () => LaneMode, { to, dryRun }: CursorMove): Promise<Skip> {
  checkStopped(mode());
  const skip = await store.skippable(to);
  if (dryRun) return skip;
  // It may have gone on meanwhile.
  checkStopped(mode());
  return store.skipTo(to);
}

function checkStopped(mode: LaneMode): void {
  if (STOPPED.has(mode)) return;
  throw new WaybillError("WAYBILL_INPUT", `The lane is ${mode}`, {
    reason: "lane",
    hint: "Pause it first: its cursor is moved only while it is paused, halted or failed.",
  });
}
