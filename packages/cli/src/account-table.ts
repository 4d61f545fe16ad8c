import type { Accounts, LaneView } from "@waybill/relay";
import { type Column, tableLines } from "./terminal/table.ts";
import { type Painted, PLAIN, type Terminal } from "./terminal/terminal.ts";
import { modeTone } from "./terminal/tones.ts";
import { numberText } from "./terminal/units.ts";

const REASON_MIN_CHARACTERS = 12;

const COLUMNS: readonly Column<LaneView>[] = [
  { title: "destination", value: ({ environment, destination }) => `${environment}/${destination}` },
  ...(["accepted", "delivered", "pending", "rejected", "dropped"] as const).map(
    (name): Column<LaneView> => ({
      title: name,
      value: ({ account }) => numberText(account[name]),
      align: "right",
      tone: ({ account }) => (name === "rejected" && account.rejected > 0 ? "warning" : "plain"),
    }),
  ),
  {
    title: "ledger",
    value: ({ account }) => (account.balanced ? "balances" : "DOES NOT BALANCE"),
    tone: ({ account }) => (account.balanced ? "plain" : "error"),
  },
  { title: "lane", value: ({ mode }) => mode, tone: ({ mode }) => modeTone(mode) },
  { title: "reason", value: ({ reason = "" }) => reason, min: REASON_MIN_CHARACTERS, leaveOut: 1 },
];

/** The ledgers as a table: a line of titles, one per destination, safe to print. */
export function accountTable({ lanes }: Accounts, terminal: Terminal = PLAIN): readonly Painted[] {
  return tableLines(lanes, COLUMNS, terminal);
}
