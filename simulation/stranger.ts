/**
 * A client that no SDK was: sends hostile events one request after another, each until it is
 * answered for good, and knows how many of them were taken.
 */
import { type Clock, messageOf, sleep, type Transport } from "@waybill/core";
import type { SeededRandom } from "@waybill/testing";
import { type HostileBatch, hostileBatch } from "./hostile.ts";

const TIMEOUT_MS = 2_000;
const RETRY_MS = 500;

export interface StrangerOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly transport: Transport;
  readonly url: string;
  readonly key: string;
  /** A promise that was broken. */
  readonly onViolation: (what: string) => void;
}

export class Stranger {
  readonly #options: StrangerOptions;
  #made = 0;
  #requests = 0;
  #accepted = 0;
  #sending: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(options: StrangerOptions) {
    this.#options = options;
  }

  /** Events that were answered with success, and not named as refused. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Requests without their last answer. */
  get waiting(): number {
    return this.#waiting;
  }

  send(): void {
    const batch = hostileBatch(this.#options.random, this.#made);
    this.#made += batch.events;
    this.#requests += 1;
    this.#waiting += 1;
    const idempotencyKey = `hostile-${this.#requests}`;
    this.#sending = this.#sending.then(() => this.#untilAnswered(batch, idempotencyKey));
  }

  async #untilAnswered(batch: HostileBatch, idempotencyKey: string): Promise<void> {
    while (!(await this.#attempt(batch, idempotencyKey)))
      await sleep(this.#options.clock, RETRY_MS, new AbortController().signal);
    this.#waiting -= 1;
  }

  /** Whether the answer is the last one. */
  async #attempt({ body, events }: HostileBatch, idempotencyKey: string): Promise<boolean> {
    const { clock, transport, url, key, onViolation } = this.#options;
    const controller = new AbortController();
    const timer = clock.after(TIMEOUT_MS, () => controller.abort());
    try {
      const headers = { authorization: key, "idempotency-key": idempotencyKey };
      const answer = await transport({ method: "POST", url, headers, body: [body] }, controller.signal);
      if (answer.status === 200) {
        const { rejected = [] } = JSON.parse(answer.body) as { readonly rejected?: readonly unknown[] };
        this.#accepted += events - rejected.length;
        return true;
      }
      if (answer.status === 500) onViolation(`a hostile event met a defect of the intake: ${answer.body}`);
      return answer.status >= 400 && answer.status < 500 && answer.status !== 429;
    } catch (error) {
      if (error instanceof SyntaxError) onViolation(`a success that is not JSON: ${messageOf(error)}`);
      return false;
    } finally {
      timer.cancel();
    }
  }
}
