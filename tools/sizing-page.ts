/** The page about sizing, with the figures of the benchmarks' committed results. */
import { existsSync, readFileSync } from "node:fs";

interface Recorded<Result> {
  readonly measuredAt: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memoryGiB: number; readonly node: string };
  readonly result: Result;
}

interface Sizing {
  readonly cases: readonly {
    readonly eventsPerRequest: number;
    readonly eventBytes: number;
    readonly eventsPerSecond: number;
    readonly cpuMicrosPerEvent: number;
    readonly diskBytesPerEvent: number;
    readonly peakRssMb: number;
  }[];
  readonly restRssMb: number;
  readonly kilobytesPerLane: number;
}

interface Relay {
  readonly cases: readonly {
    /** Which bodies. */
    readonly case: string;
    readonly eventsPerRequest: number;
    readonly requestsPerSecond: number;
    readonly endToEndEventsPerSecond: number;
    readonly p99Ms: number;
  }[];
}

interface Distance {
  readonly roundTripMs: number;
  readonly rows: readonly { readonly vendor: string; readonly eventsPerSecond: number }[];
}

interface Backlog {
  readonly gigabytes: number;
  readonly startMs: number;
  readonly peakRssMb: number;
  readonly drainEventsPerSecond: number;
  readonly acceptP99Ms: number;
}

/** `undefined` until it was measured. */
function resultOf<Result>(name: string): Recorded<Result> | undefined {
  const file = new URL(`../benchmarks/results/${name}.json`, import.meta.url);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Recorded<Result>) : undefined;
}

const DIGITS = 2;
/** Of a measured figure two digits are worth showing. */
function number(value: number): string {
  return Number(value.toPrecision(DIGITS)).toLocaleString("en-US");
}

function measuredOn({ measuredAt, machine }: Recorded<unknown>, command: string): string {
  const { cpu, cores, memoryGiB, node } = machine;
  return `\`${command}\`, ${measuredAt.slice(0, "2026-11-22".length)}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node.slice(1)}.`;
}

export function sizingPage(): string {
  return [INTRODUCTION, ratesText(), diskText(), memoryText(), REST].join("\n");
}

const INTRODUCTION = `# Sizing

A relay is one process that uses one core well, and a second one for the disk and the network. Start
with **two cores, 512 MiB of memory and a disk for the longest outage that you want to survive**. That
is enough for most who read this; the rest of the page is for the others. Its figures come from the
benchmarks' results, each with the command that measures it again; \`npm run docs\` writes them here.
`;

function ratesText(): string {
  const sizing = resultOf<Sizing>("sizing");
  const relay = resultOf<Relay>("relay");
  return [
    "## Events per second",
    "",
    "What counts is the number of requests, then the bytes: a relay takes ten times as many events and",
    "more from SDKs that send 100 in a request as from those that send each alone. One core for the",
    "relay, events accepted, synced and delivered to one destination:",
    "",
    ...ratesOf(sizing),
    "",
    "On the whole machine, load generator and vendor included:",
    "",
    ...wholeOf(relay),
    "",
    "- Plan for half of a figure at the peak hour: what a relay was not sent in an outage of its own",
    "  comes at once afterwards.",
    "- Each further destination is a delivery of its own, and so costs CPU; one of another vendor costs",
    "  more, as each event is translated. Measure yours: what is above has one.",
    ...distantOf(resultOf<Distance>("distance")),
    "",
  ].join("\n");
}

function distantOf(distance: Recorded<Distance> | undefined): readonly string[] {
  const segment = distance?.result.rows.find(({ vendor }) => vendor === "segment");
  if (distance === undefined || segment === undefined) return [];
  return [
    "- A vendor far away costs no more: when its answers take",
    `  ${distance.result.roundTripMs} ms a lane keeps up to 64 requests in flight, and Segment gets ${number(segment.eventsPerSecond)} events/s`,
    "  (`npm run bench -- distance`).",
  ];
}

function ratesOf(sizing: Recorded<Sizing> | undefined): readonly string[] {
  if (sizing === undefined) return ["Not measured yet: `npm run bench -- sizing`."];
  return [
    "| events in a request | bytes of an event | events/s of one core | CPU for an event | MB/s |",
    "|---|---|---|---|---|",
    ...sizing.result.cases.map(
      (one) =>
        `| ${one.eventsPerRequest} | ${one.eventBytes.toLocaleString("en-US")} | ${number(one.eventsPerSecond)} | ${number(one.cpuMicrosPerEvent)} µs | ${number((one.eventsPerSecond * one.eventBytes) / 1e6)} |`,
    ),
    "",
    measuredOn(sizing, "npm run bench -- sizing"),
  ];
}

function wholeOf(relay: Recorded<Relay> | undefined): readonly string[] {
  if (relay === undefined) return ["Not measured yet: `npm run bench -- relay`."];
  return [
    "| bodies | events in a request | requests/s accepted | p99 | events/s to the vendor |",
    "|---|---|---|---|---|",
    ...relay.result.cases.map(
      (one) =>
        `| ${one.case} | ${one.eventsPerRequest} | ${number(one.requestsPerSecond)} | ${number(one.p99Ms)} ms | ${number(one.endToEndEventsPerSecond)} |`,
    ),
    "",
    measuredOn(relay, "npm run bench -- relay"),
  ];
}

function diskText(): string {
  const sizing = resultOf<Sizing>("sizing");
  const rows =
    sizing === undefined
      ? ["Not measured yet: `npm run bench -- sizing`."]
      : [
          "| events in a request | bytes of an event | bytes on disk |",
          "|---|---|---|",
          ...sizing.result.cases.map(
            (one) =>
              `| ${one.eventsPerRequest} | ${one.eventBytes.toLocaleString("en-US")} | ${Math.round(one.diskBytesPerEvent).toLocaleString("en-US")} |`,
          ),
          "",
          "Log, cursor, fates, attempts and ids together, after the delivery to one destination.",
        ];
  return [
    "## Disk",
    "",
    "An event is written once, however many destinations it has:",
    "",
    ...rows,
    "",
    "```",
    "bytes of disk = events/s × bytes on disk × seconds of the longest outage, for each environment",
    "```",
    "",
    "A thousand events a second of 1 kB are 3.6 GB an hour and 86 GB a day. Set",
    "`retention.hardMaxBytes` to that, and the volume to a fifth more, for dead letters and room to",
    "work. The default of 20 GiB holds such a stream for six hours. `retention.maxBytes` (10 GiB) and",
    "`retention.maxAge` (7 days) bound what is kept after delivery, for replays and traces.",
    "",
    "What counts of a disk is the time of an fsync: each answer waits for one, and those who wait share",
    "it. So a slow fsync costs latency before it costs throughput. A lane that keeps up reads what was",
    "just written, from the page cache.",
    "",
  ].join("\n");
}

function memoryText(): string {
  const sizing = resultOf<Sizing>("sizing");
  const backlog = resultOf<Backlog>("backlog");
  const measured: string[] = [];
  if (sizing !== undefined) {
    const { restRssMb, kilobytesPerLane, cases } = sizing.result;
    const peak = Math.max(...cases.map((one) => one.peakRssMb));
    measured.push(
      `| at rest, one destination | ${number(restRssMb)} MB |`,
      `| each further destination, at rest | ${number(kilobytesPerLane)} KiB |`,
      `| under the loads above | up to ${number(peak)} MB |`,
    );
  } else measured.push("| at rest; each destination; under load | not measured yet: `npm run bench -- sizing` |");
  if (backlog !== undefined) {
    const { gigabytes, startMs, peakRssMb, drainEventsPerSecond } = backlog.result;
    measured.push(
      `| a start on ${gigabytes} GB that wait (${number(startMs)} ms), drained at ${number(drainEventsPerSecond)} events/s | up to ${number(peakRssMb)} MB |`,
    );
  }
  return [
    "## Memory",
    "",
    "Everything is bounded; nothing grows with what waits on disk.",
    "",
    "| measured | resident |",
    "|---|---|",
    ...measured,
    "",
    ...(backlog === undefined ? [] : [measuredOn(backlog, "npm run backlog -- --gigabytes 2"), ""]),
    "| bound | most |",
    "|---|---|",
    "| bodies of requests that are being read | 96 MiB |",
    "| bytes that wait for the disk | 64 MiB |",
    "| ids against duplicates: `dedupe.maxIds`, 56 bytes each | 56 MB by default |",
    "| read ahead, for each lane | 768 KiB |",
    "| connections | `limits.maxConnections`, 8,192 |",
    "",
    "512 MiB are enough with the defaults. In a container set the limit to that, and not lower:",
    "a process that the kernel kills loses nothing that it had accepted, but clients wait for it.",
    "",
  ].join("\n");
}

const REST = `## Files and connections

Each connection is a file descriptor, and so is each open segment: \`ulimit -n 16384\` for the default
of \`limits.maxConnections\`.

## When to add a relay

| what you see | do |
|---|---|
| \`waybill_event_loop_blocked_max_seconds\` above 0.05 at each scrape | fewer, larger requests; smaller limits for bodies; then another relay |
| problem \`memory_full\` | a faster disk, or another relay |
| one core is always busy | another relay: [several relays](several-relays.md) |
| a lane falls behind, its limit's reason is the vendor's | nothing here helps: the vendor limits |

## Your own figures

\`npm run bench -- sizing\` in a clone measures your machine, in three minutes. It needs Linux and two
cores, and a machine that does nothing else.
`;
