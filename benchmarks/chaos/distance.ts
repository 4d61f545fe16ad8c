/** A vendor some way off, with what is on its way to it and back. */
import type { EmulatorEvent, ServerHandler } from "@waybill/testing";

/** How long after an answer it may not be written down that it came. */
const NOTED_WITHIN_MS = 100;

interface OnItsWay {
  readonly events: number;
  answeredAt: number;
}

export class Distance {
  readonly #halfMs: number;
  readonly #requests = new Set<OnItsWay>();
  /** Requests that were on their way at the moments of {@link cut}, at most and in all. */
  mostAtOnce = 0;
  #atCuts = 0;
  #cuts = 0;
  #isDead = false;
  /** Events that may come twice: on their way at a cut, or in a request without a good answer. */
  againAtMost = 0;

  constructor(roundTripMs: number) {
    this.#halfMs = roundTripMs / 2;
  }

  /** Puts the way between a relay and `handle`. */
  before(handle: ServerHandler): ServerHandler {
    return async (request) => {
      const one: OnItsWay = { events: eventsIn(request.body), answeredAt: Number.POSITIVE_INFINITY };
      this.#requests.add(one);
      // Of the dead one, and still on the wire then.
      if (this.#isDead) this.againAtMost += one.events;
      await wait(this.#halfMs);
      const answer = await handle(request);
      await wait(this.#halfMs);
      if (answer.status !== 200 || answer.fault !== undefined) this.againAtMost += one.events;
      one.answeredAt = performance.now();
      setTimeout(() => this.#requests.delete(one), NOTED_WITHIN_MS);
      return answer;
    };
  }

  /** The next relay is about to run. */
  restarted(): void {
    this.#isDead = false;
  }

  /** The relay dies at this moment. */
  cut(): void {
    this.#isDead = true;
    const open = [...this.#requests].filter(({ answeredAt }) => answeredAt === Number.POSITIVE_INFINITY).length;
    this.mostAtOnce = Math.max(this.mostAtOnce, open);
    this.#atCuts += open;
    this.#cuts += 1;
    for (const { events } of this.#requests) this.againAtMost += events;
  }

  get meanAtCuts(): number {
    return Math.round((10 * this.#atCuts) / Math.max(1, this.#cuts)) / 10;
  }
}

const MESSAGE_ID = /"messageId":/g;

function eventsIn(body: Uint8Array): number {
  return Buffer.from(body).toString("latin1").match(MESSAGE_ID)?.length ?? 0;
}

/** Events that the vendor took after a later one of their user, of those that carry a number. */
export function countOvertaken(events: readonly EmulatorEvent[]): number {
  const latest = new Map<string, number>();
  let overtaken = 0;
  for (const { event } of events) {
    const user = String(event["userId"]);
    const { n } = (event["properties"] ?? {}) as { readonly n?: number };
    if (n === undefined) continue;
    if (n < (latest.get(user) ?? 0)) overtaken += 1;
    latest.set(user, Math.max(n, latest.get(user) ?? 0));
  }
  return overtaken;
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
