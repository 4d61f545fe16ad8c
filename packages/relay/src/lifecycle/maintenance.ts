import type { Clock, Timer } from "@waybill/core";
import type { OperatorLog } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import type { Plan } from "../plan.ts";

/** A power cut sends again what was delivered since the last sync of the cursors. */
const SYNC_INTERVAL_MS = 1_000;
const RETAIN_INTERVAL_MS = 10_000;

export interface MaintenanceOptions {
  readonly plan: Plan;
  readonly clock: Clock;
  readonly log: Pick<OperatorLog, "write">;
}

/**
 * Every second it writes the cursors to disk, every ten seconds it gives space back. Passes never
 * overlap.
 */
export class Maintenance {
  readonly #options: MaintenanceOptions;
  #pass: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #retainAtMs = 0;
  #isStopped = false;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, log } = this.#options;
    this.#timer = clock.after(SYNC_INTERVAL_MS, () => {
      this.#pass = this.#runOnce()
        .catch((error: unknown) => log.write("maintenance_failed", { error: safeError(error) }))
        .finally(() => {
          if (!this.#isStopped) this.start();
        });
    });
  }

  /** No pass begins from now on. Resolves when the one that is running has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#pass;
  }

  async #runOnce(): Promise<void> {
    const { plan, clock, log } = this.#options;
    const isRetaining = clock.monotonic() >= this.#retainAtMs;
    if (isRetaining) this.#retainAtMs = clock.monotonic() + RETAIN_INTERVAL_MS;
    for (const environment of plan.opened.values()) {
      if (!isRetaining) {
        await environment.sync();
        continue;
      }
      const removed = await environment.retain(plan.config.retention, clock.now());
      if (removed > 0) log.write("segments_removed", { environment: environment.name, segments: removed });
    }
  }
}
