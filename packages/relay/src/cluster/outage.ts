/**
 * Something that is tried again and again: its failures are reported once they have lasted for
 * `afterMs`, and its success after that.
 */
import { type Clock, WaybillError } from "@waybill/core";
import { BrokerError } from "@waybill/log-kafka";
import { safeError } from "../log-lines/safe-text.ts";

export interface OutageOptions {
  readonly clock: Clock;
  /** Default 0: the first failure is reported. */
  readonly afterMs?: number;
  readonly failing: (error: string) => void;
  readonly works: () => void;
}

export class Outage {
  readonly #options: OutageOptions;
  #sinceMs: number | undefined;
  #isReported = false;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  failed(error: string): void {
    const { clock, afterMs = 0, failing } = this.#options;
    this.#sinceMs ??= clock.monotonic();
    if (this.#isReported || clock.monotonic() - this.#sinceMs < afterMs) return;
    this.#isReported = true;
    failing(error);
  }

  succeeded(): void {
    this.#sinceMs = undefined;
    if (!this.#isReported) return;
    this.#isReported = false;
    this.#options.works();
  }
}

/** Of failures that come again and again: what is reported once for each kind. */
export function kindOf(error: unknown): string {
  return error instanceof WaybillError || error instanceof BrokerError ? error.code : safeError(error);
}
