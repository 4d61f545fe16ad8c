import type { AccountView as Ledger } from "@waybill/core";
import type { AccountView } from "./views.ts";

/** A ledger as the admin API shows it. */
export function accountView(ledger: Ledger): AccountView {
  return {
    accepted: ledger.accepted,
    delivered: ledger.delivered,
    rejected: ledger.rejected,
    dropped: ledger.droppedTotal,
    droppedByReason: ledger.dropped as Readonly<Record<string, number>>,
    expired: ledger.expired,
    pending: ledger.pending,
    balanced: ledger.balanced,
  };
}
