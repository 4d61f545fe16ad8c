/** The ledger of a destination: one bar, and below it the sum with its numbers. */
import type { JSX } from "preact";
import type { Account } from "../api/types.ts";
import { counted, percent } from "../format/numbers.ts";
import { type LedgerPart, ledgerOf } from "../model/ledger.ts";
import { Count } from "./values.tsx";

const MEANINGS: Readonly<Record<LedgerPart["name"], string>> = {
  delivered: "the vendor took them",
  pending: "still to be delivered",
  rejected: "the vendor refused them: dead letters",
  dropped: "left out on purpose",
  expired: "removed by retention before they were delivered",
};

export interface LedgerProps {
  readonly account: Account;
  readonly label: string;
}

export function LedgerBar({ account, label }: LedgerProps): JSX.Element {
  const { accepted, parts, difference } = ledgerOf(account);
  const shown = parts.filter(({ name, events }) => events > 0 || name === "delivered" || name === "pending");
  const title = (part: LedgerPart): string =>
    `${counted(part.events, "event")} ${part.name} (${percent(part.events, accepted)}): ${MEANINGS[part.name]}`;
  return (
    <div class="ledger">
      <div class="ledger-bar" role="img" aria-label={`Ledger of ${label}: ${spoken(accepted, parts)}`}>
        {parts.map((part) =>
          part.width === 0 ? null : (
            <span
              key={part.name}
              class={`part part-${part.name}`}
              style={{ width: `${part.width}%` }}
              title={title(part)}
            />
          ),
        )}
      </div>
      <p class="ledger-sum">
        <span class="ledger-part">
          <Count value={accepted} /> accepted
        </span>
        {shown.map((part, index) => (
          <span key={part.name} class="ledger-part" title={title(part)}>
            <span class="operator">{index === 0 ? "=" : "+"}</span>
            <span class={`swatch part-${part.name}`} />
            <Count value={part.events} /> {part.name}
          </span>
        ))}
        {difference === 0 ? null : (
          <span class="ledger-part tone-error">
            These numbers differ by {counted(difference, "event")}: a defect of Waybill.
          </span>
        )}
      </p>
    </div>
  );
}

function spoken(accepted: number, parts: readonly LedgerPart[]): string {
  const named = parts
    .filter(({ events }) => events > 0)
    .map(({ name, events }) => `${counted(events, "event")} ${name}`);
  return `${counted(accepted, "event")} accepted${named.length === 0 ? "" : `: ${named.join(", ")}`}`;
}
