/** Which lanes operators have paused, kept over restarts: an empty file for each, with its name. */
import type { Disk } from "@waybill/core";

export class KeptPauses {
  readonly #disk: Disk;
  readonly #directory: string;
  #changing: Promise<void> = Promise.resolve();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  async has(destination: string): Promise<boolean> {
    return (await this.#disk.list(this.#directory)).includes(destination);
  }

  /**
   * Durable when it resolves. **Errors**: `WAYBILL_DISK`; then it may hold after a restart, or not.
   */
  keep(destination: string, isPaused: boolean): Promise<void> {
    const kept = this.#changing.then(() => this.#keep(destination, isPaused));
    this.#changing = kept.catch(() => undefined);
    return kept;
  }

  async #keep(destination: string, isPaused: boolean): Promise<void> {
    const path = `${this.#directory}/${destination}`;
    const has = await this.has(destination);
    if (isPaused && !has) await (await this.#disk.open(path, { create: true })).close();
    if (!isPaused && has) await this.#disk.remove(path);
    // Also where the name was there: the sync before may have failed.
    await this.#disk.syncDirectory(this.#directory);
  }
}
