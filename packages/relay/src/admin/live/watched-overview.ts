/**
 * The overview as a stream: one computation for all who watch, and none while nobody does. A
 * watcher that reads slowly misses what was between, and holds at most one message.
 */
import type { Clock, Timer } from "@waybill/core";
import { heartbeat, type Stream } from "../streams.ts";
import type { Overview } from "../views.ts";

const INTERVAL_MS = 500;
/** Of the time it takes no more than a twentieth, however large the overview is. */
const REST_FACTOR = 19;

export class WatchedOverview {
  readonly #clock: Clock;
  readonly #read: () => Overview;
  readonly #wakes = new Set<() => void>();
  #timer: Timer | undefined;
  /** All but the time of the reading: that alone changes nothing. */
  #content = "";
  /** Encoded once, for all who watch. */
  #message: Buffer = Buffer.alloc(0);
  #readAtMs = Number.NEGATIVE_INFINITY;
  #tookMs = 0;

  constructor(clock: Clock, read: () => Overview) {
    this.#clock = clock;
    this.#read = read;
  }

  /** Sends to a stream that `open` opens, until its reader is gone. */
  async watch(open: () => Stream, isAllowed: () => boolean): Promise<void> {
    if (this.#refresh()) this.#wake();
    const stream = open();
    const stopHeartbeat = heartbeat(this.#clock, stream, isAllowed);
    let wake = (): void => undefined;
    const onWake = (): void => wake();
    stream.signal.addEventListener("abort", onWake, { once: true });
    this.#wakes.add(onWake);
    if (this.#wakes.size === 1) this.#plan();
    try {
      let sent: Buffer | undefined;
      while (!stream.signal.aborted) {
        const changed = new Promise<void>((resolve) => {
          wake = resolve;
        });
        if (sent === this.#message) await changed;
        if (sent === this.#message) continue;
        sent = this.#message;
        if (!(await stream.write(sent))) return;
      }
    } finally {
      this.#wakes.delete(onWake);
      if (this.#wakes.size === 0) this.#timer?.cancel();
      stopHeartbeat();
      stream.end();
    }
  }

  #plan(): void {
    this.#timer?.cancel();
    if (this.#wakes.size === 0) return;
    const restMs = Math.max(INTERVAL_MS, REST_FACTOR * this.#tookMs);
    this.#timer = this.#clock.after(restMs, () => {
      this.#refreshSafely();
      this.#plan();
    });
  }

  /** A defect ends no stream: the next reading may succeed. The route shows it. */
  #refreshSafely(): void {
    try {
      if (this.#refresh()) this.#wake();
    } catch {
      this.#tookMs = 0;
    }
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
  }

  /** Whether there is something new. */
  #refresh(): boolean {
    const began = this.#clock.monotonic();
    if (began - this.#readAtMs < INTERVAL_MS / 2) return false;
    const { now, ...rest } = this.#read();
    const content = JSON.stringify(rest);
    this.#readAtMs = began;
    this.#tookMs = this.#clock.monotonic() - began;
    if (content === this.#content) return false;
    this.#content = content;
    this.#message = Buffer.from(`event: overview\ndata: {"now":${now},${content.slice(1)}\n\n`);
    return true;
  }
}
