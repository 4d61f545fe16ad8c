/** The cluster as text: its relays, and which of them has which lane. */
import type { Cluster, ClusterLane } from "@waybill/relay";
import { type Column, tableLines } from "../terminal/table.ts";
import type { Painted, Terminal } from "../terminal/terminal.ts";
import { modeTone } from "../terminal/tones.ts";
import { agoText, durationText, numberText } from "../terminal/units.ts";

type ClusterRelay = Cluster["relays"][number];
type LaneRow = ClusterLane & { readonly relayName: string };

const NAME_MIN_CHARACTERS = 16;
/** There may be thousands: the page and --json have them all. */
const LANES_SHOWN = 100;

/** Two tables, each absent where it has no row. */
export function clusterLines(cluster: Cluster, now: number, terminal: Terminal): readonly (readonly Painted[])[] {
  const { relays, lanes } = cluster;
  const names = new Map(relays.map(({ id, name }) => [id, name]));
  const rows = lanes.map((lane) => ({ ...lane, relayName: lane.relay === null ? "" : (names.get(lane.relay) ?? "") }));
  const shown = rows.length <= LANES_SHOWN ? rows : worstOf(rows);
  const left = rows.length - shown.length;
  const more = left === 0 ? [] : [terminal.paint(`… ${numberText(left)} more lanes, with less to deliver`, "quiet")];
  return [tableLines(relays, relayColumns(now), terminal), [...tableLines(shown, laneColumns(now), terminal), ...more]];
}

/** Those that nobody has, then those with most to deliver. */
function worstOf(rows: readonly LaneRow[]): readonly LaneRow[] {
  const rank = ({ pendingEvents }: LaneRow): number => pendingEvents ?? Number.POSITIVE_INFINITY;
  return rows.toSorted((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a))).slice(0, LANES_SHOWN);
}

function relayColumns(now: number): readonly Column<ClusterRelay>[] {
  return [
    { title: "relay", value: ({ name, isSelf }) => (isSelf ? `${name} (this one)` : name), min: NAME_MIN_CHARACTERS },
    {
      title: "state",
      value: ({ isMissing }) => (isMissing ? "missing" : "running"),
      tone: ({ isMissing }) => (isMissing ? "error" : "plain"),
    },
    { title: "heard of", value: ({ seenAt }) => agoText(seenAt, now) },
    { title: "lanes", value: ({ lanes }) => numberText(lanes), align: "right" },
    {
      title: "config",
      value: ({ hasSameConfig }) => (hasSameConfig ? "same" : "differs"),
      tone: ({ hasSameConfig }) => (hasSameConfig ? "plain" : "warning"),
    },
    { title: "version", value: ({ version }) => version, leaveOut: 1 },
    { title: "admin API", value: ({ adminUrl }) => adminUrl ?? "", leaveOut: 2 },
  ];
}

function laneColumns(now: number): readonly Column<LaneRow>[] {
  return [
    {
      title: "lane",
      value: ({ environment, partition, destination }) => `${environment}/${partition}/${destination}`,
      min: NAME_MIN_CHARACTERS,
    },
    { title: "relay", value: ({ relayName }) => relayName },
    { title: "mode", value: ({ mode }) => mode, tone: ({ mode }) => modeTone(mode) },
    {
      title: "waiting",
      value: ({ pendingEvents }) => (pendingEvents === null ? "" : numberText(pendingEvents)),
      align: "right",
    },
    {
      title: "oldest",
      value: ({ oldestAt }) => (oldestAt === null ? "" : durationText(now - oldestAt)),
      align: "right",
    },
    { title: "in flight", value: ({ inFlight }) => numberText(inFlight), align: "right", leaveOut: 1 },
  ];
}
