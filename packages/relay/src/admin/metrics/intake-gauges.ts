/** Gauges of the relay as a whole, read at the time of a scrape. */
import { Gauge, type Registry } from "prom-client";

export interface IntakeView {
  heldBytes(): number;
  /** Of those that are held for requests without a known key. */
  keylessHeldBytes(): number;
  /** Bodies that wait to be decompressed or scanned. */
  waitingBodies(): number;
  /** Bytes of the log that the lanes hold in memory, of all environments. */
  readAheadBytes(): number;
  /** The longest time that the event loop was blocked since the last call. */
  takeBlockedMaxMs(): number;
}

const MS_PER_SECOND = 1_000;

export function registerIntakeGauges(registry: Registry, view: IntakeView): void {
  const gauges: readonly (readonly [name: string, help: string, read: () => number])[] = [
    ["waybill_intake_held_bytes", "Bytes of request bodies in memory.", () => view.heldBytes()],
    [
      "waybill_intake_keyless_held_bytes",
      "Bytes of request bodies in memory whose requests have no key in their head.",
      () => view.keylessHeldBytes(),
    ],
    [
      "waybill_intake_waiting_bodies",
      "Request bodies that are complete and wait to be decompressed or scanned.",
      () => view.waitingBodies(),
    ],
    [
      "waybill_read_ahead_bytes",
      "Bytes of the log in memory, read ahead for the lanes or on their way.",
      () => view.readAheadBytes(),
    ],
    [
      "waybill_event_loop_blocked_max_seconds",
      "The longest time that the event loop was blocked since the last scrape.",
      () => view.takeBlockedMaxMs() / MS_PER_SECOND,
    ],
  ];
  for (const [name, help, read] of gauges)
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
}
