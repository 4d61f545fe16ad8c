import type { LaneMode, Overview, OverviewDestination } from "@waybill/relay";
import type { Column } from "../terminal/table.ts";
import { modeTone } from "../terminal/tones.ts";
import { bytesText, durationText, numberText, rateText } from "../terminal/units.ts";

export type LaneRow = OverviewDestination & {
  readonly environment: string;
  /** Of a lane in a cluster: the name of its relay. */
  readonly relay?: string;
};

const NAME_MIN_CHARACTERS = 16;
/** Less says nothing: below the row there is more room. */
const WHY_MIN_CHARACTERS = 40;
/** A loss within this time is near. */
const LOSS_NEAR_MS = 24 * 3_600_000;

/** Each destination, with Kafka followed by its lanes, one for each partition. */
export function laneRows({ environments, cluster }: Overview): readonly LaneRow[] {
  const relays = new Map(cluster?.relays.map(({ id, name }) => [id, name]));
  return environments.flatMap(({ name: environment, destinations }) =>
    destinations.flatMap(({ partitions = [], ...destination }) => [
      { ...destination, environment },
      ...partitions.map(({ partition, report: { relay }, ...lane }) => ({
        ...lane,
        name: destination.name,
        vendor: destination.vendor,
        environment: `${environment}/${partition}`,
        relay: relays.get(relay) ?? relay,
      })),
    ]),
  );
}

/** With the relay of each. */
export function clusterLaneColumns(now: number): readonly Column<LaneRow>[] {
  const [name, ...rest] = laneColumns(now) as readonly [Column<LaneRow>, ...Column<LaneRow>[]];
  return [name, { title: "relay", value: ({ relay = "" }) => relay }, ...rest];
}

/** The lanes of an overview at the time `now`: what each does, what waits, and why. */
export function laneColumns(now: number): readonly Column<LaneRow>[] {
  return [
    {
      title: "destination",
      value: ({ environment, name }) => `${environment}/${name}`,
      min: NAME_MIN_CHARACTERS,
    },
    { title: "vendor", value: ({ vendor }) => vendor, leaveOut: 2 },
    { title: "mode", value: ({ mode }) => mode, tone: ({ mode }) => modeTone(mode) },
    { title: "out/s", value: ({ eventsPerSecondOut }) => rateText(eventsPerSecondOut), align: "right" },
    { title: "waiting", value: ({ waitingEvents }) => numberText(waitingEvents), align: "right" },
    {
      title: "size",
      value: ({ waitingBytes }) => (waitingBytes === 0 ? "" : bytesText(waitingBytes)),
      align: "right",
      leaveOut: 3,
    },
    {
      title: "oldest",
      value: ({ oldestAt }) => (oldestAt === null ? "" : durationText(now - oldestAt)),
      align: "right",
    },
    {
      title: "in flight",
      value: ({ inFlight, inFlightLimit }) => `${numberText(inFlight)}/${numberText(inFlightLimit)}`,
      align: "right",
    },
    {
      title: "dead",
      value: ({ deadLetters }) => numberText(deadLetters),
      align: "right",
      tone: ({ deadLetters }) => (deadLetters > 0 ? "warning" : "plain"),
    },
    {
      title: "loss",
      value: ({ lossAt }) => (lossAt === null ? "" : lossAt <= now ? "now" : `in ${durationText(lossAt - now)}`),
      align: "right",
      tone: ({ lossAt }) => (lossAt !== null && lossAt - now < LOSS_NEAR_MS ? "error" : "plain"),
    },
    { title: "why", value: whyText, min: WHY_MIN_CHARACTERS, leaveOut: 1, below: true, tone: () => "quiet" },
  ];
}

const STOPPED: ReadonlySet<LaneMode> = new Set(["paused", "halted", "failed", "closed"]);

/** Why the lane is in its mode, and, where events wait to be sent, why no more are in flight. */
function whyText({ mode, reason, waitingEvents, limitReason }: LaneRow): string {
  const isLimited = waitingEvents > 0 && limitReason !== "" && !STOPPED.has(mode);
  return [reason ?? "", isLimited ? `limit: ${limitReason}` : ""].filter((part) => part !== "").join("; ");
}
