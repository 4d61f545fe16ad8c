import { type Attempt, type Batch, type BatchLimits, isFinal, type Outcome } from "@waybill/core";
import { LogBatch, type Piece } from "../batch.ts";
import type { Position } from "../types.ts";
import type { Backlog } from "./backlog.ts";
import type { Leases } from "./leases.ts";
import type { LogStoreDelivery } from "./log-store-options.ts";
import type { ParkedUser } from "./parked.ts";
import { Passing } from "./passing.ts";
import type { Settlements } from "./settlements.ts";

export interface RetriesOptions {
  readonly backlog: Backlog;
  readonly leases: Leases;
  readonly settlements: Settlements;
  /** Keeps the rejected ones of a batch's first events. */
  readonly keep: (batch: LogBatch, outcomes: readonly Outcome[]) => Promise<void>;
  /** The ledger has the outcomes of a batch. */
  readonly counted: (batch: LogBatch) => void;
  readonly delivery: () => LogStoreDelivery;
  readonly batchOf: (pieces: readonly Piece[]) => LogBatch;
  /** Where the log begins. */
  readonly removedTo: () => Position;
  /** Monotonic. */
  readonly now: () => number;
  /** After what waits for a parked event has changed. */
  readonly settled: () => Promise<void>;
}

/**
 * Tries parked events again, and gives up those that have failed for long enough while others
 * passed.
 *
 * An event is given up only when something was delivered after it had failed last, and without
 * another attempt: so never in an outage, whatever it had failed for when that began.
 */
export class Retries {
  readonly #options: RetriesOptions;
  readonly #passing: Passing;

  constructor(options: RetriesOptions) {
    this.#options = options;
    this.#passing = new Passing(() => options.delivery().giveUpAfterMs);
  }

  /** For how long the lane's events have passed. */
  get passedMs(): number {
    return this.#passing.ms;
  }

  /** A request was answered, or failed. */
  attempted(attempt: Attempt, isParked: boolean): void {
    const now = this.#options.now();
    const since = this.#passing.note(attempt, { now, suspected: isParked });
    if (since !== undefined) this.#options.backlog.parked.outageEnded(since, now);
  }

  /** A parked event to be tried again, or what waited for one that has its outcome. */
  async lease(limits: BatchLimits): Promise<Batch | undefined> {
    const { backlog, delivery, now } = this.#options;
    const { parked } = backlog;
    for (;;) {
      if (parked.size === 0) return undefined;
      const { giveUpAfterMs, durableLease } = delivery();
      const condemned = parked.failedFor(giveUpAfterMs, this.#passing.deliveredAt);
      const user = condemned ?? backlog.waiting.due(now());
      if (user === undefined) return undefined;
      const maxEvents = user.passing && !durableLease ? limits.maxEvents : 1;
      const batch = await this.#leaseOf(user, { ...limits, maxEvents });
      if (batch === undefined) continue;
      if (condemned === undefined) return batch;
      await this.#giveUp(batch, condemned);
    }
  }

  /** `undefined`: not now, or never. */
  async #leaseOf(user: ParkedUser, limits: BatchLimits): Promise<LogBatch | undefined> {
    const { backlog, leases, batchOf, delivery, now } = this.#options;
    const { maxEvents } = limits;
    user.leased = Math.min(user.events.length, maxEvents);
    try {
      const pieces = await backlog.waiting.piecesOf(user, limits);
      // It waits for another user, who is known now.
      if (pieces === undefined) user.leased = 0;
      else if (pieces.length === 0) await this.#lose(user);
      else {
        user.leased = pieces.length;
        const batch = batchOf(pieces);
        // After a power cut it would be part of a batch again, if nobody knew that it goes alone.
        const planning = delivery().durableLease;
        leases.add(batch, { strand: undefined, user, atMs: now(), planning, maxEvents });
        return batch;
      }
      return undefined;
    } catch (error) {
      user.leased = 0;
      throw error;
    }
  }

  /** Its first event cannot be read any more: retention took it meanwhile, or it is damaged. */
  async #lose(user: ParkedUser): Promise<void> {
    const { settlements, settled, removedTo } = this.#options;
    const [lost] = user.events;
    const first = removedTo();
    user.leased = 0;
    if (lost !== undefined && lost.position < first) settlements.expireRead(first);
    else if (lost !== undefined)
      settlements.settleParked(user, lost.position, { status: "dropped", reason: "log_damaged" });
    await settled();
  }

  async #giveUp(batch: LogBatch, user: ParkedUser): Promise<void> {
    const { leases } = this.#options;
    try {
      await this.settle(batch, user, [{ status: "rejected", reason: `poison: ${user.failure?.reason}` }]);
    } catch (error) {
      leases.delete(batch);
      user.leased = 0;
      throw error;
    }
  }

  /** **Errors**: `WAYBILL_DISK`. */
  async settle(batch: LogBatch, user: ParkedUser, outcomes: readonly Outcome[]): Promise<void> {
    const { backlog, leases, settlements, keep, counted, now, settled: done } = this.#options;
    const failedAt = outcomes.findIndex((outcome) => !isFinal(outcome));
    const settled = failedAt < 0 ? outcomes.length : failedAt;
    await keep(batch, outcomes.slice(0, settled));
    leases.delete(batch);
    counted(batch);
    user.leased = 0;
    for (let index = 0; index < settled; index++)
      settlements.settleParked(user, batch.positionAt(index), outcomes[index] as Outcome);
    const failed = outcomes[settled];
    if (failed?.status === "parked")
      backlog.parked.failed(user, { at: now(), passedMs: this.#passing.ms, reason: failed.reason });
    await done();
  }
}
