/**
 * What of the log and of the lanes' requests outlives a process: where each event was stored, what
 * retention and damage have taken since, and which requests the relay knows to be taken.
 */
import { walkLog } from "@waybill/log";
import type { Environment } from "@waybill/relay/headless";
import { SimDisk } from "@waybill/testing";

/** For a segment that is looked at on a disk of its own. */
const DIRECTORY = "/log";
const SEGMENT = `${"0".repeat(20)}.log`;

export type KnownPlaces = Pick<Places, "isForgotten" | "isGone" | "hasAnswer">;

export class Places {
  /** By the event's id. */
  readonly #positions = new Map<string, number>();
  #removedTo = 0;
  readonly #damaged = new Set<string>();
  readonly #storedAgain = new Set<string>();
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
      const events = eventsOf(entry.body);
      const appended = append(entry);
      const note = (first: number): void => {
        for (const [at, { messageId }] of events.entries()) {
          if (this.#positions.has(messageId)) {
            this.#storedAgain.add(messageId);
            this.#onStoredAgain(messageId);
          }
          this.#positions.set(messageId, first + at);
        }
      };
      appended.then(note, () => undefined);
      return appended;
    };
  }

  /** A damaged disk has taken these events. */
  noteDamaged(ids: Iterable<string>): void {
    for (const id of ids) this.#damaged.add(id);
  }

  /** Whether the event came again, and its id was not known: it was in a damaged record. */
  isForgotten(id: string): boolean {
    return this.#damaged.has(id) && this.#storedAgain.has(id);
  }

  /** Whether retention or damage has taken the event. */
  isGone(id: string): boolean {
    return this.#damaged.has(id) || (this.#positions.get(id) ?? Number.POSITIVE_INFINITY) < this.#removedTo;
  }

  /** The relay got a 200 to the request with this key. */
  noteAnswer(key: string): void {
    this.#answered.add(key);
  }

  hasAnswer(key: string): boolean {
    return this.#answered.has(key);
  }
}

/** Of the events that can be read of a segment. */
export async function idsInSegment(bytes: Uint8Array): Promise<readonly string[]> {
  const disk = new SimDisk();
  await disk.makeDirectory(DIRECTORY);
  const file = await disk.open(`${DIRECTORY}/${SEGMENT}`, { create: true });
  await file.write([bytes], 0);
  await file.close();
  const ids: string[] = [];
  for await (const found of walkLog(DIRECTORY, disk))
    if (found.kind === "record") ids.push(...eventsOf([found.record.body]).map(({ messageId }) => messageId));
  return ids;
}

function eventsOf(body: readonly Uint8Array[]): readonly { readonly messageId: string }[] {
  return JSON.parse(`[${Buffer.concat(body).toString()}]`) as { readonly messageId: string }[];
}
