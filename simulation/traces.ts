/** What the relay says of each event, held to what the vendors know of it. */
import { type SimRelay, SKIPPED_EVENT, VENDORS } from "./sim-relay.ts";
import type { SimVendor } from "./vendors.ts";

/** What may be counted twice around a restart. */
const GIVE_UP_SLACK_MS = 1_000;

/** What says it. */
export type Traced = Pick<SimRelay, "listedDead" | "outcomes" | "countPending" | "pending">;

export class Traces {
  readonly #vendors: readonly SimVendor[];
  readonly #onViolation: (what: string) => void;
  /** Events whose outcome was compared with what the vendor knows, and those that were wrong. */
  checked = 0;
  mismatches = 0;
  /** Whether an outcome may not have been written down. */
  diskHasFailed = false;
  /** The shortest time after which anything may have been given up. */
  giveUpMs = Number.POSITIVE_INFINITY;
  /** Dead letters by vendor that were looked at. */
  readonly #judged = VENDORS.map(() => new Set<string>());

  constructor(vendors: readonly SimVendor[], onViolation: (what: string) => void) {
    this.#vendors = vendors;
    this.#onViolation = onViolation;
  }

  /** What the relay says of each event that it has is what the vendor knows of it. */
  async check(relay: Traced | undefined, index: number, when: string): Promise<void> {
    const vendor = this.#vendors[index];
    if (relay === undefined || vendor === undefined) return;
    const received = new Set(vendor.ids());
    const dead = await relay.listedDead(index);
    for (const { id, event, outcome, reason } of await relay.outcomes(index)) {
      this.checked += 1;
      const isOpen = outcome === "pending" && !received.has(id) && !dead.has(id) && !mayBeLeftOut(index, event);
      if (isOpen && vendor.hasOvertaken(id, event))
        this.#onViolation(`${when}: emulator ${index}: ${id} waits, a later one of its user does not`);
      const isTrue =
        outcome === "delivered"
          ? received.has(id) || (dead.has(id) && vendor.replayed?.has(id) === true)
          : outcome === "rejected"
            ? dead.has(id)
            : outcome === "dropped"
              ? isLeftOut(index, reason, event["event"])
              : outcome === "expired" ||
                (outcome === "pending" && when !== "end") ||
                (outcome === "unknown" && this.diskHasFailed);
      if (isTrue) continue;
      this.mismatches += 1;
      this.#onViolation(`${when}: emulator ${index}: the trace of ${id} says ${outcome} ${reason ?? ""}`);
    }
    const counted = await relay.countPending(index);
    const pending = relay.pending(index);
    if (pending !== counted)
      this.#onViolation(`${when}: emulator ${index}: ${pending} events are pending, ${counted} by their traces`);
    this.#judgePoison(index, when, dead);
  }

  /** Only what a vendor refused for ever, while it took others, has been given up. */
  #judgePoison(index: number, when: string, dead: ReadonlyMap<string, string>): void {
    const judged = this.#judged[index] as Set<string>;
    for (const [id, reason] of dead) {
      if (judged.has(id) || !reason.startsWith("poison")) continue;
      judged.add(id);
      const vendor = this.#vendors[index] as SimVendor;
      if (!vendor.hasRefused(id)) this.#onViolation(`${when}: emulator ${index}: ${id} was given up: ${reason}`);
      else if (vendor.refusedMs(id) < this.giveUpMs - GIVE_UP_SLACK_MS)
        this.#onViolation(
          `${when}: emulator ${index}: ${id} was given up after ${vendor.refusedMs(id)} ms while others passed`,
        );
    }
  }
}

/** Only what is not addressed to the third destination, or has no meaning there. */
function isLeftOut(index: number, reason: string | undefined, event: unknown): boolean {
  if (VENDORS[index] !== "letter") return false;
  return reason === "unsupported" || (reason === "filtered" && event === SKIPPED_EVENT) || event !== "E";
}

/** What was left out once is pending again when the cursor is lost, and those after it are not. */
function mayBeLeftOut(index: number, { event, userId }: Readonly<Record<string, unknown>>): boolean {
  return VENDORS[index] === "letter" && (event !== "E" || typeof userId !== "string");
}
