import type { Attempt } from "@waybill/core";

/** An unbroken time in which others passed counts at once for no more than this share. */
const SHARE_MAX = 0.1;
const QUIET_MAX_MS = 30_000;
/** Between two deliveries with a failure of others in between; more of it may be an outage. */
const BROKEN_MAX_MS = 1_000;
const TOO_MANY_REQUESTS = 429;

/**
 * For how long a lane's events have passed: the only time that counts against one that fails. It is
 * the time between one delivery and the next:
 *
 * - all of it but a long one where nothing failed in between, as nobody knows what an event would
 *   have met in a time in which none was sent;
 * - all of a short one where others failed in between, nothing of a longer one: an outage;
 * - nothing where the vendor refused the credential or the rate.
 */
export class Passing {
  readonly #giveUpAfterMs: () => number;
  #ms = 0;
  #deliveredAt = Number.NEGATIVE_INFINITY;
  /** Since the last delivery: what others than suspects met. */
  #met: "nothing" | "failures" | "refusals" = "nothing";

  constructor(giveUpAfterMs: () => number) {
    this.#giveUpAfterMs = giveUpAfterMs;
  }

  /** In all, up to the last delivery. */
  get ms(): number {
    return this.#ms;
  }

  /** The last delivery, monotonic ms; `-Infinity` without one. */
  get deliveredAt(): number {
    return this.#deliveredAt;
  }

  /**
   * A request was answered, or failed. `suspected`: it held nothing but events that failed before.
   * Returns, of the first delivery after an outage, when the last one before was.
   */
  note(
    { status, delivered, retryable, halted }: Pick<Attempt, "status" | "delivered" | "retryable" | "halted">,
    { now, suspected }: { readonly now: number; readonly suspected: boolean },
  ): number | undefined {
    if (delivered > 0) return this.#delivered(now);
    if (halted > 0 || status === TOO_MANY_REQUESTS) this.#met = "refusals";
    else if (retryable > 0 && !suspected && this.#met === "nothing") this.#met = "failures";
    return undefined;
  }

  #delivered(now: number): number | undefined {
    const before = this.#deliveredAt;
    const met = this.#met;
    this.#deliveredAt = now;
    this.#met = "nothing";
    const ms = now - before;
    const most = SHARE_MAX * this.#giveUpAfterMs();
    if (met === "nothing") {
      if (before > Number.NEGATIVE_INFINITY) this.#ms += Math.min(ms, QUIET_MAX_MS, most);
      return undefined;
    }
    if (met === "refusals" || ms > Math.min(BROKEN_MAX_MS, most)) return before;
    this.#ms += ms;
    return undefined;
  }
}
