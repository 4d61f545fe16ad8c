import type { Clock } from "@waybill/core";
import type { Library } from "./library.ts";
import type { Address, Link } from "./link.ts";
import type { Use } from "./links.ts";
import { type FetchAnswer, type FetchAnswers, type FetchPlace, fetchCall, placeName } from "./requests.ts";
import type { Within } from "./within.ts";

export interface Fetch extends FetchPlace {
  /** How long the broker may wait for the first record. 0: it is asked at once, for this alone. */
  readonly maxWaitMs: number;
  readonly within: Within;
}

/** As `Links`. */
export interface FetchLinks {
  to(address: Address, use: Use): Pick<Link, "call">;
}

interface WaitingFetch extends Fetch {
  /** On the monotonic clock: the end of the time that the broker may wait. */
  readonly untilMs: number;
  readonly resolve: (answer: FetchAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** An answer is in memory as a whole. */
const ANSWER_MAX_BYTES = 8 * 1024 * 1024;
/** Whose records came in one answer ask for the next ones as near to each other as timers are. */
const GATHER_MS = 2;

/**
 * Fetches that wait for records share a request to the broker that leads their partitions: it costs
 * a broker and us about as much for one partition as for many. A request goes to a broker after
 * {@link GATHER_MS}, whether or not others wait there. Whose partitions had no records in the
 * answer are asked for again, with those that came meanwhile, until their own time is over.
 *
 * Those that wait the longest come first in a request: one that got nothing because the answer was
 * full is among them.
 */
export class SharedFetch {
  readonly #library: Library;
  readonly #links: FetchLinks;
  readonly #clock: Clock;
  /** By broker, those of its next request. */
  readonly #gathering = new Map<string, WaitingFetch[]>();

  constructor(library: Library, links: FetchLinks, clock: Clock) {
    this.#library = library;
    this.#links = links;
    this.#clock = clock;
  }

  /** One attempt. **Errors**: `timeout`, and those of the connection. */
  async send(address: Address, fetch: Fetch): Promise<FetchAnswer> {
    if (fetch.maxWaitMs === 0) return answerFor(fetch, await this.#call(address, [fetch], 0));
    const untilMs = this.#clock.monotonic() + fetch.maxWaitMs;
    const answered = new Promise<FetchAnswer>((resolve, reject) => {
      this.#gather(address, { ...fetch, untilMs, resolve, reject });
    });
    return fetch.within.wait(answered);
  }

  #gather(address: Address, waiting: WaitingFetch): void {
    const broker = `${address.host}:${address.port}`;
    const gathering = this.#gathering.get(broker);
    // An answer tells no two of the same partition apart.
    if (gathering?.some((other) => placeName(other) === placeName(waiting)) === true) {
      void this.#request(address, [waiting]);
      return;
    }
    if (gathering !== undefined) {
      gathering.push(waiting);
      return;
    }
    const started = [waiting];
    this.#gathering.set(broker, started);
    this.#clock.after(GATHER_MS, () => {
      this.#gathering.delete(broker);
      void this.#request(address, started);
    });
  }

  /** Never rejects. */
  async #request(address: Address, gathered: readonly WaitingFetch[]): Promise<void> {
    // Those whose time is over were answered.
    const waiting = gathered
      .filter(({ within }) => within.leftMs > 0)
      .toSorted((one, other) => one.untilMs - other.untilMs);
    const [first] = waiting;
    if (first === undefined) return;
    const waitMs = Math.max(0, Math.floor(first.untilMs - this.#clock.monotonic()));
    try {
      const answers = await this.#call(address, waiting, waitMs);
      const nowMs = this.#clock.monotonic();
      for (const one of waiting) {
        const answer = answerFor(one, answers);
        const isEmpty = answer.errorCode === 0 && answer.batches.length === 0;
        if (isEmpty && one.untilMs - nowMs > GATHER_MS) this.#gather(address, one);
        else one.resolve(answer);
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  /** Has the time of the fetch that has the most left. */
  async #call(address: Address, fetches: readonly Fetch[], waitMs: number): Promise<FetchAnswers> {
    const within = fetches.reduce<Within | undefined>(
      (most, one) => (most === undefined || one.within.leftMs > most.leftMs ? one.within : most),
      undefined,
    );
    if (within === undefined) return new Map();
    const asked = fetches.reduce((sum, { maxBytes }) => sum + maxBytes, 0);
    const maxBytes = fetches.length === 1 ? asked : Math.min(ANSWER_MAX_BYTES, asked);
    const maxWaitMs = Math.min(waitMs, within.leftWholeMs);
    const call = fetchCall(this.#library, fetches, { maxBytes, maxWaitMs });
    return this.#links.to(address, "fetch").call(call, within);
  }
}

function answerFor(fetch: Fetch, answers: FetchAnswers): FetchAnswer {
  return answers.get(placeName(fetch)) as FetchAnswer;
}
