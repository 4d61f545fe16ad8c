/** The log of an environment on a disk, as what another log is copied to. */
import {
  beginLogAt,
  LaneState,
  type LaneStateValue,
  type Log,
  openLog,
  type Position,
  parseLaneState,
} from "@waybill/log";
import { DIRECTORIES } from "../environment-files.ts";
import type { RoutedEntry, Target, TargetPart } from "./carry.ts";
import { mark } from "./disk-mark.ts";
import type { DiskOptions } from "./disk-source.ts";
import { TargetLane } from "./target-lane.ts";

export class DiskTarget implements Target {
  readonly parts: readonly [TargetPart];
  readonly #options: DiskOptions;
  readonly #log: Log;

  private constructor(options: DiskOptions, log: Log) {
    const { config, directory, runtime } = options;
    const lanes = config.destinations.map(({ name }) => [name, new TargetLane({ name, directory, own: runtime })]);
    this.#options = options;
    this.#log = log;
    this.parts = [{ next: log.head, lanes: new Map(lanes as [string, TargetLane][]) }];
  }

  /**
   * Takes away what a copy that was cut short has left, and begins. `begin`: the position of the
   * first event. **Errors**: `WAYBILL_DISK`.
   */
  static async open(options: DiskOptions, begin: Position): Promise<DiskTarget> {
    const { runtime, directory, config } = options;
    const { disk, clock } = runtime;
    await mark(disk, directory, "copying");
    const own = config.destinations.flatMap(({ name }) => [`dead/${name}/marks`, `dead/${name}`, `fates/${name}`]);
    for (const kind of [...own, ...DIRECTORIES]) {
      const names = await disk.list(`${directory}/${kind}`).catch((): readonly string[] => []);
      for (const name of names) await disk.remove(`${directory}/${kind}/${name}`);
      if (names.length > 0) await disk.syncDirectory(`${directory}/${kind}`);
    }
    await beginLogAt(`${directory}/log`, begin, disk, clock.now());
    return new DiskTarget(options, await openLog({ directory: `${directory}/log` }, runtime));
  }

  route(entry: RoutedEntry["entry"]): readonly RoutedEntry[] {
    return [{ part: this.parts[0], entry, indexes: undefined }];
  }

  async append(routed: readonly RoutedEntry[]): Promise<void> {
    await this.#log.appendAll(routed.map(({ entry }) => entry));
  }

  /** Durable when it resolves. **Errors**: `WAYBILL_DISK`. */
  async writeState(name: string, value: LaneStateValue): Promise<void> {
    const { runtime, directory } = this.#options;
    const state = await LaneState.open(runtime.disk, `${directory}/lanes`, name, () => value, parseLaneState);
    await state.close();
  }

  async close(): Promise<void> {
    for (const lane of this.parts[0].lanes.values()) await lane.close();
    await this.#log.close();
  }
}
