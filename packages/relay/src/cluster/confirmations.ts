import type { Clock } from "@waybill/core";
import { type LaneEntry, laneNameOf, type RelayEntry } from "./relay-directory.ts";

/** Who has not confirmed in time that it carried a request out: all will, once they read it. */
export interface Confirmation {
  readonly unconfirmed: readonly string[];
}

export interface ConfirmationOptions {
  readonly clock: Clock;
  /** All before it is to be carried out. */
  readonly offset: number;
  /** To where this relay has come. */
  readonly ownOffset: () => number;
  readonly concerns: (lane: LaneEntry) => boolean;
  readonly relays: () => readonly RelayEntry[];
  /** Resolves once all relays are known that were when it was called. */
  readonly caughtUp: (withinMs: number) => Promise<void>;
}

/** How long the other relays are waited for, ms. */
const CONFIRM_MS = 5_000;
const LOOK_EVERY_MS = 50;

/** Waits for all relays. Resolves to the names of those that did not confirm in time. */
export async function confirmed(options: ConfirmationOptions): Promise<readonly string[]> {
  const { clock, offset, ownOffset, concerns, relays, caughtUp } = options;
  const untilMs = clock.monotonic() + CONFIRM_MS;
  let isKnown = false;
  void caughtUp(CONFIRM_MS).then(
    () => (isKnown = true),
    () => undefined,
  );
  for (;;) {
    const others = unconfirmed(relays(), offset, concerns).filter(({ isSelf }) => !isSelf);
    const isOwn = ownOffset() >= offset;
    if (isKnown && isOwn && others.length === 0) return [];
    if (clock.monotonic() >= untilMs)
      return [
        ...(isOwn ? [] : ["this relay"]),
        ...others.map(({ name, seenMs }) => `${name} (seen ${Math.round(seenMs / 1_000)} s ago)`),
        ...(isKnown ? [] : ["others, which could not be looked up"]),
      ];
    await new Promise<void>((resume) => clock.after(LOOK_EVERY_MS, resume));
  }
}

/** Which relays have not confirmed yet that they carried out everything before an offset. */
function unconfirmed(
  relays: readonly RelayEntry[],
  offset: number,
  concerns: (lane: LaneEntry) => boolean,
): readonly RelayEntry[] {
  const taken = new Set(relays.filter(({ isMissing }) => !isMissing).flatMap(({ lanes }) => lanes.map(laneNameOf)));
  return relays.filter(
    ({ appliedOffset, isMissing, lanes }) =>
      appliedOffset < offset &&
      // Who is missing may be alive and send what it had, until another relay has its lanes.
      (!isMissing || lanes.some((lane) => concerns(lane) && !taken.has(laneNameOf(lane)))),
  );
}
