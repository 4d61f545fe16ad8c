import type { Segment } from "./segment.ts";
import type { Position, RetentionLimits } from "./types.ts";

interface Kept {
  /** Oldest first: segments, or what else can only be removed as a whole. */
  readonly segments: readonly Pick<Segment, "base" | "startByte" | "createdAtMs">[];
  readonly head: Position;
  readonly headByte: number;
}

interface Wanted {
  readonly limits: RetentionLimits;
  readonly nowMs: number;
  /** The oldest position that a lane still needs. */
  readonly neededFrom: Position;
}

/** The first position of the oldest segment that stays. */
export function retainedFrom({ segments, head, headByte }: Kept, { limits, nowMs, neededFrom }: Wanted): Position {
  for (const [index, oldest] of segments.entries()) {
    const next = segments[index + 1];
    // The newest segment is being written and stays.
    if (next === undefined) return oldest.base;
    const keptBytes = headByte - oldest.startByte;
    const tooOld = nowMs - next.createdAtMs > limits.maxAgeMs;
    const wanted = neededFrom < next.base;
    if (keptBytes <= limits.hardMaxBytes && (wanted || (!tooOld && keptBytes <= limits.maxBytes))) return oldest.base;
  }
  return head;
}
