/**
 * Retention of an environment's partitions. Each has one relay that looks after it: the one that
 * delivers it to the first destination by name, of those that anybody delivers it to. What nobody
 * delivers (there is no destination, or its lanes cannot be opened) the first relay looks after.
 * Two that do the same at once do no harm.
 */
import type { Clock } from "@waybill/core";
import type { RetentionLimits } from "@waybill/log";
import type { Broker, PartitionLog } from "@waybill/log-kafka";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import type { Checkpoints } from "./checkpoints.ts";
import type { ClusterReplays } from "./cluster-replays.ts";
import type { LaneGroup } from "./lane-group.ts";
import { type Destinations, neededFrom } from "./needed-from.ts";
import { Outage } from "./outage.ts";
import type { OpenPartition, Partitions } from "./partitions.ts";
import type { RelayDirectory } from "./relay-directory.ts";

export type OtherRelays = Pick<RelayDirectory, "selfId" | "relays" | "destinationsElsewhere">;

export interface ClusterRetentionOptions {
  readonly environment: string;
  readonly topic: string;
  readonly broker: Broker;
  readonly clock: Clock;
  readonly partitions: Partitions;
  readonly checkpoints: Checkpoints;
  /** By destination. */
  readonly groups: ReadonlyMap<string, Pick<LaneGroup, "owns">>;
  readonly relays: OtherRelays;
  readonly replays: Pick<ClusterReplays, "retain">;
  readonly report: WriteLine;
}

/** Of all partitions. */
interface Pass extends Pick<Destinations, "elsewhere"> {
  /** The share of a partition. */
  readonly limits: RetentionLimits;
  readonly nowMs: number;
}

/** Nobody tells of other relays. */
export const NO_RELAYS: OtherRelays = { selfId: "", relays: () => [], destinationsElsewhere: () => [] };

/** Lanes move within a session: before that a partition without one is nothing to look after. */
const UNOWNED_MS = 60_000;

export class ClusterRetention {
  readonly #options: ClusterRetentionOptions;
  readonly #removing: Outage;
  /** Since when nobody has a lane of these partitions, by the monotonic clock. */
  readonly #unownedSince = new Map<number, number>();

  constructor(options: ClusterRetentionOptions) {
    const { clock, environment, report } = options;
    this.#options = options;
    this.#removing = new Outage({
      clock,
      failing: (error) => report("records_not_removed", { environment, error }),
      works: () => report("records_removed_again", { environment }),
    });
  }

  /**
   * Removes what no lane of any relay needs, and above the hard limit also what they do. Each
   * partition has its share of the limits. What is old beside a lane is removed by who has it.
   * Resolves to the number of partitions that it removed something of; never rejects.
   */
  async retain(limits: RetentionLimits, nowMs: number): Promise<number> {
    const { partitions, relays, environment } = this.#options;
    const shares = partitions.all.length;
    const share = { ...limits, maxBytes: limits.maxBytes / shares, hardMaxBytes: limits.hardMaxBytes / shares };
    const pass = { limits: share, nowMs, elsewhere: relays.destinationsElsewhere(environment) };
    const firstElsewhere = this.#firstElsewhere();
    let removed = 0;
    let failure: string | undefined;
    for (const partition of partitions.all) {
      const note = (error: unknown): void => void (failure = `partition ${partition}: ${safeError(error)}`);
      const held = partitions.opened(partition);
      if (held !== undefined) await this.#retainLanes(held, pass).catch(note);
      if (!this.#looksAfter(partition, firstElsewhere.get(partition))) continue;
      await this.#removeOld(partition, pass).then((isRemoved) => (removed += isRemoved ? 1 : 0), note);
      if (partition === 0) await this.#forgetReplays(limits, nowMs);
    }
    if (failure === undefined) this.#removing.succeeded();
    else this.#removing.failed(failure);
    return removed;
  }

  /** By partition, the first destination that another relay delivers it to. */
  #firstElsewhere(): ReadonlyMap<number, string> {
    const { environment, relays } = this.#options;
    const first = new Map<number, string>();
    for (const { isSelf, isMissing, lanes } of relays.relays()) {
      if (isSelf || isMissing) continue;
      for (const { environment: of, destination, partition } of lanes) {
        const before = first.get(partition);
        if (of === environment && (before === undefined || destination < before)) first.set(partition, destination);
      }
    }
    return first;
  }

  #looksAfter(partition: number, elsewhere: string | undefined): boolean {
    const { groups, clock } = this.#options;
    const [own] = [...groups].flatMap(([name, group]) => (group.owns(partition) ? [name] : [])).toSorted();
    if (own !== undefined || elsewhere !== undefined) {
      this.#unownedSince.delete(partition);
      return own !== undefined && (elsewhere === undefined || own <= elsewhere);
    }
    const nowMs = clock.monotonic();
    const sinceMs = this.#unownedSince.get(partition) ?? nowMs;
    this.#unownedSince.set(partition, sinceMs);
    return nowMs - sinceMs >= UNOWNED_MS && this.#isFirstRelay;
  }

  get #isFirstRelay(): boolean {
    const { relays } = this.#options;
    const [first] = relays
      .relays()
      .flatMap(({ id, isMissing }) => (isMissing ? [] : [id]))
      .toSorted();
    return first === relays.selfId;
  }

  async #retainLanes({ partition, log, environment }: OpenPartition, { limits, nowMs }: Pass): Promise<void> {
    await this.#learnFirst(partition, log);
    await environment.retainLanes(limits, nowMs, log.old.first?.position ?? 0);
  }

  async #learnFirst(partition: number, { old }: PartitionLog): Promise<void> {
    if (old.first === undefined) old.learn((await this.#options.checkpoints.read(partition))?.first);
  }

  async #removeOld(partition: number, pass: Pass): Promise<boolean> {
    const { partitions, checkpoints } = this.#options;
    const held = partitions.opened(partition);
    if (held !== undefined) return this.#removeFrom(held, pass);
    // A lane of it is being opened anew, and needs what duplicates are known by.
    if (!this.#unownedSince.has(partition)) return false;
    return partitions.read(partition, "end", async (log) => {
      await this.#learnFirst(partition, log);
      const isRemoved = await this.#removeFrom({ partition, log }, pass);
      // Or each time more would be counted.
      await checkpoints.write(new Map([[partition, log.checkpoint]]));
      return isRemoved;
    });
  }

  async #removeFrom(
    { partition, log }: Pick<OpenPartition, "partition" | "log">,
    { limits, nowMs, elsewhere }: Pass,
  ): Promise<boolean> {
    const { broker, topic, groups, checkpoints } = this.#options;
    const needed = await neededFrom(broker, { topic, own: groups.keys(), elsewhere }, { partition, log });
    const end = await log.old.end({ limits, nowMs, neededFrom: needed });
    if (end === undefined) return false;
    // From a place that is removed nobody could count on.
    await checkpoints.write(new Map([[partition, { ...log.checkpoint, first: end }]]));
    await log.old.removeBefore(end);
    return true;
  }

  async #forgetReplays({ maxAgeMs }: RetentionLimits, nowMs: number): Promise<void> {
    const { environment, replays, report } = this.#options;
    try {
      await replays.retain(maxAgeMs, nowMs);
    } catch (error) {
      report("maintenance_failed", { environment, error: `cannot forget old replays: ${safeError(error)}` });
    }
  }
}
