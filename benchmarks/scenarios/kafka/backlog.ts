/** What a relay does that starts with events waiting in its partitions. */
import { round } from "../../lib/statistics.ts";
import { RelayGroup, type RelayGroupOptions } from "./relay-group.ts";

export interface BacklogResult {
  readonly events: number;
  readonly partitions: number;
  /** From the start of the process until it has all lanes. */
  readonly startSeconds: number;
  /** From there until the destination, which answers at once, has all events. */
  readonly deliverySeconds: number;
  /** Calls of brokers with states of lanes, meanwhile. */
  readonly commitsPerSecond: number;
  /** Lanes in one of them. */
  readonly statesPerCommit: number;
  readonly charactersPerState: number;
  readonly lost: number;
  readonly rssMb: number;
}

const EVENTS_PER_REQUEST = 100;
const DELIVERED_MAX_MS = 600_000;
const MS_PER_SECOND = 1_000;

/** The relay restarts with its own directory, after a stop on a signal. */
export async function measureBacklog(
  options: Omit<RelayGroupOptions, "relays">,
  events: number,
): Promise<BacklogResult> {
  const group = await RelayGroup.start({ ...options, relays: 1, recordsCommits: true });
  await group.steer("pause");
  const loaded = await group.load(EVENTS_PER_REQUEST, Math.ceil(events / EVENTS_PER_REQUEST));
  if (loaded.refused > 0) throw new Error(`${loaded.refused} requests were refused`);
  const startMs = await group.restart();
  const before = group.commits();
  const resumedAtMs = performance.timeOrigin + performance.now();
  await group.steer("resume");
  const { missing, lastAtMs } = await group.delivered(loaded, DELIVERED_MAX_MS);
  const deliverySeconds = (lastAtMs - resumedAtMs) / MS_PER_SECOND;
  const after = group.commits();
  const states = after.states - before.states;
  const { rssMb } = group;
  await group.stop();
  return {
    events,
    partitions: options.partitions,
    startSeconds: round(startMs / MS_PER_SECOND),
    deliverySeconds: round(deliverySeconds),
    commitsPerSecond: round((after.calls - before.calls) / deliverySeconds),
    statesPerCommit: round(states / (after.calls - before.calls)),
    charactersPerState: round((after.characters - before.characters) / states),
    lost: missing,
    rssMb: round(rssMb),
  };
}
