/** A destination over its partitions. */
import type { OverviewDestination, OverviewPartition } from "../views.ts";
import { earliest, grouped, latest, rounded, sumOf, sumOfAccounts } from "./sums.ts";

/** The modes of lanes, the one first that most needs to be seen. */
const WORST_FIRST: readonly OverviewPartition["mode"][] = [
  "failed",
  "halted",
  "paused",
  "waiting",
  "sending",
  "idle",
  "closed",
];

interface ConfiguredDestination {
  readonly name: string;
  readonly vendor: string;
  readonly sources?: readonly string[] | undefined;
}

/** A destination with the sums of its lanes, the worst mode and the earliest times. */
export function overLanes(
  { name, vendor, sources }: ConfiguredDestination,
  given: readonly OverviewPartition[],
): OverviewDestination {
  const lanes = latest(given, {
    keyOf: ({ partition }) => String(partition),
    reportOf: ({ report }) => report,
  }).toSorted((one, other) => one.partition - other.partition);
  const mode = WORST_FIRST.find((one) => lanes.some((lane) => lane.mode === one)) ?? "closed";
  const worst = lanes.filter((lane) => lane.mode === mode);
  const [latestError] = lanes.toSorted((one, other) => (other.lastErrorAt ?? 0) - (one.lastErrorAt ?? 0));
  const [mostWaiting] = lanes.toSorted((one, other) => other.waitingEvents - one.waitingEvents);
  return {
    name,
    vendor,
    mode,
    reason: lanes.length === 0 ? "no relay has reported a lane of it" : (worst[0]?.reason ?? null),
    since: earliest(worst.map(({ since }) => since)),
    eventsPerSecondOut: rounded(sumOf(lanes, ({ eventsPerSecondOut }) => eventsPerSecondOut)),
    waitingEvents: sumOf(lanes, ({ waitingEvents }) => waitingEvents),
    waitingBytes: sumOf(lanes, ({ waitingBytes }) => waitingBytes),
    oldestAt: earliest(lanes.map(({ oldestAt }) => oldestAt)),
    inFlight: sumOverRelays(lanes, ({ inFlight }) => inFlight),
    inFlightLimit: sumOverRelays(lanes, ({ inFlightLimit }) => inFlightLimit),
    limitReason: mostWaiting?.limitReason ?? "",
    deadLetters: sumOf(lanes, ({ deadLetters }) => deadLetters),
    parkedEvents: sumOf(lanes, ({ parkedEvents }) => parkedEvents),
    expiredLately: sumOf(lanes, ({ expiredLately }) => expiredLately),
    lossAt: earliest(lanes.map(({ lossAt }) => lossAt)),
    lastError: latestError?.lastError ?? null,
    lastErrorAt: latestError?.lastErrorAt ?? null,
    account: sumOfAccounts(lanes.map(({ account }) => account)),
    ...(sources === undefined ? {} : { sources }),
    partitions: lanes,
  };
}

/** The lanes of a destination share the limit of their relay: each of them shows all of it. */
function sumOverRelays(lanes: readonly OverviewPartition[], valueOf: (lane: OverviewPartition) => number): number {
  const byRelay = grouped(lanes, ({ report }) => report.relay);
  return sumOf([...byRelay.values()], (own) => Math.max(...own.map(valueOf)));
}
