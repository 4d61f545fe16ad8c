/** The last hour of an environment over those of its partitions that are here at each step. */
import { Durations } from "../../delivery/lane-activity.ts";
import { Column } from "./history.ts";
import { LaneColumns, setDurations } from "./lane-track.ts";

interface Grown {
  readonly delivered: number;
  readonly failedAttempts: number;
}

/** Of some lanes together. */
class LaneSums {
  readonly columns: LaneColumns = new LaneColumns();
  readonly #durations = new Durations();
  #delivered = 0;
  #failedAttempts = 0;

  add({ delivered, failedAttempts }: Grown, durations: Durations): void {
    this.#delivered += delivered;
    this.#failedAttempts += failedAttempts;
    this.#durations.add(durations);
  }

  write(step: number): void {
    this.columns.delivered.set(step, this.#delivered);
    this.columns.failedAttempts.set(step, this.#failedAttempts);
    setDurations(this.columns, step, this.#durations);
    this.#delivered = 0;
    this.#failedAttempts = 0;
    this.#durations.clear();
  }
}

/** It stays when partitions go to another relay: what was delivered here stays in it. */
export class PartitionedTrack {
  readonly accepted: Column = new Column(0);
  readonly #all = new LaneSums();
  readonly #destinations = new Map<string, LaneSums>();
  #accepted = 0;

  get columns(): LaneColumns {
    return this.#all.columns;
  }

  of(destination: string): LaneColumns {
    return this.#of(destination).columns;
  }

  /** What a lane has done since the step before. */
  add(destination: string, grown: Grown, durations: Durations): void {
    this.#of(destination).add(grown, durations);
    this.#all.add(grown, durations);
  }

  /** `accepted`: what this process has stored, of all sources. */
  write(step: number, accepted: number): void {
    this.accepted.set(step, accepted - this.#accepted);
    this.#accepted = accepted;
    this.#all.write(step);
    for (const sums of this.#destinations.values()) sums.write(step);
  }
  #of(destination: string): LaneSums {
    const sums = this.#destinations.get(destination) ?? new LaneSums();
    this.#destinations.set(destination, sums);
    return sums;
  }
}
