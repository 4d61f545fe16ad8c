import { printable } from "@waybill/core";
import type { Accounts, LaneView } from "@waybill/relay";

const COLUMNS: readonly (readonly [title: string, value: (lane: LaneView) => string])[] = [
  ["destination", ({ environment, destination }) => `${environment}/${destination}`],
  ["accepted", ({ account }) => String(account.accepted)],
  ["delivered", ({ account }) => String(account.delivered)],
  ["pending", ({ account }) => String(account.pending)],
  ["rejected", ({ account }) => String(account.rejected)],
  ["dropped", ({ account }) => String(account.dropped)],
  ["ledger", ({ account }) => (account.balanced ? "balances" : "DOES NOT BALANCE")],
  ["lane", ({ mode, reason }) => (reason === undefined ? mode : `${mode}: ${reason}`)],
];
const REASON_MAX_CHARACTERS = 48;

/** The ledgers as a table of text, one line per destination, safe to print. */
export function accountTable({ lanes }: Accounts): string {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...lanes.map((lane) => COLUMNS.map(([, value]) => printable(value(lane)).slice(0, REASON_MAX_CHARACTERS))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  // The first and the last two columns are words, the others numbers.
  const isText = (column: number): boolean => column === 0 || column >= COLUMNS.length - 2;
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          isText(column) ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
