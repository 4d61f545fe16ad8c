/** What is committed for the lanes, held to itself: whoever commits, no state ever goes back. */
import type { LaneStateValue } from "@waybill/log";
import { parseStateText } from "@waybill/log-kafka";
import type { SimCluster } from "@waybill/testing/kafka";
import {
  type LaneWithReplaysValue,
  parseLaneWithReplays,
  type ReplayProgress,
} from "../../packages/relay/src/cluster/lane-with-replays.ts";
import { EVENTS_TOPIC, groupOf } from "./names.ts";

interface Seen {
  readonly offset: number;
  readonly metadata: string;
  readonly state: LaneWithReplaysValue;
}

export class Committed {
  readonly #cluster: SimCluster;
  readonly #seen = new Map<string, Seen>();
  /** Characters of the longest state since the last look. */
  longest = 0;
  readonly #ignored = new Set<string>();
  /** By group, partition and id, as they were committed last. */
  readonly #replays = new Map<string, ReplayProgress>();

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  /** What is done to the group is meant. */
  ignore(group: string, isIgnored: boolean): void {
    if (isIgnored) this.#ignored.add(group);
    else this.#ignored.delete(group);
  }

  /** What has gone back, or cannot be, since the last look. */
  faults(indexes: readonly number[], partitions: number): readonly string[] {
    const faults: string[] = [];
    for (const index of indexes)
      for (let partition = 0; partition < partitions; partition++) faults.push(...this.#look(index, partition));
    return faults;
  }

  stateOf(index: number, partition: number): LaneStateValue | undefined {
    return this.#read(index, partition)?.state;
  }

  /** How far a replay is, as it was committed last. */
  replayOf(index: number, partition: number, id: string): ReplayProgress | undefined {
    return this.#replays.get(`${groupOf(index)}/${partition}/${id}`);
  }

  #read(index: number, partition: number): Seen | undefined {
    const group = groupOf(index);
    const [found] = this.#cluster.offsets(group, [{ topic: EVENTS_TOPIC, partition }]);
    if (found === undefined) return undefined;
    const { offset, metadata } = found;
    const key = `${group}/${partition}`;
    const seen = this.#seen.get(key);
    if (seen?.metadata === metadata) return seen;
    const place = { group, topic: EVENTS_TOPIC, partition };
    return { offset, metadata, state: parseStateText(metadata, place, { offset, parse: parseLaneWithReplays }) };
  }

  #look(index: number, partition: number): readonly string[] {
    if (this.#ignored.has(groupOf(index))) return [];
    const key = `${groupOf(index)}/${partition}`;
    const before = this.#seen.get(key);
    const found = this.#read(index, partition);
    if (found === undefined) return before === undefined ? [] : [`what was committed for ${key} is gone`];
    if (found === before) return [];
    this.#seen.set(key, found);
    this.longest = Math.max(this.longest, found.metadata.length);
    const { state } = found;
    const own = sumFault(state);
    const faults = own === undefined ? [] : [`the ledger committed for ${key} does not add up: ${own}`];
    for (const progress of state.replays ?? []) faults.push(...this.#lookAtReplay(key, progress));
    if (before === undefined) return faults;
    const old = before.state;
    if (numberOf(found) < numberOf(before))
      faults.push(`a stale commit for ${key} was taken: number ${numberOf(found)} after ${numberOf(before)}`);
    // The offset may go back: it is a place before the cursor, the nearest that the owner knows.
    if (state.position < old.position)
      faults.push(`the cursor committed for ${key} goes back from ${old.position} to ${state.position}`);
    if (settledOf(state) < settledOf(old))
      faults.push(`the ledger committed for ${key} goes back: ${before.metadata} and now ${found.metadata}`);
    return faults;
  }

  #lookAtReplay(lane: string, progress: ReplayProgress): readonly string[] {
    const key = `${lane}/${progress.id}`;
    const before = this.#replays.get(key);
    this.#replays.set(key, progress);
    const faults: string[] = [];
    if (settledOf(progress) > progress.total)
      faults.push(`the replay ${key} has more than was chosen: ${JSON.stringify(progress)}`);
    if (before !== undefined && hasGoneBack(before, progress))
      faults.push(`the replay ${key} goes back: ${JSON.stringify(before)} and now ${JSON.stringify(progress)}`);
    return faults;
  }
}

/** What it settles goes on, whoever runs it. */
function hasGoneBack(before: ReplayProgress, now: ReplayProgress): boolean {
  return now.cursor < before.cursor || settledOf(now) < settledOf(before) || (before.done && !now.done);
}

/** Commits are numbered; the first states of lanes are not. */
function numberOf({ metadata }: Seen): number {
  return Number(/"commit":(\d+)/.exec(metadata)?.[1] ?? 0);
}

function settledOf({
  delivered,
  rejected,
  expired,
  dropped,
}: Pick<ReplayProgress, "delivered" | "rejected" | "expired" | "dropped">): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, delivered + rejected + expired);
}

/** All before the position is settled, and of what comes after it so many as the state says. */
function sumFault(state: LaneStateValue): string | undefined {
  const { base, position, ahead = 0 } = state;
  return settledOf(state) === position - base + ahead ? undefined : JSON.stringify(state);
}
