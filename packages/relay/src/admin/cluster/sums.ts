/** What several relays report, as one. */
import { own } from "@waybill/core";
import type { AccountView, LaneReport } from "../views.ts";

/**
 * A lane that goes from one relay to another may be reported by both: the later owner's report
 * holds. In the order in which they first came.
 */
export function latest<T>(
  given: readonly T[],
  { keyOf, reportOf }: { readonly keyOf: (one: T) => string; readonly reportOf: (one: T) => LaneReport | undefined },
): readonly T[] {
  const found = new Map<string, T>();
  for (const one of given) {
    const known = found.get(keyOf(one));
    if (known === undefined || isLater(reportOf(one), reportOf(known))) found.set(keyOf(one), one);
  }
  return [...found.values()];
}

/** Of two of the same relay, as of the same owner, the one that has counted further. */
function isLater(one: LaneReport | undefined, other: LaneReport | undefined): boolean {
  const [epoch, before] = [one?.epoch ?? 0, other?.epoch ?? 0];
  return epoch === before ? (one?.offset ?? 0) > (other?.offset ?? 0) : epoch > before;
}

/** By the names that any of them has. */
export function sumOfCounts(given: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sums = new Map<string, number>();
  for (const counts of given)
    for (const name of Object.keys(counts)) sums.set(name, (sums.get(name) ?? 0) + (own(counts, name) ?? 0));
  return Object.fromEntries(sums);
}

export function sumOf<T>(given: readonly T[], valueOf: (one: T) => number): number {
  return given.reduce((sum, one) => sum + valueOf(one), 0);
}

/** A rate as it is shown. */
export function rounded(perSecond: number): number {
  return Number(perSecond.toFixed(1));
}

/** It balances when each of them does. */
export function sumOfAccounts(accounts: readonly AccountView[]): AccountView {
  return {
    accepted: sumOf(accounts, ({ accepted }) => accepted),
    delivered: sumOf(accounts, ({ delivered }) => delivered),
    rejected: sumOf(accounts, ({ rejected }) => rejected),
    dropped: sumOf(accounts, ({ dropped }) => dropped),
    droppedByReason: sumOfCounts(accounts.map(({ droppedByReason }) => droppedByReason)),
    expired: sumOf(accounts, ({ expired }) => expired),
    pending: sumOf(accounts, ({ pending }) => pending),
    balanced: accounts.every(({ balanced }) => balanced),
  };
}

/** Those of one key together, in the order in which the keys first came. */
export function grouped<T>(given: readonly T[], keyOf: (one: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of given) {
    const group = groups.get(keyOf(one)) ?? [];
    groups.set(keyOf(one), group);
    group.push(one);
  }
  return groups;
}

/** Those that are known. */
export function earliest(given: readonly (number | null)[]): number | null {
  const known = given.filter((one) => one !== null);
  return known.length === 0 ? null : Math.min(...known);
}
