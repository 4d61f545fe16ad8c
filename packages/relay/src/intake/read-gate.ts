/**
 * Bounds what sockets bring in one turn of the event loop.
 *
 * Node reads every socket that has something, up to two megabytes of each, before anything else has
 * its turn. A body in chunks of a byte makes an event of each, and sixty bytes can be a request: a
 * few connections that send as fast as they can would hold up timers, answers and deliveries for
 * seconds. So the work of a turn is timed, a look at the clock for every {@link LOOK_EVERY} events
 * and after each connection that closes; after {@link SLICE_MS} all sockets are held at once, and
 * what still comes of the read at hand waits. From the next turn on they are let go again, in the
 * order they were held, as many as the turn before was short.
 *
 * | state | sockets | requests |
 * |---|---|---|
 * | open | all are read | are handled as they come |
 * | late | all are held until the next turn | wait |
 * | opening | some are let go each turn; `late` again when these take too long | wait as long as some wait |
 */
import type { Socket } from "node:net";
import type { Clock } from "@waybill/core";

/** Of a turn, for what sockets bring. */
const SLICE_MS = 6;
/**
 * Of a turn, for requests that waited: Node sends the answers of one connection one by one at
 * its end, which takes several times as long.
 */
const WAITED_SLICE_MS = 2;
/** A turn that was shorter lets twice as many sockets go, one that was longer half as many. */
const SHORT_MS = 4;
const LONG_MS = 16;
const BATCH_MAX = 4_096;
const LOOK_EVERY = 32;

/**
 * What Node reads a socket with. Its methods are not a public interface: a socket without them is
 * not held.
 */
interface Handle {
  readStart: () => number;
  readStop: () => number;
  reading?: boolean;
}

interface Gated {
  readonly start: () => number;
  readonly stop: () => number;
  /** Whether Node would have it read. */
  isWanted: boolean;
  isHeld: boolean;
}

export interface ReadGateOptions {
  readonly clock: Pick<Clock, "monotonic">;
  readonly defer: (run: () => void) => void;
  readonly onError: (error: unknown) => void;
}

export class ReadGate {
  readonly #options: ReadGateOptions;
  readonly #open = new Set<Gated>();
  readonly #held = new Set<Gated>();
  #waiting: (() => void)[] = [];
  #batch = 1;
  #events = 0;
  /** Whether the turn is timed. */
  #isTimed = false;
  #turnAtMs = 0;
  #isLate = false;

  constructor(options: ReadGateOptions) {
    this.#options = options;
  }

  /** Whether requests wait: {@link wait} then. */
  get isLate(): boolean {
    return this.#isLate || this.#waiting.length > 0;
  }

  /** Sockets that are held, and requests that wait. */
  get holds(): { readonly sockets: number; readonly requests: number } {
    return { sockets: this.#held.size, requests: this.#waiting.length };
  }

  /** From now on it is held with the others. */
  watch(socket: Socket): void {
    this.tick();
    // Thousands may come or go at once.
    for (const event of ["end", "error"]) socket.once(event, () => this.tick());
    this.#watchClose(socket);
    const { _handle: handle } = socket as { readonly _handle?: Handle | null };
    if (typeof handle?.readStart !== "function" || typeof handle.readStop !== "function") return;
    const gated: Gated = {
      start: handle.readStart.bind(handle),
      stop: handle.readStop.bind(handle),
      isWanted: handle.reading !== false,
      isHeld: false,
    };
    handle.readStart = () => {
      gated.isWanted = true;
      return gated.isHeld ? 0 : gated.start();
    };
    handle.readStop = () => {
      gated.isWanted = false;
      return gated.stop();
    };
    this.#open.add(gated);
    if (this.#isLate || this.#held.size > 0) this.#hold(gated);
    socket.once("close", () => {
      this.#open.delete(gated);
      this.#held.delete(gated);
    });
  }

  /** Something has come: a connection, a request, a piece of a body. */
  tick(): void {
    this.#events += 1;
    if (this.#events >= LOOK_EVERY) this.#look();
  }

  /** Calls `run` once there is time for it, after those that waited before. */
  wait(run: () => void): void {
    this.#waiting.push(run);
    this.#time(this.#options.clock.monotonic());
  }

  /**
   * Node's own work when a connection closes takes back each of its requests that has no answer
   * yet; pipelined ones can be thousands. Where several close at once, a turn does as many as there
   * is time for.
   */
  #watchClose(socket: Socket): void {
    const listeners = socket.listeners("close");
    socket.removeAllListeners("close");
    const close = (hadError: boolean): void => {
      // Each request gets an error of its own; to note where it was made takes three quarters of
      // the time, and nobody reads it.
      const { stackTraceLimit } = Error;
      Error.stackTraceLimit = 0;
      try {
        for (const listener of listeners) listener.call(socket, hadError);
      } finally {
        Error.stackTraceLimit = stackTraceLimit;
      }
    };
    socket.once("close", (hadError: boolean) => {
      if (this.isLate) return this.wait(() => close(hadError));
      this.#time(this.#options.clock.monotonic());
      close(hadError);
      this.#look();
    });
  }

  #look(): void {
    this.#events = 0;
    const nowMs = this.#options.clock.monotonic();
    if (!this.#isTimed) return this.#time(nowMs);
    if (this.#isLate || nowMs - this.#turnAtMs < SLICE_MS) return;
    this.#isLate = true;
    for (const gated of this.#open) this.#hold(gated);
  }

  #hold(gated: Gated): void {
    gated.isHeld = true;
    this.#open.delete(gated);
    this.#held.add(gated);
    if (gated.isWanted) gated.stop();
    this.#time(this.#options.clock.monotonic());
  }

  #time(nowMs: number): void {
    if (this.#isTimed) return;
    this.#isTimed = true;
    this.#turnAtMs = nowMs;
    this.#options.defer(() => this.#turn());
  }

  #turn(): void {
    const { clock } = this.#options;
    const startedAtMs = clock.monotonic();
    const tookMs = startedAtMs - this.#turnAtMs;
    this.#isTimed = false;
    this.#isLate = false;
    this.#events = 0;
    const ran = this.#runWaiting(startedAtMs);
    if (this.#waiting.length === 0) {
      if (tookMs < SHORT_MS) this.#batch = Math.min(BATCH_MAX, 2 * this.#batch);
      else if (tookMs > LONG_MS) this.#batch = Math.max(1, this.#batch >> 1);
      // Those that waited had this turn.
      if (!ran) this.#letGo();
    }
    if (this.#waiting.length > 0 || this.#held.size > 0) this.#time(clock.monotonic());
  }

  #letGo(): void {
    let count = 0;
    for (const gated of this.#held) {
      if (count++ === this.#batch) return;
      this.#held.delete(gated);
      gated.isHeld = false;
      this.#open.add(gated);
      if (gated.isWanted) gated.start();
    }
  }

  /** Whether any ran. */
  #runWaiting(startedAtMs: number): boolean {
    const waiting = this.#waiting;
    if (waiting.length === 0) return false;
    let next = 0;
    // What comes meanwhile is appended.
    while (next < waiting.length && this.#options.clock.monotonic() - startedAtMs < WAITED_SLICE_MS) {
      const run = waiting[next++] as () => void;
      try {
        run();
      } catch (error) {
        this.#options.onError(error);
      }
    }
    this.#waiting = waiting.slice(next);
    return true;
  }
}
