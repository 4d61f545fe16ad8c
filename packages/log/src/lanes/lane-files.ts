/** Reads the files of a lane that is not open: of a destination that is no longer configured. */
import type { Disk } from "@waybill/core";
import type { Position } from "../types.ts";
import { namesIn, walkLog } from "../walk.ts";
import { type Fate, fateInBlock, fateInTail, isParkedInTail } from "./fate-blocks.ts";
import { LaneState } from "./lane-state.ts";
import { fateTailOf, type LaneVendor, parseLaneState } from "./lane-value.ts";

export interface LaneFate {
  readonly fate: Fate | { readonly status: "pending" };
  /** Which vendor the lane delivered to, from which position on; empty where it was not noted. */
  readonly vendors: readonly LaneVendor[];
}

/**
 * What became of these events of a lane, by its files alone; those it was never given are left out.
 * `directory` holds `lanes` and `fates`. Reads all its blocks once. A state that cannot be read
 * yields nothing. **Errors**: `WAYBILL_DISK`.
 */
export async function fatesInFiles(
  directory: string,
  lane: string,
  positions: readonly Position[],
  disk: Disk,
): Promise<ReadonlyMap<Position, LaneFate>> {
  const found = new Map<Position, LaneFate>();
  const state = await LaneState.peek(disk, `${directory}/lanes/${lane}`, parseLaneState);
  if (state === undefined) return found;
  const { vendors = [] } = state;
  const tail = fateTailOf(state);
  /** Whether each is in a patch. */
  const inBlocks = new Map<Position, boolean>();
  for (const position of positions) {
    if (position < state.base) continue;
    const isParked = isParkedInTail(tail, position);
    const inTail = isParked ? undefined : fateInTail(tail, position);
    if (position >= state.position) found.set(position, { fate: { status: "pending" }, vendors });
    else if (inTail !== undefined) found.set(position, { fate: inTail, vendors });
    else {
      inBlocks.set(position, isParked);
      found.set(position, { fate: { status: "unknown" }, vendors });
    }
  }
  const blocks = `${directory}/fates/${lane}`;
  if (inBlocks.size === 0 || (await namesIn(disk, blocks)).length === 0) return found;
  for await (const walked of walkLog(blocks, disk)) {
    if (walked.kind !== "record") continue;
    // The newest block counts.
    for (const [position, isPatch] of inBlocks) {
      const fate = fateInBlock(walked.record, position, isPatch);
      if (fate !== undefined) found.set(position, { fate, vendors });
    }
  }
  return found;
}
