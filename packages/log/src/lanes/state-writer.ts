import { WaybillError } from "@waybill/core";
import type { DurableState } from "./durable-state.ts";
import type { Fates } from "./fates.ts";
import { type LaneStateValue, shortened } from "./lane-value.ts";
import { isOvertaken } from "./overtaken.ts";

export interface StateWriterOptions {
  readonly state: DurableState<LaneStateValue>;
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
  #hasWritten = false;
  #written: LaneStateValue;
  /** What a power cut leaves at least. */
  synced: LaneStateValue;

  constructor(options: StateWriterOptions, value: () => LaneStateValue) {
    this.#options = options;
    this.#value = value;
    this.#written = options.state.initial;
    this.synced = options.state.initial;
  }

  /** Whether another process may take the lane over. */
  get isShared(): boolean {
    return this.#options.state.isOurs !== undefined;
  }

  /** Whether the lane is ours, as far as that is known without a write. */
  get isOurs(): boolean {
    return this.#options.state.isOurs?.() !== false;
  }

  /** Whether what was stored may be relied on: another process may have taken the lane since. */
  get isConfirmed(): boolean {
    return !this.isShared || this.#hasWritten;
  }

  /** **Errors**: `WAYBILL_CLOSED`. */
  assertOurs(): void {
    if (!this.isOurs) throw lost();
  }

  /** Writes the state, which shows whose the lane is. **Errors**: why it was not written. */
  async confirm(): Promise<void> {
    await this.write();
    if (this.error !== undefined) throw this.error;
    this.assertOurs();
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
    if (!this.isOurs) {
      this.error = lost();
      return;
    }
    let failed: Error | undefined;
    const note = (error: unknown): void => {
      failed = error as Error;
      // Of a lane that is lost nothing is to be repaired here.
      if (this.isOurs) onStateError?.(error);
    };
    try {
      // Only who has the lane writes its logs.
      if (this.isShared && fates?.isLong === true) await state.write(this.#written);
      while (fates?.isLong === true && this.isOurs) await this.#flush(fates);
    } catch (error) {
      note(error);
    }
    // No turn between the loop's last look and the value: what is settled there may make the tail
    // too long for the state, and no block would have it.
    try {
      const value = await this.#fitting();
      await state.write(value);
      this.#written = value;
      this.#hasWritten = true;
    } catch (error) {
      note(error);
    }
    this.error = failed;
  }

  /**
   * Where others have written meanwhile it is shown again whose the lane is.
   * **Errors**: those of `Fates.flush` and of a write.
   */
  async #flush(fates: Fates, options: { readonly whole?: boolean } = {}): Promise<void> {
    try {
      await fates.flush(options);
    } catch (error) {
      if (!isOvertaken(error)) throw error;
      if (this.isShared) await this.#options.state.write(this.#written);
      await this.#flush(fates, options);
    }
  }

  /** A lane with many strands and many parked users has little room for the rest. */
  async #fitting(): Promise<LaneStateValue> {
    const { state, fates } = this.#options;
    const value = this.#value();
    if (state.fits(value)) return value;
    if (this.isShared) await state.write(this.#written);
    if (fates !== undefined) await this.#flush(fates, { whole: true });
    // What has got its outcome meanwhile.
    while (fates?.isLong === true && this.isOurs) await this.#flush(fates);
    const withoutRuns = this.#value();
    return state.fits(withoutRuns) ? withoutRuns : shortened(withoutRuns);
  }
}

function lost(): WaybillError {
  return new WaybillError("WAYBILL_CLOSED", "the lane is another process's now", { reason: "fenced" });
}
