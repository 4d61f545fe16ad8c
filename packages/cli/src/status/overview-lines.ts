/** An overview as text: what is wrong first, then sources, lanes and running replays. */
import type { Overview, OverviewReplay, OverviewSource, RelayProblem } from "@waybill/relay";
import { counted } from "../counted.ts";
import { type Column, tableLines } from "../terminal/table.ts";
import { joined, type Painted, type Terminal, type Tone } from "../terminal/terminal.ts";
import { agoText, durationText, numberText, rateText } from "../terminal/units.ts";
import { wrapped } from "../terminal/widths.ts";
import { clusterLines } from "./cluster-lines.ts";
import { headline } from "./health.ts";
import { type LaneRow, laneColumns } from "./lane-columns.ts";

const INDENT = " ".repeat("warning  ".length);
const SEVERITY_TONES: Readonly<Record<RelayProblem["severity"], Tone>> = { error: "error", warning: "warning" };
const EMPTY = "" as Painted;

/** `now` may be later than the overview's own: ages go on while nothing changes. */
export interface Shown {
  readonly overview: Overview;
  readonly admin: string;
  readonly now: number;
}

export function overviewLines({ overview, admin, now }: Shown, terminal: Terminal): readonly Painted[] {
  const sections = [
    [headline(overview, terminal), aboutLine({ overview, admin, now }, terminal)],
    ...overview.problems.map((problem) => problemLines(problem, now, terminal)),
    tableLines(sourcesOf(overview), sourceColumns(now), terminal),
    tableLines(lanesOf(overview), laneColumns(now), terminal),
    tableLines(runningReplays(overview), REPLAY_COLUMNS, terminal),
    ...(overview.cluster === undefined ? [] : clusterLines(overview.cluster, now, terminal)),
  ].filter((lines) => lines.length > 0);
  return sections.flatMap((lines, at) => (at === 0 ? lines : [EMPTY, ...lines]));
}

function lanesOf({ environments }: Overview): readonly LaneRow[] {
  return environments.flatMap(({ name: environment, destinations }) =>
    destinations.map((destination) => ({ ...destination, environment })),
  );
}

function aboutLine({ overview, admin, now }: Shown, { paint }: Terminal): Painted {
  const { version, startedAt, ready, environments } = overview;
  const sources = environments.reduce((sum, one) => sum + one.sources.length, 0);
  const destinations = environments.reduce((sum, one) => sum + one.destinations.length, 0);
  const about = [
    `${admin}: Waybill ${version}`,
    `up ${durationText(now - startedAt)}`,
    counted(sources, "source"),
    counted(destinations, "destination"),
  ];
  return joined([paint(about.join(", "), "quiet"), ready ? EMPTY : paint("cannot store events", "error")], ", ");
}

export function problemLines(problem: RelayProblem, now: number, terminal: Terminal): readonly Painted[] {
  const { severity, environment, source, destination, relay = "the relay", since, what, doThis } = problem;
  const { paint, columns } = terminal;
  const width = columns === undefined ? undefined : columns - INDENT.length;
  const place = [environment, destination ?? source].filter((part) => part !== undefined).join("/");
  const parts = [place === "" ? relay : place, ...(since === null ? [] : [agoText(since, now)])];
  const label = paint(severity.padEnd(INDENT.length - 1), SEVERITY_TONES[severity] ?? "warning");
  return [
    joined([label, paint(parts.join(", "), "quiet")]),
    ...wrapped(what, width).map((line) => `${INDENT}${paint(line, "title")}` as Painted),
    ...wrapped(`→ ${doThis}`, width).map((line) => `${INDENT}${paint(line)}` as Painted),
  ];
}

type SourceRow = OverviewSource & { readonly environment: string };

const NAME_MIN_CHARACTERS = 16;
const REASONS_MIN_CHARACTERS = 10;

function sourcesOf({ environments }: Overview): readonly SourceRow[] {
  return environments.flatMap(({ name: environment, sources }) =>
    sources.map((source) => ({ ...source, environment })),
  );
}

function sourceColumns(now: number): readonly Column<SourceRow>[] {
  return [
    { title: "source", value: ({ environment, name }) => `${environment}/${name}`, min: NAME_MIN_CHARACTERS },
    { title: "protocol", value: ({ protocol }) => protocol, leaveOut: 1 },
    { title: "in/s", value: ({ eventsPerSecond }) => rateText(eventsPerSecond), align: "right" },
    { title: "stored", value: ({ acceptedTotal }) => numberText(acceptedTotal), align: "right" },
    {
      title: "duplicates",
      value: ({ duplicatesTotal }) => numberText(duplicatesTotal),
      align: "right",
      leaveOut: 2,
    },
    { title: "last seen", value: ({ lastSeenAt }) => (lastSeenAt === null ? "" : agoText(lastSeenAt, now)) },
    { title: "refused", value: refusedText, min: REASONS_MIN_CHARACTERS, tone: () => "warning" },
  ];
}

/** The commonest first: `12 requests unauthorized, 3 events too_large`. */
function refusedText({ refusedByReason, refusedRequestsByReason }: SourceRow): string {
  const counts = [
    ...Object.entries(refusedRequestsByReason).map(([reason, count]) => ({ reason, count, what: "request" })),
    ...Object.entries(refusedByReason).map(([reason, count]) => ({ reason, count, what: "event" })),
  ];
  return counts
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
    .map(({ reason, count, what }) => `${counted(count, what)} ${reason}`)
    .join(", ");
}

const OVER: ReadonlySet<string> = new Set(["done", "cancelled"]);

function runningReplays({ replays }: Overview): readonly OverviewReplay[] {
  return replays.filter(({ state }) => !OVER.has(state));
}

const REPLAY_COLUMNS: readonly Column<OverviewReplay>[] = [
  { title: "replay to", value: ({ environment, destination }) => `${environment}/${destination}`, min: 16 },
  { title: "state", value: ({ state }) => state },
  { title: "out/s", value: ({ eventsPerSecond }) => rateText(eventsPerSecond), align: "right" },
  { title: "chosen", value: ({ account }) => numberText(account.accepted), align: "right" },
  { title: "pending", value: ({ account }) => numberText(account.pending), align: "right" },
  { title: "id", value: ({ id }) => id, leaveOut: 1 },
  { title: "reason", value: ({ reason = "" }) => reason, min: REASONS_MIN_CHARACTERS, leaveOut: 2 },
];
