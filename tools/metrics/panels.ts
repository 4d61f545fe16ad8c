/** What the Grafana dashboard shows: rows of panels with their queries. */

export interface Query {
  readonly expr: string;
  /** What a line is called: `{{destination}}`. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** What it shows, and what to think of it. */
  readonly description: string;
  readonly kind: "lines" | "stack" | "number" | "modes";
  /** One of Grafana's. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** From where on a number is yellow and red, or the other way round where little is bad. */
  readonly limits?: { readonly warning: number; readonly error: number };
  /** Names of values: `{ "0": "no" }`. */
  readonly names?: Readonly<Record<string, string>>;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** Of all metrics of the chosen relays. */
const RELAY = 'job=~"$job",instance=~"$instance"';
const ENVIRONMENT = `${RELAY},environment=~"$environment"`;
const LANE = `${ENVIRONMENT},destination=~"$destination"`;
const SOURCE = `${ENVIRONMENT},source=~"$source"`;
const WINDOW = "[$__rate_interval]";
const BY_LANE = "{{environment}}/{{destination}}";
const BY_SOURCE = "{{environment}}/{{source}}";

function rate(metric: string, by: string, selector: string): string {
  return `sum by (${by}) (rate(${metric}{${selector}}${WINDOW}))`;
}

/** Lines of the median and of the 99th percentile. */
function percentiles(metric: string, by: string, selector: string, legend: string): readonly Query[] {
  return [0.5, 0.99].map((share) => ({
    expr: `histogram_quantile(${share}, sum by (${by}, le) (rate(${metric}_bucket{${selector}}${WINDOW})))`,
    legend: `${legend} p${share * 100}`,
  }));
}

const GLANCE: Row = {
  title: "At a glance",
  panels: [
    {
      title: "Ready",
      description: "Whether every chosen relay can store events durably.",
      kind: "number",
      unit: "none",
      queries: [{ expr: `min(waybill_ready{${RELAY}})`, legend: "ready" }],
      limits: { warning: 1, error: 0 },
      names: { 0: "no", 1: "yes" },
    },
    {
      title: "Events in",
      description: "Events stored a second, without duplicates.",
      kind: "number",
      unit: "cps",
      queries: [{ expr: `sum(rate(waybill_source_accepted_events_total{${SOURCE}}${WINDOW}))`, legend: "in" }],
    },
    {
      title: "Events delivered",
      description: "Events that vendors took, a second, of all chosen destinations.",
      kind: "number",
      unit: "cps",
      queries: [{ expr: `sum(rate(waybill_lane_delivered_events_total{${LANE}}${WINDOW}))`, legend: "delivered" }],
    },
    {
      title: "Events waiting",
      description: "Events still to be delivered, of all chosen destinations.",
      kind: "number",
      unit: "short",
      queries: [{ expr: `sum(waybill_lane_pending_events{${LANE}})`, legend: "waiting" }],
    },
    {
      title: "First loss in",
      description: "At the present rate of ingest, when retention takes the first undelivered event. Empty: never.",
      kind: "number",
      unit: "s",
      queries: [{ expr: `min(waybill_lane_time_until_loss_seconds{${LANE}})`, legend: "first loss" }],
      limits: { warning: 86_400, error: 3_600 },
    },
    {
      title: "Dead letters",
      description: "Events that destinations refused for good and that nobody has dealt with.",
      kind: "number",
      unit: "short",
      queries: [{ expr: `sum(waybill_lane_dead_letters{${LANE},state="waiting"})`, legend: "dead letters" }],
    },
    {
      title: "Lanes halted or failed",
      description: "Destinations that get nothing before somebody acts.",
      kind: "number",
      unit: "short",
      queries: [{ expr: `sum(waybill_lane_mode{${LANE},mode=~"halted|failed"})`, legend: "lanes" }],
      limits: { warning: 1, error: 1 },
    },
    {
      title: "Events lost today",
      description: "Events that retention removed within 24 hours before they were delivered.",
      kind: "number",
      unit: "short",
      queries: [{ expr: `sum(increase(waybill_lane_expired_events_total{${LANE}}[24h]))`, legend: "lost" }],
      limits: { warning: 1, error: 1 },
    },
  ],
};

const INGEST: Row = {
  title: "What comes in",
  panels: [
    {
      title: "Events by source",
      description: "Events stored a second; duplicates are not.",
      kind: "lines",
      unit: "cps",
      queries: [
        { expr: rate("waybill_source_accepted_events_total", "environment, source", SOURCE), legend: BY_SOURCE },
        {
          expr: rate("waybill_source_duplicate_events_total", "environment, source", SOURCE),
          legend: `${BY_SOURCE} duplicates`,
        },
      ],
    },
    {
      title: "Requests by route and status",
      description: "Answers a second. A source without a name: no key, or one that is not known.",
      kind: "lines",
      unit: "reqps",
      queries: [
        {
          expr: rate("waybill_ingest_request_duration_seconds_count", "environment, source, route, status", SOURCE),
          legend: `${BY_SOURCE} {{route}} {{status}}`,
        },
      ],
    },
    {
      title: "Duration of requests that are taken",
      description: "From the head of a request to its answer, the sync of the log included.",
      kind: "lines",
      unit: "s",
      queries: percentiles(
        "waybill_ingest_request_duration_seconds",
        "environment, source",
        `${SOURCE},status="2xx"`,
        BY_SOURCE,
      ),
    },
    {
      title: "Refused requests",
      description: "By code. 401: unauthorized; 429: rate_limited, share_exceeded; 503: log_full, disk, overloaded.",
      kind: "lines",
      unit: "reqps",
      queries: [
        {
          expr: rate("waybill_source_refused_requests_total", "environment, source, code", SOURCE),
          legend: `${BY_SOURCE} {{code}}`,
        },
      ],
    },
    {
      title: "Refused events in accepted requests",
      description: "By code; their requests were answered with success and name them.",
      kind: "lines",
      unit: "cps",
      queries: [
        {
          expr: rate("waybill_source_refused_events_total", "environment, source, code", SOURCE),
          legend: `${BY_SOURCE} {{code}}`,
        },
      ],
    },
    {
      title: "Size of bodies",
      description: "Decompressed. Large batches are cheaper than many small requests.",
      kind: "lines",
      unit: "bytes",
      queries: percentiles("waybill_ingest_request_body_bytes", "environment, source", SOURCE, BY_SOURCE),
    },
  ],
};

/** In the order of their numbers in the panel. */
const MODES = ["idle", "sending", "waiting", "paused", "halted", "failed"];

/** The mode's number where a lane is in it, else 0. */
function modeOf(mode: string, number: number): string {
  return `${number} * waybill_lane_mode{${LANE},mode="${mode}"}`;
}

/** Of all lanes that a destination has: on Kafka one for each partition, wherever it is. */
function ofLanes(how: "sum" | "max" | "min", metric: string, more = ""): string {
  return `${how} by (environment, destination) (${metric}{${LANE}${more}})`;
}

/** On Kafka the lanes of a destination share the limit of their relay, and each shows all of it. */
function ofRelays(metric: string): string {
  return `sum by (environment, destination) (max by (job, instance, environment, destination) (${metric}{${LANE}}))`;
}

const WAITING: Row = {
  title: "What waits, and why",
  panels: [
    {
      title: "Modes of lanes",
      description: "What each destination's lane is doing. halted: a key is refused; failed: a defect.",
      kind: "modes",
      unit: "none",
      queries: [
        {
          expr: `max by (job, instance, environment, destination) (${MODES.map(modeOf).join(" or ")})`,
          legend: BY_LANE,
        },
      ],
      names: Object.fromEntries(MODES.map((mode, number) => [number, mode])),
    },
    {
      title: "Age of what waits longest",
      description: "Compare it with retention.",
      kind: "lines",
      unit: "s",
      queries: [{ expr: ofLanes("max", "waybill_lane_oldest_pending_seconds"), legend: BY_LANE }],
    },
    {
      title: "Time until the first loss",
      description: "At the present rate of ingest. No line: never.",
      kind: "lines",
      unit: "s",
      queries: [{ expr: ofLanes("min", "waybill_lane_time_until_loss_seconds"), legend: BY_LANE }],
    },
    {
      title: "Events that wait",
      description: "By destination.",
      kind: "stack",
      unit: "short",
      queries: [{ expr: ofLanes("sum", "waybill_lane_pending_events"), legend: BY_LANE }],
    },
    {
      title: "Parked",
      description: "Events, and users, that wait because one event of the user fails while others are delivered.",
      kind: "lines",
      unit: "short",
      queries: [
        { expr: ofLanes("sum", "waybill_lane_parked_events"), legend: `${BY_LANE} events` },
        { expr: ofLanes("sum", "waybill_lane_parked_users"), legend: `${BY_LANE} users` },
      ],
    },
    {
      title: "Dead letters that wait",
      description: "Refused by the vendor for good; they wait for a retry or to be discarded.",
      kind: "stack",
      unit: "short",
      queries: [{ expr: ofLanes("sum", "waybill_lane_dead_letters", ',state="waiting"'), legend: BY_LANE }],
    },
  ],
};

const DELIVERY: Row = {
  title: "What goes out",
  panels: [
    {
      title: "Events delivered",
      description: "A second, by destination.",
      kind: "lines",
      unit: "cps",
      queries: [
        { expr: rate("waybill_lane_delivered_events_total", "environment, destination", LANE), legend: BY_LANE },
      ],
    },
    {
      title: "Events not delivered",
      description: "Rejected: dead letters. Dropped: left out on purpose. Expired: taken by retention.",
      kind: "lines",
      unit: "cps",
      queries: ["rejected", "dropped", "expired"].map((state) => ({
        expr: rate(`waybill_lane_${state}_events_total`, "environment, destination", LANE),
        legend: `${BY_LANE} ${state}`,
      })),
    },
    {
      title: "Dropped events by reason",
      description: "Why events were left out on purpose.",
      kind: "lines",
      unit: "cps",
      queries: [
        {
          expr: rate("waybill_lane_dropped_events_by_reason_total", "environment, destination, reason", LANE),
          legend: `${BY_LANE} {{reason}}`,
        },
      ],
    },
    {
      title: "Requests by what the answer meant",
      description: "retryable: tried again; rejected: events of it are dead letters; halted: the key is refused.",
      kind: "lines",
      unit: "reqps",
      queries: [
        {
          expr: rate("waybill_attempt_duration_seconds_count", "environment, destination, outcome", LANE),
          legend: `${BY_LANE} {{outcome}}`,
        },
      ],
    },
    {
      title: "Duration of requests",
      description: "How fast the vendor answers.",
      kind: "lines",
      unit: "s",
      queries: percentiles("waybill_attempt_duration_seconds", "environment, destination", LANE, BY_LANE),
    },
    {
      title: "Requests on their way, and the limit",
      description: "The limit is learned from the vendor's answers; /v1/accounts says why it is what it is.",
      kind: "lines",
      unit: "short",
      queries: [
        { expr: ofRelays("waybill_lane_in_flight"), legend: BY_LANE },
        { expr: ofRelays("waybill_lane_in_flight_limit"), legend: `${BY_LANE} limit` },
      ],
    },
    {
      title: "Limit of requests a second",
      description: "Of the configuration, or less where the vendor refused. No line: no limit.",
      kind: "lines",
      unit: "reqps",
      queries: [{ expr: ofRelays("waybill_lane_requests_per_second_limit"), legend: BY_LANE }],
    },
    {
      title: "Strands",
      description: "Parts of a lane that are delivered side by side, each in order.",
      kind: "lines",
      unit: "short",
      queries: [{ expr: ofLanes("sum", "waybill_lane_strands"), legend: BY_LANE }],
    },
    {
      title: "Replays",
      description: "Events that replays have still to deliver.",
      kind: "lines",
      unit: "short",
      queries: [
        {
          expr: `sum by (environment, destination) (waybill_replay_pending_events{${LANE}})`,
          legend: BY_LANE,
        },
      ],
    },
  ],
};

const DISK: Row = {
  title: "The disk",
  panels: [
    {
      title: "Duration of writes with their sync",
      description: "Every ingest request waits for one; one serves all that wait.",
      kind: "lines",
      unit: "s",
      queries: percentiles("waybill_log_sync_duration_seconds", "environment", ENVIRONMENT, "{{environment}}"),
    },
    {
      title: "Bytes on the disk",
      description: "By directory of an environment; retention bounds the log.",
      kind: "stack",
      unit: "bytes",
      queries: [
        {
          expr: `sum by (environment, directory) (waybill_disk_used_bytes{${ENVIRONMENT}})`,
          legend: "{{environment}} {{directory}}",
        },
      ],
    },
    {
      title: "Left on the disk",
      description: "Of the disk that holds the data directory.",
      kind: "lines",
      unit: "percentunit",
      queries: [
        { expr: `waybill_disk_free_bytes{${RELAY}} / waybill_disk_size_bytes{${RELAY}}`, legend: "{{instance}}" },
      ],
    },
  ],
};

const PROCESS: Row = {
  title: "The process",
  panels: [
    {
      title: "CPU",
      description: "Seconds of CPU a second. The event loop has one core; syncs and compression use others.",
      kind: "lines",
      unit: "none",
      queries: [{ expr: rate("process_cpu_seconds_total", "instance", RELAY), legend: "{{instance}}" }],
    },
    {
      title: "Memory",
      description: "Resident; and what request bodies and the lanes' reading ahead have of it.",
      kind: "lines",
      unit: "bytes",
      queries: [
        { expr: `process_resident_memory_bytes{${RELAY}}`, legend: "{{instance}}" },
        { expr: `waybill_intake_held_bytes{${RELAY}}`, legend: "{{instance}} bodies" },
        { expr: `waybill_read_ahead_bytes{${RELAY}}`, legend: "{{instance}} read ahead" },
      ],
    },
    {
      title: "Event loop blocked",
      description: "The longest time since the last scrape; and the 99th percentile of its delay.",
      kind: "lines",
      unit: "s",
      queries: [
        { expr: `waybill_event_loop_blocked_max_seconds{${RELAY}}`, legend: "{{instance}} longest" },
        { expr: `nodejs_eventloop_lag_p99_seconds{${RELAY}}`, legend: "{{instance}} p99" },
      ],
    },
    {
      title: "Open files and connections",
      description: "File descriptors, and how many the process may have.",
      kind: "lines",
      unit: "short",
      queries: [
        { expr: `process_open_fds{${RELAY}}`, legend: "{{instance}}" },
        { expr: `process_max_fds{${RELAY}}`, legend: "{{instance}} limit" },
      ],
    },
    {
      title: "Since the start, and since the configuration was read",
      description: "A reload that failed leaves the configuration before in force.",
      kind: "lines",
      unit: "s",
      queries: [
        { expr: `time() - process_start_time_seconds{${RELAY}}`, legend: "{{instance}} started" },
        {
          expr: `time() - waybill_config_last_reload_success_timestamp_seconds{${RELAY}}`,
          legend: "{{instance}} configuration",
        },
      ],
    },
    {
      title: "Certificates expire in",
      description: "Of ports that speak TLS.",
      kind: "lines",
      unit: "s",
      queries: [
        {
          expr: `waybill_tls_certificate_not_after_timestamp_seconds{${RELAY}} - time()`,
          legend: "{{instance}} {{port}}",
        },
      ],
    },
  ],
};

export const ROWS: readonly Row[] = [GLANCE, INGEST, WAITING, DELIVERY, DISK, PROCESS];
