/**
 * Lanes of destinations that are not configured any more: their files stay, until somebody removes
 * them.
 */
import type { Disk } from "@waybill/core";
import { fatesInFiles, type LaneFate, LaneState, type Log, type Position, parseLaneState } from "@waybill/log";
import type { TraceDestination } from "../admin/views.ts";

export interface Lanes {
  /** The environment's. */
  readonly directory: string;
  readonly disk: Disk;
  readonly log: Pick<Log, "first" | "head">;
  readonly isConfigured: (destination: string) => boolean;
}

export interface OrphanedLane {
  readonly destination: string;
  /** That wait for it; at most so many, where retention has removed some that it had not got. */
  readonly events: number;
}

/** What the configuration allows: what else is among the states is not a lane's. */
const LANE_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const NOT_CONFIGURED = "the destination is not configured any more";

async function namesOf({ directory, disk, isConfigured }: Lanes): Promise<readonly string[]> {
  const names = await disk.list(`${directory}/lanes`);
  return names.filter((name) => !isConfigured(name) && LANE_NAME.test(name));
}

/** Those that have a state. */
export async function orphanedLanes(lanes: Lanes): Promise<readonly OrphanedLane[]> {
  const { directory, disk, log } = lanes;
  const orphans: OrphanedLane[] = [];
  for (const destination of await namesOf(lanes)) {
    const state = await LaneState.peek(disk, `${directory}/lanes/${destination}`, parseLaneState);
    if (state === undefined) continue;
    const from = Math.max(state.position, log.first);
    // What is settled ahead of others may all be among what was removed.
    const settled = Math.max(0, (state.ahead ?? 0) - (from - state.position));
    orphans.push({ destination, events: Math.max(0, log.head - from - settled) });
  }
  return orphans;
}

/** What became of these events there, by position. */
export async function tracesOfRemoved(
  lanes: Lanes,
  positions: readonly Position[],
): Promise<ReadonlyMap<Position, readonly TraceDestination[]>> {
  const traces = new Map<Position, TraceDestination[]>();
  if (positions.length === 0) return traces;
  for (const destination of await namesOf(lanes)) {
    const fates = await fatesInFiles(lanes.directory, destination, positions, lanes.disk);
    for (const [position, { fate, vendors }] of fates) {
      const vendor = vendors.findLast(({ from }) => from <= position)?.name;
      const traced: TraceDestination = {
        destination,
        ...(vendor === undefined ? {} : { formerVendor: vendor }),
        removed: true,
        outcome: fate.status,
        ...reasonOf(fate),
        attempts: [],
        replays: [],
      };
      traces.set(position, [...(traces.get(position) ?? []), traced]);
    }
  }
  return traces;
}

function reasonOf(fate: LaneFate["fate"]): Pick<TraceDestination, "reason"> {
  if (fate.status === "dropped") return { reason: fate.reason };
  return fate.status === "pending" ? { reason: NOT_CONFIGURED } : {};
}
