/**
 * Events sent to a relay at a steady rate over one connection, each request after the answer to the
 * one before: so the log has them in the order of their ordinals.
 */
import { type Mark, mixed } from "./marks.ts";
import { type BenchVendor, VENDOR_EVENTS } from "./vendor-events.ts";

export interface OfferingOptions {
  readonly port: number;
  readonly vendor: BenchVendor;
  readonly headers: Readonly<Record<string, string>>;
  /** Of a request with these events. */
  readonly bodyOf: (events: readonly string[]) => string;
  /** While poison is offered, one event in so many is poisonous. */
  readonly poisonEvery: number;
}

const TICK_MS = 20;
const SECOND_MS = 1_000;
/** After a stall what is due goes in requests of this size. */
const REQUEST_EVENTS_MAX = 100;
/** Users whose events may be poisonous, and those whose events never are. */
const SUSPECTS = 100;
const OTHERS = 1_900;
/** One event in so many is a good one of a suspect. */
const SUSPECT_EVERY = 20;

/** Whose the next event is, and of which kind. */
export class OfferedMarks {
  readonly #poisonEvery: number;
  /** The ordinal of the next poisonous event. */
  #nextPoison = Number.POSITIVE_INFINITY;
  events = 0;
  poison = 0;
  /** Events of users who have no poisonous one. */
  others = 0;

  constructor(poisonEvery: number) {
    this.#poisonEvery = poisonEvery;
  }

  /** From now on events are poisonous now and then, the next one at once; or no longer. */
  poisoned(isPoisoned: boolean): void {
    this.#nextPoison = isPoisoned ? this.events : Number.POSITIVE_INFINITY;
  }

  next(sentAtMs: number): Mark {
    const ordinal = this.events++;
    if (ordinal >= this.#nextPoison) {
      this.#nextPoison = ordinal + this.#poisonEvery;
      return { ordinal, sentAtMs, kind: "p", user: this.poison++ % SUSPECTS };
    }
    if (ordinal % SUSPECT_EVERY === 0)
      return { ordinal, sentAtMs, kind: "s", user: (ordinal / SUSPECT_EVERY) % SUSPECTS };
    this.others += 1;
    return { ordinal, sentAtMs, kind: "n", user: SUSPECTS + (mixed(ordinal) % OTHERS) };
  }
}

export class Offering {
  readonly #options: OfferingOptions;
  readonly #running: Promise<void>;
  #perSecond = 0;
  #sinceMs = performance.now();
  /** Events since the rate was set. */
  #sentSince = 0;
  #stopped = false;
  readonly marks: OfferedMarks;

  constructor(options: OfferingOptions) {
    this.#options = options;
    this.marks = new OfferedMarks(options.poisonEvery);
    this.#running = this.#run();
  }

  /** From now on; 0 pauses. */
  rate(perSecond: number): void {
    this.#perSecond = perSecond;
    this.#sinceMs = performance.now();
    this.#sentSince = 0;
  }

  /** **Errors**: when a request was not answered with a success. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const due = Math.floor(((performance.now() - this.#sinceMs) * this.#perSecond) / SECOND_MS) - this.#sentSince;
      if (due > 0) await this.#send(Math.min(due, REQUEST_EVENTS_MAX));
      else await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  async #send(count: number): Promise<void> {
    const { port, vendor, headers, bodyOf } = this.#options;
    const { path, event } = VENDOR_EVENTS[vendor];
    const sentAtMs = Date.now();
    const events = Array.from({ length: count }, () => event(this.marks.next(sentAtMs)));
    this.#sentSince += count;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: bodyOf(events),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`the relay answered ${response.status}: ${text}`);
  }
}
