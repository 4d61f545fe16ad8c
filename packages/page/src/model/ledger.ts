/** The ledger of a destination as one bar, whose parts add up to what was accepted. */
import type { Account } from "../api/types.ts";

export type LedgerPartName = "delivered" | "pending" | "rejected" | "dropped" | "expired";

export interface LedgerPart {
  readonly name: LedgerPartName;
  readonly events: number;
  /** Percent of the bar's width. All parts together have 100, or 0 when nothing was accepted. */
  readonly width: number;
}

export interface Ledger {
  readonly accepted: number;
  readonly parts: readonly LedgerPart[];
  /** What the parts lack of the accepted events: not 0 is a defect of Waybill. */
  readonly difference: number;
}

const NAMES: readonly LedgerPartName[] = ["delivered", "pending", "rejected", "dropped", "expired"];
const ALL = 100;
/** A part with one event in a million is still to be seen. */
const SEEN_FROM = 1.5;

export function ledgerOf(account: Account): Ledger {
  const sum = NAMES.reduce((total, name) => total + account[name], 0);
  const widths = widthsOf(NAMES.map((name) => account[name]));
  return {
    accepted: account.accepted,
    parts: NAMES.map((name, index) => ({ name, events: account[name], width: widths[index] ?? 0 })),
    difference: account.accepted - sum,
  };
}

/** In proportion, but for the smallest, which get what makes them visible. */
function widthsOf(events: readonly number[]): readonly number[] {
  const sum = events.reduce((total, one) => total + one, 0);
  if (sum === 0) return events.map(() => 0);
  const isSmall = (one: number): boolean => one > 0 && (one / sum) * ALL < SEEN_FROM;
  const small = events.filter(isSmall);
  const rest = sum - small.reduce((total, one) => total + one, 0);
  const room = ALL - small.length * SEEN_FROM;
  return events.map((one) => (isSmall(one) ? SEEN_FROM : (one / rest) * room));
}
