import type { OpenPartition } from "./partitions.ts";
import type { LaneEntry } from "./relay-directory.ts";
import { LANES_MAX } from "./relay-directory.ts";

const REASON_MAX_CHARACTERS = 300;

/** What the relay tells of its lanes of an environment. */
export function laneEntriesOf(
  environment: string,
  partitions: readonly OpenPartition[],
  nowMs: number,
): readonly LaneEntry[] {
  return partitions.flatMap(({ partition, log, environment: shard }) =>
    [...shard.destinations()].map((destination): LaneEntry => {
      const { mode, reason } = destination.lane();
      const { events, oldestAtMs } = destination.pending();
      const position = destination.neededFrom;
      return {
        environment,
        destination: destination.config.name,
        partition,
        mode,
        ...(reason === undefined ? {} : { reason: reason.slice(0, REASON_MAX_CHARACTERS) }),
        position,
        offset: log.placeBefore(position).offset,
        pendingEvents: events,
        ...(oldestAtMs === undefined ? {} : { oldestPendingMs: Math.max(0, nowMs - oldestAtMs) }),
        inFlight: destination.delivery().inFlight,
      };
    }),
  );
}

/** As many as a record may have: those that do not send first, then those with most to send. */
export function boundedLanes(lanes: readonly LaneEntry[]): {
  readonly lanes: readonly LaneEntry[];
  readonly lanesLeftOut: number;
} {
  if (lanes.length <= LANES_MAX) return { lanes, lanesLeftOut: 0 };
  const isSending = ({ mode }: LaneEntry): number => (mode === "idle" || mode === "sending" ? 1 : 0);
  const sorted = lanes.toSorted(
    (one, other) => isSending(one) - isSending(other) || other.pendingEvents - one.pendingEvents,
  );
  return { lanes: sorted.slice(0, LANES_MAX), lanesLeftOut: lanes.length - LANES_MAX };
}

/** Of what a relay tells of its faults. */
const TEXTS_MAX = 20;
const TEXT_MAX_CHARACTERS = 500;

export function boundedTexts(texts: readonly string[]): string[] {
  return texts.slice(0, TEXTS_MAX).map((text) => text.slice(0, TEXT_MAX_CHARACTERS));
}
