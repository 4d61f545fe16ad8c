import type { AccountView as Book } from "@waybill/core";
import type { AccountView } from "./admin-types.ts";

/** A book as the admin API shows it. */
export function accountView(book: Book): AccountView {
  return {
    accepted: book.accepted,
    delivered: book.delivered,
    rejected: book.rejected,
    dropped: book.droppedTotal,
    droppedByReason: book.dropped as Readonly<Record<string, number>>,
    expired: book.expired,
    pending: book.pending,
    balanced: book.balanced,
  };
}
