import type { Fates } from "./fates.ts";
import { fitsSlot, type LaneState } from "./lane-state.ts";
import { isRoomy, type LaneStateValue, shortened } from "./lane-value.ts";

export interface StateWriterOptions {
  readonly state: LaneState<LaneStateValue>;
  readonly fates?: Fates;
  /** Called when the state could not be written; the next one may be. */
  readonly onStateError?: (error: unknown) => void;
}

/**
 * Writes the state of a lane as it is at the time, after the fates that it speaks of. Any number of
 * calls at once share two writes: the one under way, and one after it.
 */
export class StateWriter {
  readonly #options: StateWriterOptions;
  readonly #value: () => LaneStateValue;
  #writing: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** Why the last write failed; `undefined` when it did not. */
  error: Error | undefined;
  #written: LaneStateValue;
  /** What a power cut leaves at least. */
  synced: LaneStateValue;

  constructor(options: StateWriterOptions, value: () => LaneStateValue) {
    this.#options = options;
    this.#value = value;
    this.#written = options.state.initial;
    this.synced = options.state.initial;
  }

  /** Makes durable what was written. **Errors**: `WAYBILL_DISK`. */
  async sync(): Promise<void> {
    const written = this.#written;
    await this.#options.state.sync();
    this.synced = written;
  }

  /** Never rejects. */
  write(): Promise<void> {
    if (this.#writing === undefined) {
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
      });
      return this.#writing;
    }
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined;
      return this.write();
    });
    return this.#next;
  }

  async #write(): Promise<void> {
    const { fates, state, onStateError } = this.#options;
    let failed: Error | undefined;
    const note = (error: unknown): void => {
      failed = error as Error;
      onStateError?.(error);
    };
    try {
      while (fates?.isLong === true) await fates.flush();
    } catch (error) {
      note(error);
    }
    try {
      const value = await this.#fitting();
      await state.write(value);
      this.#written = value;
    } catch (error) {
      note(error);
    }
    this.error = failed;
  }

  /** A lane with many strands and many parked users has little room for the rest. */
  async #fitting(): Promise<LaneStateValue> {
    const value = this.#value();
    if (isRoomy(value) || fitsSlot(value)) return value;
    await this.#options.fates?.flush({ whole: true });
    const withoutRuns = this.#value();
    return fitsSlot(withoutRuns) ? withoutRuns : shortened(withoutRuns);
  }
}
