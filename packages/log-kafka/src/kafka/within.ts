import type { Clock } from "@waybill/core";
import { BrokerError } from "../broker.ts";

/** The time that one call has. */
export class Within {
  readonly #clock: Clock;
  readonly #endsAt: number;
  /** The call, for messages. */
  readonly what: string;

  constructor(clock: Clock, deadlineMs: number, what: string) {
    this.#clock = clock;
    this.#endsAt = clock.monotonic() + deadlineMs;
    this.what = what;
  }

  get leftMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.monotonic());
  }

  /** For a broker, which wants some. */
  get leftWholeMs(): number {
    return Math.max(1, Math.floor(this.leftMs));
  }

  /** `run` after the time is over, unless the returned function was called before. */
  atEnd(run: () => void): () => void {
    const timer = this.#clock.after(this.leftMs, run);
    return () => timer.cancel();
  }

  /** What others wait for as well. **Errors**: `timeout`, and its own. */
  async wait<T>(shared: Promise<T>): Promise<T> {
    let forget = (): void => {};
    const late = new Promise<never>((_, reject) => {
      forget = this.atEnd(() => reject(this.late()));
    });
    try {
      return await Promise.race([shared, late]);
    } finally {
      forget();
    }
  }

  /** **Errors**: `timeout`. */
  async pause(delayMs: number): Promise<void> {
    await this.wait(new Promise<void>((resolve) => this.#clock.after(delayMs, resolve)));
  }

  late(): BrokerError {
    return new BrokerError("timeout", `${this.what}: no answer in time`);
  }
}
