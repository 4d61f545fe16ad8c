/**
 * What of the log and of the lanes' requests outlives a process: where each event was stored, how
 * much retention has removed since, and which requests the relay knows to be taken.
 */
import type { Environment } from "@waybill/relay/headless";

export class Places {
  /** By the event's id. */
  readonly #positions = new Map<string, number>();
  #removedTo = 0;
  /** By their keys. */
  readonly #answered = new Set<string>();
  readonly #onStoredAgain: (id: string) => void;

  /** `onStoredAgain`: for each event that is stored although it was before. */
  constructor(onStoredAgain: (id: string) => void) {
    this.#onStoredAgain = onStoredAgain;
  }

  /** For the life of a process, from before anything is stored. */
  follow({ log }: Environment): void {
    this.#removedTo = Math.max(this.#removedTo, log.first);
    log.onRemove((first) => {
      this.#removedTo = Math.max(this.#removedTo, first);
    });
    const append = log.append.bind(log);
    log.append = (entry) => {
      const events = JSON.parse(`[${Buffer.concat(entry.body).toString()}]`) as { readonly messageId: string }[];
      const appended = append(entry);
      const note = (first: number): void => {
        for (const [at, { messageId }] of events.entries()) {
          if (this.#positions.has(messageId)) this.#onStoredAgain(messageId);
          this.#positions.set(messageId, first + at);
        }
      };
      appended.then(note, () => undefined);
      return appended;
    };
  }

  /** Whether retention has taken the event. */
  isRemoved(id: string): boolean {
    return (this.#positions.get(id) ?? Number.POSITIVE_INFINITY) < this.#removedTo;
  }

  /** The relay got a 200 to the request with this key. */
  noteAnswer(key: string): void {
    this.#answered.add(key);
  }

  hasAnswer(key: string): boolean {
    return this.#answered.has(key);
  }
}
