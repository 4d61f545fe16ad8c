/**
 * Writes what this relay tells of itself: every two seconds, and at once when it has changed. One
 * record is on its way at a time. What fails is written with the next: delivery does not wait.
 */
import { type Clock, messageOf, type Timer } from "@waybill/core";
import type { KeyedTopic } from "@waybill/log-kafka";

export interface RelayAnnouncerOptions {
  readonly clock: Clock;
  readonly topic: Pick<KeyedTopic, "write">;
  readonly id: string;
  readonly record: () => object;
  /** Writing has begun to fail, or works again (`undefined`). */
  readonly onWriting: (error: string | undefined) => void;
}

const EVERY_MS = 2_000;
/** Lanes come and go together. */
const SOON_MS = 20;

export class RelayAnnouncer {
  readonly #options: RelayAnnouncerOptions;
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #isChanged = false;
  #isStopped = false;
  /** Its last record is in the topic. */
  #isKnown = false;
  #failure: unknown;
  #error: string | undefined;

  constructor(options: RelayAnnouncerOptions) {
    this.#options = options;
  }

  /** Resolves once the first record was tried. Never rejects. */
  start(): Promise<void> {
    return this.#write();
  }

  /** Resolves once others can know of it, as of its last record. **Errors**: why they cannot. */
  async known(): Promise<void> {
    if (this.#isKnown || this.#isStopped) return;
    await (this.#writing ?? this.#write());
    if (!this.#isKnown) throw this.#failure;
  }

  /** Something of the record is another one. */
  changed(): void {
    if (this.#writing !== undefined) this.#isChanged = true;
    else this.#after(SOON_MS);
  }

  /** It is known at once that the relay has gone. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#writing;
    const { topic, id } = this.#options;
    await topic.write(id, "").catch(() => undefined);
  }

  #after(ms: number): void {
    if (this.#isStopped) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(ms, () => void this.#write());
  }

  async #write(): Promise<void> {
    this.#isChanged = false;
    this.#writing = this.#tryToWrite();
    await this.#writing;
    this.#writing = undefined;
    this.#after(this.#isChanged ? SOON_MS : EVERY_MS);
  }

  async #tryToWrite(): Promise<void> {
    const { topic, id, record, onWriting } = this.#options;
    let error: string | undefined;
    try {
      await topic.write(id, JSON.stringify(record()));
      this.#isKnown = true;
    } catch (failure) {
      error = messageOf(failure);
      this.#failure = failure;
      this.#isKnown = false;
    }
    if (!this.#isStopped && (error === undefined) !== (this.#error === undefined)) onWriting(error);
    this.#error = error;
  }
}
