/**
 * What is sent to a destination beside its own lane, such as replays, and ends with a pause of it,
 * as the lane does: attempts in flight are the last ones.
 */
import { type Clock, type Sender, sleep } from "@waybill/core";

export class Guests {
  #paused = new AbortController();
  #inFlight = 0;
  #onEnded: () => void = () => undefined;

  get arePaused(): boolean {
    return this.#paused.signal.aborted;
  }

  pause(): void {
    this.#paused.abort();
  }

  resume(): void {
    if (this.arePaused) this.#paused = new AbortController();
  }

  /** Resolves when the attempts in flight have ended, or after `deadlineMs`. */
  async end(clock: Clock, deadlineMs: number): Promise<void> {
    this.pause();
    if (this.#inFlight === 0) return;
    const ended = new AbortController();
    this.#onEnded = () => ended.abort();
    await sleep(clock, deadlineMs, ended.signal);
  }

  senderOf(sender: Sender): Sender {
    return {
      send: async (batch, context) => {
        const ended = new AbortController();
        const end = (): void => ended.abort();
        const signals = [this.#paused.signal, context.soon];
        for (const signal of signals) signal.addEventListener("abort", end);
        if (signals.some(({ aborted }) => aborted)) end();
        this.#inFlight += 1;
        try {
          return await sender.send(batch, { ...context, soon: ended.signal });
        } finally {
          for (const signal of signals) signal.removeEventListener("abort", end);
          this.#inFlight -= 1;
          if (this.#inFlight === 0) this.#onEnded();
        }
      },
    };
  }
}
