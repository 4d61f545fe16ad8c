import { Account, type AccountState, isOpen, type Outcome } from "@waybill/core";
import type { LogBatch } from "../batch.ts";
import type { Position } from "../types.ts";
import type { Backlog } from "./backlog.ts";
import type { Gap } from "./backlog-types.ts";
import type { Fate } from "./fate-blocks.ts";
import type { Fates } from "./fates.ts";
import type { ParkedUser } from "./parked.ts";

export interface SettlementsOptions {
  readonly backlog: Backlog;
  readonly account: AccountState;
  readonly fates?: Fates | undefined;
  /** The first position of the log. */
  readonly removedTo: Position;
  readonly knownTo: Position;
  /** Called for each event that becomes a dead letter. */
  readonly onRejected?: ((reason: string) => void) | undefined;
  /** Called with the number of events that retention took. */
  readonly onExpired?: ((events: number) => void) | undefined;
}

/** What retention took while the lane was not there. */
interface LostBefore {
  /** Events of it that had their outcome; at most so many where that is not certain. */
  readonly settled: number;
  readonly isCertain: boolean;
  /** Events that were settled before the lane kept fates. */
  readonly unkept: number;
}

/** What has become of a lane's events: its ledger and their fates, always both. */
export class Settlements {
  readonly account: Account;
  readonly #options: SettlementsOptions;
  readonly #backlog: Backlog;
  readonly #fates: Fates | undefined;
  /** Of what the log will not have soon, it is written down also what was delivered. */
  #removing: Position;
  /** Before it the fates tell of each event whether it is settled. */
  knownTo: Position;

  constructor(options: SettlementsOptions) {
    this.#options = options;
    this.account = new Account(options.account);
    this.#backlog = options.backlog;
    this.#fates = options.fates;
    this.#removing = Math.max(options.removedTo, options.knownTo);
    this.knownTo = options.knownTo;
  }

  /** An event of a strand has its outcome. */
  settle(outcome: Outcome, batch: LogBatch, index: number): void {
    this.#count(outcome);
    const fates = this.#fates;
    if (fates === undefined) return;
    const { parked } = this.#backlog;
    if (outcome.status !== "delivered") fates.settleAt(batch.positionAt(index), outcome);
    // The state would have it as one that waits for an earlier event of its user.
    else if (parked.size > 0 && parked.has(this.#hashOf(batch, index))) fates.writeDelivered(batch.positionAt(index));
    else if (this.#removing > fates.end) this.#noteDelivered(batch.positionAt(index));
  }

  /** Of what the log no longer has, the next start would take it for expired. */
  #noteDelivered(position: Position): void {
    if (position < this.#removing) this.#fates?.writeDelivered(position);
  }

  /** The first event of a parked user has its outcome. */
  settleParked(user: ParkedUser, position: Position, outcome: Outcome): void {
    this.#count(outcome);
    this.#backlog.parked.settled(user);
    const fates = this.#fates;
    if (fates === undefined) return;
    if (outcome.status === "delivered" && position >= fates.end) this.#noteDelivered(position);
    else fates.settleAt(position, outcome);
  }

  /** Of its own user alone: those of the batch are of more where it ties ids. */
  #hashOf(batch: LogBatch, index: number): number {
    const { record, at } = batch.locate(index);
    return this.#backlog.hashAt(record, at);
  }

  /** Events before the first one that has to be sent again, or that there is no room to park. */
  prefixOf(batch: LogBatch, outcomes: readonly Outcome[]): number {
    const { parked } = this.#backlog;
    const hashes = new Set<number>();
    for (const [index, outcome] of outcomes.entries()) {
      if (isOpen(outcome)) return index;
      if (outcome.status !== "parked") continue;
      const hash = this.#hashOf(batch, index);
      if (!parked.has(hash)) hashes.add(hash);
      if (hashes.size > parked.room) return index;
    }
    return outcomes.length;
  }

  /** Moves the frontier on to the first event that is not settled. */
  advance(): void {
    const backlog = this.#backlog;
    const { parked } = backlog;
    const to = Math.max(backlog.frontier, backlog.strands.first(backlog.readTo).position);
    const pass = (position: Position): void =>
      this.#fates?.passTo(position, (one) => parked.holds(one), parked.size > 0);
    while (backlog.gaps[0] !== undefined && backlog.gaps[0].from < to) {
      const gap = backlog.gaps.shift() as Gap;
      pass(gap.from);
      this.#passGap(gap);
    }
    pass(to);
    backlog.frontier = to;
    backlog.recycle();
  }

  #passGap({ expired, damaged, counted }: Gap): void {
    if (!counted) this.#expire(expired);
    if (!counted && damaged > 0) this.account.drop("log_damaged", damaged);
    this.#fates?.expire(expired);
    this.#fates?.drop("log_damaged", damaged);
  }

  /** What is before `first` is about to be removed. */
  removing(first: Position): void {
    this.#removing = Math.max(this.#removing, first);
  }

  /** Retention has removed what is before `first`; what is on its way gets its own outcomes. */
  removed(first: Position): void {
    const { readTo, rereadTo } = this.#backlog;
    this.removing(first);
    this.expireRead(first);
    this.#fates?.expireUnread(Math.max(this.#backlog.readTo, this.#fates.end), first);
    this.#expire(this.#backlog.skipUnread(first));
    this.advance();
    // Another process has removed it: what is settled is known as far as it was read again.
    if (first > this.knownTo && readTo >= Math.min(first, rereadTo)) this.knownBefore(first, false, readTo);
  }

  /** Of what was read and is not on its way. */
  expireRead(first: Position): void {
    if (first <= this.#backlog.first) return;
    const { strands, parked } = this.#backlog;
    const removed = [...strands.removeBefore(first), ...parked.removeBefore(first)];
    for (const position of removed) this.#fates?.settleAt(position, "expired");
    this.#expire(removed.length);
  }

  /** What is not settled before `to` is dropped, whether it was read or not. */
  skipTo(to: Position): void {
    const skipped: Outcome = { status: "dropped", reason: "skipped" };
    const { strands, parked } = this.#backlog;
    const read = [...strands.passOver(to), ...parked.removeBefore(to)];
    for (const position of read) this.#fates?.settleAt(position, skipped);
    this.advance();
    const unread = this.#backlog.passUnread(to);
    this.#fates?.drop("skipped", unread);
    this.account.drop("skipped", read.length + unread);
  }

  /** At the start: retention has taken events before `first` that the state knows nothing of. */
  lostBefore(first: Position, { settled, isCertain, unkept }: LostBefore): void {
    this.#expire(this.#backlog.startAt(first, settled));
    const events = isCertain ? this.account.settled - this.#backlog.settledUnread - unkept : undefined;
    this.#fates?.passExpired(first, events);
  }

  /**
   * So many events that were thought to be settled were not, as the others that were read again
   * show: parked ones in a damaged part, or where a failing disk had left nothing certain, what
   * retention took.
   */
  notSettled(events: number): void {
    const damaged = Math.min(events, this.#backlog.damagedUnread);
    if (damaged > 0) this.account.drop("log_damaged", damaged);
    this.#expire(events - damaged);
  }

  /**
   * After {@link removing}: writes the same of what was settled by then and read, unless all of it
   * is written. From then on states may tell that the fates know.
   */
  knownBefore(first: Position, isWritten: boolean, readTo: Position = this.#backlog.readTo): void {
    const end = isWritten ? 0 : Math.min(first, readTo);
    for (let position = this.#fates?.end ?? end; position < end; position++)
      if (!this.#backlog.isOpen(position) && this.#backlog.gapAt(position) === undefined)
        this.#fates?.writeDelivered(position);
    this.knownTo = Math.max(this.knownTo, first);
  }

  /** What became of an event that the lane has settled, or will. */
  async fateAt(position: Position): Promise<Fate | { readonly status: "pending" }> {
    const fates = this.#fates;
    const backlog = this.#backlog;
    if (backlog.parked.holds(position)) return { status: "pending" };
    if (position < (fates?.end ?? backlog.frontier)) return (await fates?.at(position)) ?? { status: "unknown" };
    if (position >= backlog.readTo || backlog.isOpen(position)) return { status: "pending" };
    if (backlog.gapAt(position) !== undefined) return { status: "expired" };
    return fates?.aheadAt(position) ?? { status: "unknown" };
  }

  #count(outcome: Outcome): void {
    this.account.settle(outcome);
    if (outcome.status === "rejected") this.#options.onRejected?.(outcome.reason);
  }

  #expire(events: number): void {
    if (events === 0) return;
    this.account.expire(events);
    this.#options.onExpired?.(events);
  }
}
