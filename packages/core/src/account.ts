/**
 * The ledger of one destination. Invariant, at every instant:
 * accepted = delivered + rejected + dropped + expired + pending.
 *
 * The left side is counted when events come, the right side when they end, and `pending` by the
 * store that holds them: three independent counts, so a ledger that balances proves something: no
 * count is computed from the other two.
 */
import type { DropReason, Outcome } from "./delivery.ts";

export interface AccountState {
  readonly accepted: number;
  readonly delivered: number;
  /** Kept as dead letters. */
  readonly rejected: number;
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>;
  /** Removed by retention before delivery. */
  readonly expired: number;
}

export interface AccountView extends AccountState {
  readonly droppedTotal: number;
  readonly pending: number;
  readonly balanced: boolean;
}

export class Account {
  #accepted = 0;
  #delivered = 0;
  #rejected = 0;
  #expired = 0;
  readonly #dropped = new Map<DropReason, number>();

  constructor(state?: AccountState) {
    if (state === undefined) return;
    this.#accepted = state.accepted;
    this.#delivered = state.delivered;
    this.#rejected = state.rejected;
    this.#expired = state.expired;
    for (const [reason, count] of Object.entries(state.dropped)) this.#dropped.set(reason as DropReason, count);
  }

  accept(events: number): void {
    this.#accepted += events;
  }

  /** One event has got its outcome. One that is not final changes nothing. */
  settle(outcome: Outcome): void {
    if (outcome.status === "delivered") this.deliver(1);
    else if (outcome.status === "rejected") this.reject(1);
    else if (outcome.status === "dropped") this.drop(outcome.reason, 1);
  }

  deliver(events: number): void {
    this.#delivered += events;
  }

  reject(events: number): void {
    this.#rejected += events;
  }

  expire(events: number): void {
    this.#expired += events;
  }

  drop(reason: DropReason, events: number): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + events);
  }

  /** Events that have their final outcome. */
  get settled(): number {
    return this.#delivered + this.#rejected + this.#expired + this.droppedTotal;
  }

  get droppedTotal(): number {
    let total = 0;
    for (const count of this.#dropped.values()) total += count;
    return total;
  }

  state(): AccountState {
    return {
      accepted: this.#accepted,
      delivered: this.#delivered,
      rejected: this.#rejected,
      dropped: Object.fromEntries(this.#dropped),
      expired: this.#expired,
    };
  }

  /** The ledger as of now; `pending` is what the store reports that it holds. */
  view(pending: number): AccountView {
    return {
      ...this.state(),
      droppedTotal: this.droppedTotal,
      pending,
      balanced: this.#accepted === this.settled + pending,
    };
  }
}
