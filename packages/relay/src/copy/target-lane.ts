/**
 * A destination's lane where its log is copied to, built event by event in the order of the log: it
 * has the same outcomes as in the log that is copied, and the rest waits.
 *
 * A lane's state has no room for any set of settled events. So the cursor is before the first one
 * that waits; which of the later ones are settled is in the fates, as it is while retention removes
 * events (`removing` of the state): the lane reads them again and leaves out what is settled.
 */
import { WaybillError } from "@waybill/core";
import {
  type DeadLetter,
  DeadLetters,
  type Fate,
  type FateCounts,
  Fates,
  type LaneRuntime,
  type LaneStateValue,
  NO_FATES,
  type Position,
} from "@waybill/log";
import type { CopiedFate } from "./source-lane.ts";

export interface TargetLaneOptions {
  readonly name: string;
  /** As of `SourceLane`. */
  readonly directory: string;
  readonly own: LaneRuntime;
}

/** Outcomes before they are written as a block: bounds memory. */
const FLUSH_EVENTS = 20_000;

export class TargetLane {
  readonly #options: TargetLaneOptions;
  readonly #counts = new Counts();
  /** Events from before the lane that come after others. */
  #skipped = 0;
  #fates: Fates | undefined;
  #deadLetters: DeadLetters | undefined;
  #firstPending: Position | undefined;
  #pending = 0;
  #ahead = 0;
  #taken = 0;

  constructor(options: TargetLaneOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#pending;
  }

  /** Outcomes that were taken over. */
  get counts(): FateCounts {
    return this.#counts.view;
  }

  /** The next event. **Errors**: `WAYBILL_LOG_COPY`; those of the log of fates. */
  async take(position: Position, fate: CopiedFate): Promise<void> {
    const wasMeant = fate.status !== "not_addressed";
    if (this.#fates === undefined && !wasMeant) return;
    this.#fates ??= await this.#openFates(position);
    if (fate.status === "pending") {
      this.#firstPending ??= position;
      this.#pending += 1;
      return;
    }
    // Only its first events can be before a lane.
    const outcome: Fate = wasMeant ? fate : { status: "dropped", reason: "skipped" };
    if (wasMeant) this.#counts.add(outcome);
    else this.#skipped += 1;
    if (this.#firstPending === undefined) settleNext(this.#fates, position, outcome);
    else {
      if (outcome.status === "unknown") throw this.#unknown();
      settleAhead(this.#fates, position, outcome);
      this.#ahead += 1;
    }
    this.#taken += 1;
    if (this.#taken % FLUSH_EVENTS === 0) await this.#flush();
  }

  /** A dead letter that waits, with the position of its event here. */
  async adopt(dead: DeadLetter): Promise<void> {
    this.#deadLetters ??= await this.#openDeadLetters();
    await this.#deadLetters.adopt(dead);
  }

  /** The lane's first state, once all is taken. `rest`: outcomes of events that are not here. */
  async finish(
    head: Position,
    { rest, vendor }: { readonly rest: FateCounts; readonly vendor: string },
  ): Promise<Omit<LaneStateValue, "byte">> {
    this.#fates ??= await this.#openFates(head);
    this.#deadLetters ??= await this.#openDeadLetters();
    await this.#flush();
    const { tail } = this.#fates;
    const dead = this.#deadLetters.log.head;
    await this.close();
    const skipped = this.#skipped === 0 ? {} : { skipped: this.#skipped };
    const ledger = combined(combined(this.counts, rest, 1), { ...NO_FATES, dropped: skipped }, 1);
    const settled = totalOf(ledger);
    const unkept = totalOf(rest);
    return {
      base: head - settled - this.#pending,
      position: this.#firstPending ?? head,
      ...ledger,
      leased: 0,
      ...(this.#ahead === 0 ? {} : { ahead: this.#ahead, removing: head }),
      dead,
      fates: tail,
      ...(unkept === 0 ? {} : { unkept }),
      vendors: [{ name: vendor, from: 0 }],
    };
  }

  async close(): Promise<void> {
    await this.#fates?.close();
    await this.#deadLetters?.close();
  }

  #openDeadLetters(): Promise<DeadLetters> {
    const { name, directory, own } = this.#options;
    return DeadLetters.open(`${directory}/dead/${name}`, 0, own);
  }

  #openFates(from: Position): Promise<Fates> {
    const { name, directory, own } = this.#options;
    const tail = { from, runs: [], before: NO_FATES };
    return Fates.open({ directory: `${directory}/fates/${name}`, runtime: own, tail });
  }

  async #flush(): Promise<void> {
    while (this.#fates?.isLong === true) await this.#fates.flush();
  }

  #unknown(): WaybillError {
    return new WaybillError(
      "WAYBILL_LOG_COPY",
      `What became of an event of ${this.#options.name} is not known, while earlier ones still wait: nobody knows whether to send it`,
      { hint: "Run the relay until what waits for this destination is delivered, then copy." },
    );
  }
}

function settleNext(fates: Fates, position: Position, fate: Fate): void {
  if (fate.status === "dropped") fates.drop(fate.reason, 1);
  else if (fate.status === "expired") fates.expire(1);
  else if (fate.status === "delivered") fates.settle({ status: "delivered" });
  else if (fate.status === "rejected") fates.settle({ status: "rejected", reason: "" });
  else fates.passExpired(position + 1, undefined);
}

function settleAhead(fates: Fates, position: Position, fate: Fate): void {
  if (fate.status === "delivered") fates.writeDelivered(position);
  else if (fate.status === "expired") fates.settleAt(position, "expired");
  else if (fate.status === "rejected") fates.settleAt(position, { status: "rejected", reason: "" });
  else if (fate.status === "dropped") fates.settleAt(position, { status: "dropped", reason: fate.reason });
}

/** Events by outcome. */
class Counts {
  delivered = 0;
  rejected = 0;
  expired = 0;
  readonly #dropped = new Map<string, number>();

  get view(): FateCounts {
    const { delivered, rejected, expired } = this;
    return { delivered, rejected, expired, dropped: Object.fromEntries(this.#dropped) };
  }

  /** One whose outcome is unknown is counted nowhere. */
  add(fate: Fate): void {
    if (fate.status === "dropped") this.drop(fate.reason, 1);
    else if (fate.status !== "unknown" && fate.status !== "not_addressed") this[fate.status] += 1;
  }

  drop(reason: string, events: number): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + events);
  }
}

type LedgerCounts = Pick<LaneStateValue, "delivered" | "rejected" | "expired" | "dropped">;

/** `one` and `sign` times `other`. */
export function combined(one: FateCounts, other: FateCounts, sign: 1 | -1): LedgerCounts {
  const dropped = new Map<string, number>();
  for (const [counts, times] of [
    [one, 1],
    [other, sign],
  ] as const)
    for (const [reason, events] of Object.entries(counts.dropped))
      if (events > 0) dropped.set(reason, (dropped.get(reason) ?? 0) + times * events);
  return {
    delivered: one.delivered + sign * other.delivered,
    rejected: one.rejected + sign * other.rejected,
    expired: one.expired + sign * other.expired,
    dropped: Object.fromEntries(dropped),
  };
}

export function totalOf({ delivered, rejected, expired, dropped }: FateCounts): number {
  return delivered + rejected + expired + Object.values(dropped).reduce((sum, events) => sum + events, 0);
}
