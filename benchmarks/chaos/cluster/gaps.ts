import type { EmulatorEvent } from "@waybill/testing";

/**
 * The longest time, ms, in which the vendor got nothing of a partition though an acknowledged event
 * of it waited.
 */
export function longestGap(
  events: readonly EmulatorEvent[],
  {
    acknowledgedAt,
    partitionOf,
  }: {
    readonly acknowledgedAt: ReadonlyMap<string, number>;
    readonly partitionOf: ReadonlyMap<string, number>;
  },
): number {
  const byPartition = new Map<number, { readonly cameAt: number; readonly sinceMs: number }[]>();
  for (const { messageId, receivedAtMs: cameAt } of events) {
    const partition = partitionOf.get(messageId);
    if (partition === undefined) continue;
    const sinceMs = acknowledgedAt.get(messageId) ?? cameAt;
    const own = byPartition.get(partition);
    if (own === undefined) byPartition.set(partition, [{ cameAt, sinceMs }]);
    else own.push({ cameAt, sinceMs });
  }
  return Math.round(Math.max(0, ...[...byPartition.values()].map(longestOf)));
}

/** In the order in which they came. */
function longestOf(came: readonly { readonly cameAt: number; readonly sinceMs: number }[]): number {
  let longest = 0;
  /** Since when the oldest waits of those that came at or after an index. */
  let waitsSince = Number.POSITIVE_INFINITY;
  for (let index = came.length - 1; index > 0; index--) {
    const { cameAt, sinceMs } = came[index] as { readonly cameAt: number; readonly sinceMs: number };
    waitsSince = Math.min(waitsSince, sinceMs);
    const before = (came[index - 1] as { readonly cameAt: number }).cameAt;
    longest = Math.max(longest, cameAt - Math.max(before, waitsSince));
  }
  return longest;
}
