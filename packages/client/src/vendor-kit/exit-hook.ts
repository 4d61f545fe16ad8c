/** What a vendor's client does at the end of the process, and which signals it may act on. */
import { WaybillError } from "@waybill/core";

/** Signals that request a process to end and can be caught. */
export type ExitSignal = "SIGHUP" | "SIGINT" | "SIGTERM";

export const EXIT_SIGNALS: readonly ExitSignal[] = ["SIGHUP", "SIGINT", "SIGTERM"];

export interface ExitHook {
  /** Sends what waits; may be called again. Never rejects. */
  readonly close: () => Promise<unknown>;
  /** After a signal `close` is waited for so long at most. */
  readonly deadlineMs: number;
  /**
   * The process ends now, nothing can be sent any more: reports how many events are left.
   * Synchronous; never throws.
   */
  readonly lost: (reason: string) => void;
  /**
   * On which signals it closes, whoever else listens to them. `undefined`: SIGINT and SIGTERM,
   * while nobody else listens.
   */
  readonly signals: readonly ExitSignal[] | undefined;
}

/**
 * What {@link ExitHook.lost} reports. An event on its way may have arrived; nobody hears of the
 * answer.
 */
export function lostMessage(events: number, reason: string): string {
  return `${events} ${events === 1 ? "event was" : "events were"} not sent or not answered: ${reason}`;
}

/** **Errors**: `WAYBILL_OPTIONS` names what is not an {@link ExitSignal}. */
export function assertExitSignals(owner: string, signals: readonly string[] = []): void {
  const wrong = signals.filter((signal) => !EXIT_SIGNALS.some((known) => known === signal));
  if (wrong.length === 0) return;
  const names = EXIT_SIGNALS.map((signal) => `"${signal}"`).join(", ");
  throw new WaybillError(
    "WAYBILL_OPTIONS",
    `${owner}: option "exitSignals" has ${wrong.join(", ")}; it may have ${names}`,
  );
}
