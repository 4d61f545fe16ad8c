import type { EmulatorEvent } from "@waybill/testing";

export interface Gap {
  readonly ms: number;
  readonly partition: number;
  /** When it ended, epoch ms. */
  readonly untilMs: number;
}

const NONE: Gap = { ms: 0, partition: 0, untilMs: 0 };

/**
 * The longest time in which the vendor got nothing of a partition though an acknowledged event of
 * it waited.
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
): Gap {
  const byPartition = new Map<number, { readonly cameAt: number; readonly sinceMs: number }[]>();
  for (const { messageId, receivedAtMs: cameAt } of events) {
    const partition = partitionOf.get(messageId);
    if (partition === undefined) continue;
    const sinceMs = acknowledgedAt.get(messageId) ?? cameAt;
    const own = byPartition.get(partition);
    if (own === undefined) byPartition.set(partition, [{ cameAt, sinceMs }]);
    else own.push({ cameAt, sinceMs });
  }
  const gaps = [...byPartition].map(([partition, came]) => ({ partition, ...longestOf(came) }));
  return gaps.reduce((longest, gap) => (gap.ms > longest.ms ? gap : longest), NONE);
}

/** In the order in which they came. */
function longestOf(
  came: readonly { readonly cameAt: number; readonly sinceMs: number }[],
): Pick<Gap, "ms" | "untilMs"> {
  let longest = { ms: 0, untilMs: 0 };
  /** Since when the oldest waits of those that came at or after an index. */
  let waitsSince = Number.POSITIVE_INFINITY;
  for (let index = came.length - 1; index > 0; index--) {
    const { cameAt, sinceMs } = came[index] as { readonly cameAt: number; readonly sinceMs: number };
    waitsSince = Math.min(waitsSince, sinceMs);
    const before = (came[index - 1] as { readonly cameAt: number }).cameAt;
    const ms = cameAt - Math.max(before, waitsSince);
    if (ms > longest.ms) longest = { ms, untilMs: cameAt };
  }
  return longest;
}
