/** Where counting begins when a partition is opened. */
import { messageOf, WaybillError } from "@waybill/core";
import type { Position } from "@waybill/log";
import { BrokerError, type Offset } from "./broker.ts";
import { BEGINNING, type Checkpoint, type Positions } from "./counting.ts";
import type { Source } from "./source.ts";

/** Before the end, to find the head of a companion topic: more than copies of calls leave there. */
const LOOK_BACK_OFFSETS = 256;

/** Offsets that a partition has. */
export interface Bounds {
  readonly first: Offset;
  readonly end: Offset;
}

/** As of `PartitionLogOptions`. */
export interface Known {
  readonly positions?: Positions;
  readonly checkpoint?: Checkpoint;
  readonly from?: Offset | "first" | "end";
  readonly next?: Position;
}

/** The known place to count from. **Errors**: {@link lostError}, those of `Source.retrying`. */
export async function anchorOf(
  { positions = "counted", checkpoint, from, next = 0 }: Known,
  source: Source,
  { first, end }: Bounds,
): Promise<Checkpoint> {
  if (positions === "written") {
    if (checkpoint !== undefined) return { ...checkpoint, offset: Math.max(first, Math.min(checkpoint.offset, end)) };
    // No record tells the next position. Where there never was one, nothing else may: a broker that
    // is cut off from the others may have none of theirs.
    if (first === end) return { offset: end, position: end === 0 ? 0 : Math.max(end, next), byte: 0 };
    return { offset: from === "end" ? Math.max(first, end - LOOK_BACK_OFFSETS) : first, position: 0, byte: 0 };
  }
  const anchor = checkpoint ?? BEGINNING;
  if (anchor.offset < first) throw lostError(source.name, anchor, new Error(`the first record is ${first}`));
  if (anchor.offset <= end) return anchor;
  // A new leader may not know yet how far its followers are.
  await source
    .retrying("opening", () => source.fetch(anchor.offset, 1))
    .catch((error: unknown) => {
      throw error instanceof BrokerError ? lostError(source.name, anchor, error) : error;
    });
  return anchor;
}

export function lostError(name: string, { offset, position }: Checkpoint, cause: unknown): WaybillError {
  return new WaybillError(
    "WAYBILL_LOG_DAMAGED",
    `${name}: offset ${offset}, where position ${position} was, is not in the partition: ${messageOf(cause)}`,
    {
      reason: "offset_out_of_range",
      cause,
      hint: "Records were removed that this relay had not counted, or the cluster has lost the partition's end.",
    },
  );
}
