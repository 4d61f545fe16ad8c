/** Where a lane keeps its state and its own logs: files, or what another engine has instead. */
import type { DiskRuntime, Limiter } from "@waybill/core";
import { type DurableState, type LaneRuntime, type LaneStateValue, type Log, openLaneState } from "@waybill/log";
import type { LaneReport } from "../admin/views.ts";
import type { DestinationConfig } from "../config/types.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { hasTraces } from "./destination-files.ts";

export interface LaneEngine {
  /** Part of each batch's key, before the id of its state: says which lane it is. */
  readonly name: string;
  /** With what was written last, or the first one. */
  readonly state: DurableState<LaneStateValue>;
  /** Of the logs of dead letters, of what became of them, and of fates, by their directories. */
  readonly runtime: LaneRuntime;
  /** Of all lanes of the destination that are here. Absent: the lane has its own. */
  readonly limiter?: Limiter;
  /** Why the lane must not send when it begins. Default, and `undefined`: it may. */
  readonly hold?: () => string | undefined;
  /** Whose the lane is, and up to where its ledger counts. Absent on the disk. */
  readonly report?: () => LaneReport;
}

interface LaneOnDisk {
  readonly environment: string;
  readonly config: DestinationConfig;
  readonly log: Log;
  readonly runtime: DiskRuntime;
  /** The environment's directory. */
  readonly directory: string;
  readonly report: WriteLine;
}

/** **Errors**: `WAYBILL_DISK`. */
export async function openOnDisk(lane: LaneOnDisk): Promise<LaneEngine> {
  const { config, runtime, directory, environment, log, report } = lane;
  const state = await openLaneState({
    disk: runtime.disk,
    directory: `${directory}/lanes`,
    name: config.name,
    log,
    random: runtime.random,
    hadState: await hasTraces(lane),
    onLost: (text) => report("lane_state_lost", { environment, destination: config.name, text }),
  });
  return { name: config.name, state, runtime };
}
