import { type LaneEntry, laneNameOf, type RelayEntry } from "./relay-directory.ts";

/** Which relays have not confirmed yet that they carried out everything before an offset. */
export function unconfirmed(
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
