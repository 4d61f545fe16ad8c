/** Moving a lane's cursor by hand, the last resort: what is not settled before it is dropped. */
import { WaybillError } from "@waybill/core";
import type { Position } from "../types.ts";
import type { Backlog } from "./backlog.ts";

export interface Skip {
  /** The cursor, and where it is moved to. */
  readonly from: Position;
  readonly to: Position;
  /** Events between that are not settled. */
  readonly events: number;
}

/**
 * What is skipped up to `to`, where that was read as far as the lane was before the start.
 * **Errors**: `WAYBILL_INPUT` for a position that is not ahead of the cursor, or beyond `head`.
 */
export function skipOf({ first: from, strands, parked, readTo }: Backlog, to: Position, head: Position): Skip {
  if (to <= from || to > head)
    throw new WaybillError("WAYBILL_INPUT", `The cursor is at ${from}: it can be moved forward to ${head} at most`, {
      reason: "position",
      ...(to < from ? { hint: "A replay sends what is before it once more (waybill replay start)." } : {}),
    });
  const held = parked.events - parked.eventsFrom(to);
  return { from, to, events: strands.eventsBefore(to) + held + Math.max(0, to - readTo) };
}
