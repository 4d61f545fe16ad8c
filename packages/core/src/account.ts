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

const NOTHING: AccountState = { accepted: 0, delivered: 0, rejected: 0, dropped: {}, expired: 0 };

export class Account {
  readonly #state: { -readonly [Count in keyof AccountState]: AccountState[Count] };

  constructor(state: AccountState = NOTHING) {
    this.#state = { ...state };
  }

  accept(events: number): void {
    this.#state.accepted += events;
  }

  /** One event has got its outcome. One that is not final changes nothing. */
  settle(outcome: Outcome): void {
    const { status } = outcome;
    if (status === "delivered" || status === "rejected") this.#state[status] += 1;
    else if (status === "dropped") this.drop(outcome.reason, 1);
  }

  expire(events: number): void {
    this.#state.expired += events;
  }

  drop(reason: DropReason, events: number): void {
    const { dropped } = this.#state;
    this.#state.dropped = { ...dropped, [reason]: (dropped[reason] ?? 0) + events };
  }

  /** Events that have their final outcome. */
  get settled(): number {
    const { delivered, rejected, expired } = this.#state;
    return delivered + rejected + expired + this.droppedTotal;
  }

  get droppedTotal(): number {
    return Object.values(this.#state.dropped).reduce((total, events) => total + events, 0);
  }

  state(): AccountState {
    return { ...this.#state };
  }

  /** The ledger as of now; `pending` is what the store reports that it holds. */
  view(pending: number): AccountView {
    return {
      ...this.state(),
      droppedTotal: this.droppedTotal,
      pending,
      balanced: this.#state.accepted === this.settled + pending,
    };
  }
}
