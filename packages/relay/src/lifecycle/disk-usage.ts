import type { Clock } from "@waybill/core";
import { diskUsageOf } from "@waybill/node";

/** Every file is looked at. */
const EVERY_MS = 60_000;

/** What the environments' directories take on the disk, as it was when they were looked at. */
export class DiskUsage {
  readonly #clock: Clock;
  #last: ReadonlyMap<string, number> = new Map();
  #lookAtMs = Number.NEGATIVE_INFINITY;
  #looking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Bytes; `undefined` while it is not known. */
  of(directory: string): number | undefined {
    return this.#last.get(directory);
  }

  /** At most once a minute. The answer is in {@link of} when it has come. Never throws. */
  look(directories: Iterable<string>): void {
    if (this.#looking || this.#clock.monotonic() < this.#lookAtMs) return;
    this.#looking = true;
    void this.#measure([...directories]);
  }

  async #measure(directories: readonly string[]): Promise<void> {
    const bytes = new Map<string, number>();
    for (const directory of directories) bytes.set(directory, await diskUsageOf(directory));
    this.#last = bytes;
    this.#lookAtMs = this.#clock.monotonic() + EVERY_MS;
    this.#looking = false;
  }
}
