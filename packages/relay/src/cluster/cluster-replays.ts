/**
 * Replays of an environment over all its partitions, as any relay answers for them: what was asked
 * for and what is over is in the topic `<prefix>.desired`, how far the others are is in the commits
 * of their lanes.
 */
import { Account, type Clock, createUuidV7, printable, type Random, WaybillError } from "@waybill/core";
import { type Broker, type CommittedOffset, destinationGroup, parseStateText } from "@waybill/log-kafka";
import { accountView } from "../admin/account-view.ts";
import { sumOfAccounts } from "../admin/cluster/sums.ts";
import type { ReplayView } from "../admin/views.ts";
import { chosenPieces } from "../delivery/chosen-events.ts";
import type { DeadLetterChoice } from "../delivery/dead-letter-choice.ts";
import {
  type AskedReplay,
  cancelKey,
  isReplayOver,
  type PartLedger,
  type ReplayFilter,
  type ReplayPart,
  type ReplayRecords,
  type ReplayRequestRecord,
  replayKey,
  requestText,
} from "./asked-replays.ts";
import { ledgerOf } from "./lane-replays.ts";
import { parseLaneWithReplays, type ReplayProgress } from "./lane-with-replays.ts";
import type { Partitions } from "./partitions.ts";
import { patiently } from "./patiently.ts";

export interface ClusterReplaysOptions {
  readonly environment: string;
  readonly topic: string;
  readonly broker: Pick<Broker, "committed">;
  readonly clock: Clock;
  readonly random: Random;
  readonly partitions: Pick<Partitions, "all" | "read">;
  readonly records: ReplayRecords;
  readonly isConfigured: (destination: string) => boolean;
}

export interface ReplayWish {
  readonly destination: string;
  readonly filter: ReplayFilter;
  /** Over all partitions. Default: as fast as live traffic leaves room. */
  readonly eventsPerSecond?: number | undefined;
  /** Default: all. */
  readonly partitions?: readonly number[];
}

export interface RetryWish {
  readonly choice: DeadLetterChoice;
  readonly eventsPerSecond?: number | undefined;
}

/** Of parts that are not over, by {@link nameOf}. */
interface Parts {
  readonly committed: ReadonlyMap<string, ReplayProgress>;
  readonly running: ReadonlyMap<string, ReplayView>;
}

const NOWHERE: Parts = { committed: new Map(), running: new Map() };

type PartView = NonNullable<ReplayView["partitions"]>[number];

/** That are not over, of a partition. */
const REPLAYS_MAX = 64;
/** Of one call, ms. */
const CALL_MS = 10_000;

export class ClusterReplays {
  readonly #options: ClusterReplaysOptions;

  constructor(options: ClusterReplaysOptions) {
    this.#options = options;
  }

  /**
   * The partitions with chosen events. Reads all of them, one after another. **Errors**: those of
   * `PartitionLog.open` and of its readers; `WAYBILL_INPUT` for an unknown destination.
   */
  async choose({ destination, filter, partitions = this.#options.partitions.all }: ReplayWish): Promise<ReplayPart[]> {
    this.#assertConfigured(destination);
    const parts: ReplayPart[] = [];
    for (const partition of partitions) {
      const part = await this.#options.partitions.read(partition, filter.sinceMs, async (log) => {
        const { first: from, head: to } = log;
        let total = 0;
        for await (const { start, end } of chosenPieces(log, { ...filter, from, to }, from)) total += end - start;
        return { partition, from, to, total };
      });
      if (part.total > 0) parts.push(part);
    }
    return parts;
  }

  /**
   * Begins a replay: relays send what they have the lanes of once they read of it. **Errors**: as
   * {@link choose}; `WAYBILL_INPUT` when {@link REPLAYS_MAX} are not over;
   * `WAYBILL_LOG_UNAVAILABLE`: it may begin all the same.
   */
  async begin(wish: ReplayWish): Promise<ReplayView> {
    const parts = await this.choose(wish);
    const { destination, filter, eventsPerSecond } = wish;
    return this.#begin({ destination, choice: { log: filter }, eventsPerSecond, parts });
  }

  /** The same of dead letters that somebody who has the lane has counted. */
  retry(of: { readonly destination: string; readonly part: ReplayPart } & RetryWish): Promise<ReplayView> {
    const { destination, choice: deadLetters, eventsPerSecond, part } = of;
    const parts = part.total === 0 ? [] : [part];
    return this.#begin({ destination, choice: { deadLetters }, eventsPerSecond, parts });
  }

  async #begin({ eventsPerSecond, ...wish }: Omit<ReplayRequestRecord, "createdAtMs">): Promise<ReplayView> {
    const { environment, clock, random, records } = this.#options;
    this.#assertRoom(wish.parts);
    const id = createUuidV7(clock, random)();
    const createdAtMs = clock.now();
    const request = { ...wish, createdAtMs, ...(eventsPerSecond === undefined ? {} : { eventsPerSecond }) };
    await records.writeReplay(replayKey({ environment, id }), requestText(request));
    const asked = { ...request, environment, id, isCancelled: false, ended: new Map<number, PartLedger>() };
    return this.#view(asked, NOWHERE);
  }

  /** Ends a replay where it is, once the relays read of it. `false` when there is none. */
  async cancel(id: string): Promise<boolean> {
    const { environment, records } = this.#options;
    await records.caughtUp();
    const replay = this.#asked.find((one) => one.id === id);
    if (replay === undefined) return false;
    if (isReplayOver(replay)) return true;
    await records.writeReplay(cancelKey({ environment, id }), JSON.stringify({ atMs: this.#options.clock.now() }));
    await records.caughtUp();
    return true;
  }

  /**
   * `running`: what relays tell of the parts that they run, each as a replay of its partition.
   * **Errors**: `WAYBILL_LOG_UNAVAILABLE`.
   */
  async views(running: readonly ReplayView[]): Promise<readonly ReplayView[]> {
    const { environment, records } = this.#options;
    await records.caughtUp();
    const going = this.#asked.filter(({ parts, ended }) => ended.size < parts.length);
    const committed = new Map<string, ReplayProgress>();
    for (const destination of new Set(going.map((replay) => replay.destination)))
      for (const [name, progress] of await this.#progress(destination)) committed.set(name, progress);
    const parts = running.map(
      (view) => [nameOf(view.id, view.environment.slice(environment.length + 1)), view] as const,
    );
    return this.#asked.map((replay) => this.#view(replay, { committed, running: new Map(parts) }));
  }

  /** How many are kept of a partition, over or not; by default of the one that has most. */
  kept(partitions = this.#options.partitions.all): number {
    return mostOf(this.#asked, partitions);
  }

  /** Whether there is such a place to replay to. */
  has(destination: string, partition = 0): boolean {
    const { isConfigured, partitions } = this.#options;
    return isConfigured(destination) && partitions.all.includes(partition);
  }

  /**
   * Forgets replays that are over and older than `maxAgeMs`. **Errors**: `WAYBILL_LOG_UNAVAILABLE`.
   */
  async retain(maxAgeMs: number, nowMs: number): Promise<void> {
    const { environment, records } = this.#options;
    for (const replay of this.#asked)
      if (isReplayOver(replay) && nowMs - replay.createdAtMs > maxAgeMs)
        await records.writeReplay(replayKey(replay), "");
    // Only then what says that they are over: without it they would run again.
    await records.caughtUp();
    for (const key of records.forgottenKeys(environment)) await records.writeReplay(key, "");
  }

  get #asked(): readonly AskedReplay[] {
    return this.#options.records.replaysOf(this.#options.environment);
  }

  /** **Errors**: `WAYBILL_INPUT` when as many as may be are not over. */
  #assertRoom(parts: readonly ReplayPart[]): void {
    const going = mostOf(
      this.#asked.filter((replay) => !isReplayOver(replay)),
      parts.map(({ partition }) => partition),
    );
    if (going < REPLAYS_MAX) return;
    throw new WaybillError(
      "WAYBILL_INPUT",
      `There are ${going} replays that are not over; at most ${REPLAYS_MAX} may be`,
      { hint: "Wait for some to end, or cancel some." },
    );
  }

  #assertConfigured(destination: string): void {
    const { environment, isConfigured } = this.#options;
    if (!isConfigured(destination))
      throw new WaybillError("WAYBILL_INPUT", `There is no destination ${environment}/${destination}`);
  }

  /** Of a destination, configured or not, by id and partition, as far as it is committed. */
  async #progress(destination: string): Promise<ReadonlyMap<string, ReplayProgress>> {
    const { broker, clock, topic, partitions } = this.#options;
    const group = destinationGroup(topic, destination);
    const asked = partitions.all.map((partition) => ({ topic, partition }));
    const found = await patiently(clock, () => broker.committed({ group, partitions: asked, deadlineMs: CALL_MS }));
    return new Map(
      found.flatMap((one) =>
        replaysIn(one, group).map((progress) => [nameOf(progress.id, one.partition), progress] as const),
      ),
    );
  }

  #view(replay: AskedReplay, parts: Parts): ReplayView {
    const { environment, id, destination, choice, createdAtMs } = replay;
    const partitions = replay.parts.map((part) => this.#partView(replay, part, parts));
    const { state, reason } = stateOf(replay, partitions);
    return {
      id,
      environment,
      destination,
      of: "log" in choice ? "log" : "dead letters",
      createdAtMs,
      state,
      ...(reason === undefined ? {} : { reason }),
      account: sumOfAccounts(partitions.map(({ account }) => account)),
      partitions,
    };
  }

  #partView(replay: AskedReplay, part: ReplayPart, { committed, running }: Parts): PartView {
    const { id, isCancelled, ended } = replay;
    const { partition } = part;
    const ledger = ended.get(partition);
    if (ledger !== undefined) {
      const account = accountOf(ledger);
      return { partition, state: account.pending > 0 ? "cancelled" : "done", account };
    }
    const reported = running.get(nameOf(id, partition));
    const progress = committed.get(nameOf(id, partition));
    const account = reported?.account ?? accountOf(ledgerOf(part, progress));
    if (isCancelled) return { partition, state: "cancelled", account };
    if (reported === undefined)
      return { partition, account, ...this.#stateOf(replay, partition, progress !== undefined) };
    const { state, reason } = reported;
    return { partition, state, account, ...(reason === undefined ? {} : { reason }) };
  }

  /** What is known of a part that no relay tells of. */
  #stateOf(
    { environment, destination }: AskedReplay,
    partition: number,
    hasBegun: boolean,
  ): Pick<PartView, "state" | "reason"> {
    const { records, isConfigured } = this.#options;
    if (!isConfigured(destination)) return { state: "paused", reason: "its destination is not configured" };
    const lane = records.reportedLane({ environment, destination, partition });
    if (lane === undefined) return { state: "waiting", reason: "no relay has its lane" };
    const { mode, reason = "" } = lane;
    if (mode === "paused" || mode === "halted" || mode === "failed")
      return { state: mode === "failed" ? "waiting" : mode, reason: `its lane is ${mode}: ${printable(reason)}` };
    return hasBegun ? { state: "running" } : { state: "waiting", reason: "it has not begun" };
  }
}

/** How many replays have a part in the partition that has most. */
function mostOf(replays: readonly AskedReplay[], partitions: readonly number[]): number {
  const having = (partition: number): number =>
    replays.filter(({ parts }) => parts.some((part) => part.partition === partition)).length;
  return Math.max(0, ...partitions.map(having));
}

function nameOf(id: string, partition: number | string): string {
  return `${id}/${partition}`;
}

/** None of a commit that is not a lane's. */
function replaysIn({ topic, partition, offset, metadata }: CommittedOffset, group: string): readonly ReplayProgress[] {
  try {
    const parse = { offset, parse: parseLaneWithReplays };
    return parseStateText(metadata, { group, topic, partition }, parse).replays ?? [];
  } catch {
    return [];
  }
}

/** Those that a person should know of first. */
const WORST_FIRST = ["failed", "halted", "running", "paused", "waiting"] as const;

function stateOf(replay: AskedReplay, partitions: readonly PartView[]): Pick<ReplayView, "state" | "reason"> {
  if (partitions.every(({ state }) => state === "done")) return { state: "done" };
  if (replay.isCancelled) return { state: "cancelled" };
  for (const state of WORST_FIRST) {
    const found = partitions.find((one) => one.state === state);
    if (found === undefined) continue;
    const { partition, reason } = found;
    return { state, ...(reason === undefined ? {} : { reason: `partition ${partition}: ${reason}` }) };
  }
  return { state: "running" };
}

/** What of the chosen events has no outcome is pending. */
function accountOf({ total, delivered, rejected, expired, dropped }: PartLedger): ReplayView["account"] {
  const account = new Account({ accepted: total, delivered, rejected, expired, dropped });
  return accountView(account.view(Math.max(0, total - account.settled)));
}
