/**
 * Retries of the dead letters of one lane: of all of them one has a batch on its way, so that none
 * chooses what another one may have sent. Those that wait have their turns in the order in which
 * they asked.
 */
import type { Turn } from "@waybill/log";

export interface RetryTurn extends Turn {
  /** It wants none any more. */
  readonly leave: () => void;
}

export class RetryTurns {
  #holder: RetryTurn | undefined;
  /** With what tells each of them that it may take its turn. */
  readonly #waiting = new Map<RetryTurn, () => void>();

  join(wake: () => void): RetryTurn {
    const turn: RetryTurn = {
      take: () => this.#take(turn, wake),
      end: () => {
        if (this.#holder === turn) this.#goOn();
      },
      leave: () => {
        const isNext = this.#holder === undefined || this.#holder === turn;
        this.#waiting.delete(turn);
        if (isNext) this.#goOn();
      },
    };
    return turn;
  }

  #take(turn: RetryTurn, wake: () => void): boolean {
    this.#waiting.set(turn, wake);
    const [first] = this.#waiting.keys();
    if (this.#holder === undefined && first === turn) this.#holder = turn;
    if (this.#holder !== turn) return false;
    this.#waiting.delete(turn);
    return true;
  }

  #goOn(): void {
    this.#holder = undefined;
    const [wake] = this.#waiting.values();
    wake?.();
  }
}
