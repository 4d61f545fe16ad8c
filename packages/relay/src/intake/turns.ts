/**
 * Divides the work on request bodies over turns of the event loop.
 *
 * Whatever is in a body, a limited number of bytes is looked through before others get their turn:
 * timers, answers, deliveries. Small bodies are worked on as they come, as long as those of this
 * turn are few; a large body, and whatever comes when many have come, waits for a turn of its own,
 * sources in turn. Work without a key known waits for that with one, but for every fourth turn.
 */
import { FairQueue, type Waiting } from "./fair-queue.ts";
import type { Share } from "./shares.ts";

/** Looked through within 10 ms whatever they are. */
const TURN_BYTES = 512 * 1024;
/** A body of more waits for a turn of its own. */
const HEAVY_BYTES = 128 * 1024;
const KEYLESS_EVERY = 4;

interface Work extends Waiting {
  readonly run: () => void;
}

export interface TurnsOptions {
  /** Calls `run` once the event loop has come round. */
  readonly defer: (run: () => void) => void;
  readonly onError: (error: unknown) => void;
}

export class Turns {
  readonly #options: TurnsOptions;
  readonly #keyed = new FairQueue<Work>();
  readonly #keyless = new FairQueue<Work>();
  /** Bytes that were worked on since the loop came round, or since this was last known. */
  #spentBytes = 0;
  #isDeferred = false;
  #count = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Bodies that wait for their turn. */
  get waiting(): number {
    return this.#keyed.size + this.#keyless.size;
  }

  /**
   * Whether so many bytes may be worked on at once; else {@link wait}. Nothing of a share overtakes
   * what waits of it.
   */
  isNow(share: Share, bytes: number): boolean {
    if (bytes > HEAVY_BYTES || share.waiting > 0 || this.#spentBytes + bytes > TURN_BYTES) return false;
    this.#spentBytes += bytes;
    return true;
  }

  /** Calls `run` when its turn comes. */
  wait(share: Share, bytes: number, run: () => void): void {
    (share.pool.isKeyless ? this.#keyless : this.#keyed).push({ share, cost: bytes, run });
    this.#defer();
  }

  /** For work in several steps: `undefined` when the next one may follow at once. */
  pause(share: Share, bytes: number): Promise<void> | undefined {
    if (bytes <= HEAVY_BYTES) return undefined;
    return new Promise((resolve) => this.wait(share, bytes, resolve));
  }

  #defer(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#options.defer(() => this.#turn());
  }

  #turn(): void {
    this.#isDeferred = false;
    this.#count += 1;
    let spentBytes = 0;
    do {
      const work = this.#next();
      if (work === undefined) break;
      spentBytes += work.cost;
      try {
        work.run();
      } catch (error) {
        this.#options.onError(error);
      }
    } while (spentBytes < TURN_BYTES);
    this.#spentBytes = 0;
    if (this.waiting > 0) this.#defer();
  }

  #next(): Work | undefined {
    const keylessFirst = this.#count % KEYLESS_EVERY === 0;
    return keylessFirst ? (this.#keyless.next() ?? this.#keyed.next()) : (this.#keyed.next() ?? this.#keyless.next());
  }
}
