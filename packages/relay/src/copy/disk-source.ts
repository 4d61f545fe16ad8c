/** The log of an environment on a disk, as what is copied. */
import { type DiskRuntime, WaybillError } from "@waybill/core";
import { LaneState, type LaneStateValue, type Log, openLog, type Position, parseLaneState } from "@waybill/log";
import type { EnvironmentConfig, RelayConfig } from "../config/types.ts";
import type { SourcePart } from "./carry.ts";
import { SourceLane } from "./source-lane.ts";

export interface DiskOptions {
  readonly config: EnvironmentConfig;
  readonly runtime: DiskRuntime;
  /** The environment's. */
  readonly directory: string;
  readonly dedupe: RelayConfig["dedupe"];
}

/** A log that is open to be copied. */
export interface OpenSource {
  readonly parts: readonly SourcePart[];
  close(): Promise<void>;
}

/** **Errors**: `WAYBILL_LOG_COPY`, `WAYBILL_LOG_DAMAGED`, `WAYBILL_DISK`. */
export async function openDiskSource(options: DiskOptions): Promise<OpenSource> {
  const { config, runtime, directory, dedupe } = options;
  const log = await openLog({ directory: `${directory}/log` }, runtime);
  const lanes: SourceLane[] = [];
  const close = async (): Promise<void> => {
    for (const lane of lanes) await lane.close();
    await log.close();
  };
  try {
    for (const destination of config.destinations) {
      const state = await stateOf(destination.name, options);
      if (state === undefined) continue;
      const own = runtime;
      lanes.push(await SourceLane.open({ config: destination, log, state, directory, own, clock: runtime.clock }));
    }
    return { parts: [{ log, from: neededFrom(log, lanes, runtime.clock.now(), dedupe), lanes }], close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `undefined` for a destination that has never had one: it begins at the end. */
async function stateOf(name: string, { runtime, directory }: DiskOptions): Promise<LaneStateValue | undefined> {
  const names = await runtime.disk.list(`${directory}/lanes`).catch((): readonly string[] => []);
  if (!names.includes(name)) return undefined;
  const state = await LaneState.peek(runtime.disk, `${directory}/lanes/${name}`, parseLaneState);
  if (state !== undefined) return state;
  throw new WaybillError("WAYBILL_LOG_DAMAGED", `The state of ${name} in ${directory}/lanes cannot be read`, {
    hint: "Start the relay on it once: it tells what it does about that.",
  });
}

/** What some lane waits for, and what later duplicates are known by. */
export function neededFrom(
  log: Log,
  lanes: readonly SourceLane[],
  nowMs: number,
  { windowMs, maxIds }: RelayConfig["dedupe"],
): Position {
  const known = Math.max(log.positionAt(nowMs - windowMs), log.head - maxIds);
  return Math.max(log.first, Math.min(known, ...lanes.map((lane) => lane.neededFrom)));
}
