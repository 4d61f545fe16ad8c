/** What is stored of a lane's ledger and backlog. */
import type { AccountState } from "@waybill/core";
import type { Position } from "../types.ts";
import type { Backlog } from "./backlog.ts";
import { type LaneStateValue, parkedText, strandsText } from "./lane-value.ts";

type LedgerValue = Pick<LaneStateValue, "delivered" | "rejected" | "expired" | "dropped">;

export function ledgerValue({ delivered, rejected, expired, dropped }: AccountState): LedgerValue {
  return { delivered, rejected, expired, dropped: dropped as LedgerValue["dropped"] };
}

/** `ahead`: settled events after the first one that is not. `removing`: what retention takes. */
export function backlogValue(
  backlog: Backlog,
  { ahead, removing }: { readonly ahead: number; readonly removing: Position | undefined },
): Pick<
  LaneStateValue,
  "position" | "byte" | "leased" | "order" | "strands" | "parked" | "ahead" | "frontier" | "removing"
> {
  const { strands, parked, frontier, readTo, first: position, firstByte: byte, order } = backlog;
  const { only } = strands;
  return {
    position,
    byte,
    leased: only?.planned ?? 0,
    ...(only === undefined || parked.size > 0 ? { order } : {}),
    ...(only === undefined || position !== frontier ? { strands: strandsText(strands.values(readTo), position) } : {}),
    ...(parked.size === 0 ? {} : { parked: parkedText(parked.values(), position) }),
    ...(ahead === 0 ? {} : { ahead }),
    ...(position === frontier ? {} : { frontier }),
    ...(removing === undefined ? {} : { removing }),
  };
}
