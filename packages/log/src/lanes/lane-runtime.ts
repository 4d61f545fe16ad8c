/** What a lane's own logs (dead letters, fates) are opened with. */
import type { Clock, Disk } from "@waybill/core";
import { openLog } from "../segment-log.ts";
import type { Log, LogOptions } from "../types.ts";

/** Opens the log that `directory` names. */
export type OpenLog = (options: LogOptions) => Promise<Log>;

/** Logs are files on a disk, or what a host opens in their place. */
export type LaneRuntime =
  | { readonly clock: Clock; readonly disk: Disk }
  | { readonly clock: Clock; readonly openLog: OpenLog };

/** **Errors**: `WAYBILL_DISK`; where a host opens them its own. */
export function openLaneLog(options: LogOptions, runtime: LaneRuntime): Promise<Log> {
  return "openLog" in runtime ? runtime.openLog(options) : openLog(options, runtime);
}
