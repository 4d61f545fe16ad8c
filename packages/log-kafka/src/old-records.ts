/**
 * What retention may remove of a partition, from its first record on. Below the hard limit the
 * window of duplicates stays that is before what some lane still needs: without it one relay would
 * know a copy and another one not (see duplicates.ts).
 *
 * Of what this relay has read, places are in memory. What was written before is read from the first
 * record on, whose place is known from the relay that removed what was before it: as much is read
 * as is removed, a bounded part at a time. Where nobody knows that place (Kafka removed records by
 * itself), it is counted once, in the background, by reading from there to what is known.
 */
import type { Position, RetentionLimits } from "@waybill/log";
import type { Offset } from "./broker.ts";
import { BEGINNING, type Checkpoint, Count } from "./counting.ts";
import { CLOCKS_DIFFER_MS, type DuplicateRule } from "./duplicates.ts";
import type { Kept } from "./kept.ts";
import type { Source } from "./source.ts";

/** Read for one answer of {@link OldRecords.end}, beside one fetch more. */
const READ_MAX_BYTES = 32 * 1024 * 1024;
const FETCH_BYTES = 1024 * 1024;

export interface OldRecordsOptions {
  readonly source: Source;
  readonly kept: Kept;
  readonly duplicates: DuplicateRule | undefined;
  readonly head: () => Checkpoint;
  /** The position up to which what is in memory may go. */
  readonly retainedFrom: (wanted: Wanted) => Position;
}

export interface Wanted {
  readonly limits: RetentionLimits;
  readonly nowMs: number;
  /** The oldest position that a lane still needs. */
  readonly neededFrom: Position;
}

/** What duplicates are known by: what is older, or before that position, is not needed for them. */
interface Window {
  readonly from: Position;
  readonly atMs: number;
}

/** The first record that is kept. */
interface Oldest {
  readonly offset: Offset;
  readonly appendedAtMs: number;
  /** The position after its last event. */
  readonly end: Position;
}

export class OldRecords {
  readonly #options: OldRecordsOptions;
  #first: Checkpoint | undefined;
  /** Saves fetches as long as it may not go. */
  #oldest: Oldest | undefined;
  #isCounting = false;

  constructor(options: OldRecordsOptions) {
    this.#options = options;
  }

  /** Place of the first record that the broker keeps; `undefined` as long as nobody knows it. */
  get first(): Checkpoint | undefined {
    const { kept } = this.#options;
    if (kept.firstOffset === 0) return BEGINNING;
    if (kept.isComplete) return placeOf(kept.from);
    return this.#first?.offset === kept.firstOffset ? this.#first : undefined;
  }

  /** The place of the first record, as it was when somebody wrote it down. */
  learn(first: Checkpoint | undefined): void {
    this.#first = first;
  }

  /**
   * Before which place records may be removed now; `undefined`: nothing may, or it is not known
   * yet. **Errors**: those of a reader.
   */
  async end(wanted: Wanted): Promise<Checkpoint | undefined> {
    const { kept } = this.#options;
    const { first } = this;
    if (first === undefined) {
      this.#count();
      return undefined;
    }
    if (this.#oldest?.offset === first.offset && !this.#mayGo(first, this.#oldest, wanted)) return undefined;
    const window = await this.#windowOf(wanted);
    const place = kept.isComplete ? this.#known(wanted, window) : await this.#read(first, wanted, window);
    return place.offset > first.offset ? placeOf(place) : undefined;
  }

  /** Of the oldest event that a lane still needs, or of the next one that comes. */
  async #windowOf({ neededFrom, nowMs }: Wanted): Promise<Window> {
    const { kept, head, duplicates } = this.#options;
    if (duplicates === undefined) return { from: neededFrom, atMs: nowMs };
    const atMs = neededFrom < head().position ? await kept.timeAt(kept.placeFor(neededFrom).offset) : nowMs;
    return { from: neededFrom - duplicates.maxIds, atMs: atMs - duplicates.windowMs - CLOCKS_DIFFER_MS };
  }

  #known(wanted: Wanted, { from, atMs }: Window): Checkpoint {
    const { kept, retainedFrom } = this.#options;
    const begin = kept.parts.findLast((part) => part.atMs <= atMs)?.position ?? kept.from.position;
    return kept.placeFor(retainedFrom({ ...wanted, neededFrom: Math.min(wanted.neededFrom, Math.max(from, begin)) }));
  }

  #mayGo(at: Checkpoint, { appendedAtMs, end }: Oldest, wanted: Wanted, window?: Window): boolean {
    const { limits, nowMs, neededFrom } = wanted;
    const keptBytes = this.#options.head().byte - at.byte;
    if (keptBytes > limits.hardMaxBytes) return true;
    const isOld = nowMs - appendedAtMs > limits.maxAgeMs || keptBytes > limits.maxBytes;
    const isInWindow = window !== undefined && end > window.from && appendedAtMs >= window.atMs;
    return isOld && end <= neededFrom && !isInWindow;
  }

  /** **Errors**: `WAYBILL_LOG_UNAVAILABLE`, `WAYBILL_CLOSED`. */
  async removeBefore(place: Checkpoint): Promise<void> {
    const { source, kept } = this.#options;
    const first = await source.retrying("removing", () => source.removeBefore(place.offset));
    if (first === place.offset) this.#first = place;
    await kept.removed(first);
  }

  /** As far as records may go, and at most up to what is in memory. */
  async #read(first: Checkpoint, wanted: Wanted, window: Window): Promise<Checkpoint> {
    const { source, kept } = this.#options;
    const count = new Count("counted", first);
    while (count.place.offset < kept.from.offset && count.place.byte - first.byte < READ_MAX_BYTES) {
      const { offset } = count.place;
      const { records } = await source.retrying("looking for what is old", () => source.fetch(offset, FETCH_BYTES));
      if (records.length === 0) break;
      for (const one of records) {
        const before = count.place;
        if (one.offset >= kept.from.offset) return placeOf(kept.from);
        count.take(one);
        const oldest = { offset: before.offset, appendedAtMs: one.appendedAtMs, end: count.place.position };
        if (this.#mayGo(before, oldest, wanted, window)) continue;
        this.#oldest = oldest;
        return before;
      }
    }
    return count.place;
  }

  #count(): void {
    if (this.#isCounting) return;
    this.#isCounting = true;
    void this.#options.kept
      .countFirst()
      .then((first) => (this.#first = placeOf(first)))
      // The next call tries again.
      .catch(() => undefined)
      .finally(() => (this.#isCounting = false));
  }
}

function placeOf({ offset, position, byte }: Checkpoint): Checkpoint {
  return { offset, position, byte };
}
