/** How far a replay is, and the request that starts one. */
import type { OverviewReplay, ReplayView } from "../api/types.ts";
import type { Params } from "../router/route.ts";

export interface Progress {
  readonly settled: number;
  readonly total: number;
  /** 0 to 1. */
  readonly share: number;
  /** At the present rate; `undefined` when nothing moves. */
  readonly remainingMs: number | undefined;
}

const SECOND_MS = 1_000;

export function progressOf({ account }: ReplayView, eventsPerSecond: number): Progress {
  const { accepted, pending } = account;
  const settled = accepted - pending;
  return {
    settled,
    total: accepted,
    share: accepted === 0 ? 1 : settled / accepted,
    remainingMs: eventsPerSecond > 0 && pending > 0 ? (pending / eventsPerSecond) * SECOND_MS : undefined,
  };
}

export interface ReplayBody {
  readonly destination: string;
  readonly since?: string;
  readonly until?: string;
  readonly source?: string;
  readonly type?: string;
  readonly event?: string;
  readonly userId?: string;
  readonly eventsPerSecond?: number;
}

const FILTERS = ["since", "until", "source", "type", "event", "userId"] as const;

/** What is empty is left out. */
export function replayBody(given: Params): ReplayBody {
  const filters = FILTERS.flatMap((name) => {
    const value = given[name] ?? "";
    return value === "" ? [] : [[name, value] as const];
  });
  const rate = Number(given["eventsPerSecond"] ?? "");
  return {
    destination: given["destination"] ?? "",
    ...Object.fromEntries(filters),
    ...(rate > 0 ? { eventsPerSecond: rate } : {}),
  };
}

const OVER = new Set(["done", "cancelled"]);

export function isOver({ state }: { readonly state: string }): boolean {
  return OVER.has(state);
}

/** Those that run first, the newest before the others. */
export function orderedReplays(replays: readonly OverviewReplay[]): readonly OverviewReplay[] {
  return [...replays].sort(
    (one, other) => Number(isOver(one)) - Number(isOver(other)) || other.createdAtMs - one.createdAtMs,
  );
}
