/** What is measured of the relay as a whole, of its environments and of ingest requests. */
import type { DiskSpaceView } from "@waybill/node";
import type { Histogram } from "../../histogram.ts";
import type { RequestMeter } from "../../intake/request-meter.ts";
import type { HistogramFamily, Series } from "./histograms.ts";
import { logLabels } from "./log-labels.ts";
import type { Reading } from "./readings.ts";

export interface RelayFigures {
  readonly ready: boolean;
  /** When the configuration in force was read, epoch ms. */
  readonly loadedAtMs: number;
  /** Of the last attempt. */
  readonly reloadedOk: boolean;
  /** `undefined` while it is not known. */
  readonly disk: DiskSpaceView | undefined;
}

export interface EnvironmentFigures {
  readonly environment: string;
  readonly ready: boolean;
  readonly logBytes: number;
  readonly logEvents: number;
  /** Found by the start. */
  readonly damagedEvents: number;
  readonly tornBytes: number;
  /** By directory. */
  readonly diskBytes: Readonly<Record<string, number>>;
  /** How long the disk took for each write and sync of the log. */
  readonly syncSeconds: Histogram;
}

/** Whose requests these are; "" and "": no source is known. */
export interface RequestFigures {
  readonly environment: string;
  readonly source: string;
  readonly meter: RequestMeter;
}

const MS_PER_SECOND = 1_000;

export const RELAY_READINGS: readonly Reading<RelayFigures>[] = [
  {
    name: "waybill_ready",
    help: "Whether events can be stored durably, as GET /ready answers: 1 if so.",
    kind: "gauge",
    value: ({ ready }) => (ready ? 1 : 0),
  },
  {
    name: "waybill_config_last_reload_successful",
    help: "Whether the last attempt to reload the configuration succeeded: 1 if so, or if there was none. After a failure the configuration before is in force.",
    kind: "gauge",
    value: ({ reloadedOk }) => (reloadedOk ? 1 : 0),
  },
  {
    name: "waybill_config_last_reload_success_timestamp_seconds",
    help: "When the configuration in force was read.",
    kind: "gauge",
    value: ({ loadedAtMs }) => loadedAtMs / MS_PER_SECOND,
  },
  {
    name: "waybill_disk_free_bytes",
    help: "Bytes that are left on the disk of the data directory.",
    kind: "gauge",
    value: ({ disk }) => disk?.freeBytes,
  },
  {
    name: "waybill_disk_size_bytes",
    help: "Size of the disk of the data directory.",
    kind: "gauge",
    value: ({ disk }) => disk?.totalBytes,
  },
];

const ON_KAFKA = "On Kafka: of a partition, from where this relay began to read it.";

export const ENVIRONMENT_READINGS: readonly Reading<EnvironmentFigures>[] = [
  {
    name: "waybill_log_ready",
    help: "Whether the log of an environment can store events: 1 if so. Why not is in GET /ready.",
    kind: "gauge",
    value: ({ ready }) => (ready ? 1 : 0),
  },
  {
    name: "waybill_log_bytes",
    help: `Bytes of events in the log, delivered ones included, until retention removes them. ${ON_KAFKA}`,
    kind: "gauge",
    value: ({ logBytes }) => logBytes,
  },
  {
    name: "waybill_log_events",
    help: `Events in the log, delivered ones included, until retention removes them. ${ON_KAFKA}`,
    kind: "gauge",
    value: ({ logEvents }) => logEvents,
  },
  {
    name: "waybill_log_damaged_events",
    help: "Events that the start found damaged in the newest segment of the log and skipped.",
    kind: "gauge",
    value: ({ damagedEvents }) => damagedEvents,
  },
  {
    name: "waybill_log_torn_bytes",
    help: "Bytes that the start cut off the end of the log: a write that was interrupted and never acknowledged.",
    kind: "gauge",
    value: ({ tornBytes }) => tornBytes,
  },
  {
    name: "waybill_disk_used_bytes",
    help: "Bytes on the disk that an environment takes, by directory: log, dead letters (dead) and so on. Measured once a minute.",
    kind: "gauge",
    byLabel: { label: "directory", values: ({ diskBytes }) => diskBytes },
  },
];

export interface HistogramSources {
  readonly environments: readonly EnvironmentFigures[];
  readonly requests: readonly RequestFigures[];
}

export function histogramFamilies({ environments, requests }: HistogramSources): readonly HistogramFamily[] {
  return [
    {
      name: "waybill_log_sync_duration_seconds",
      help: "Duration of writes to the log with their sync: one for all requests that waited for it.",
      series: environments.map(({ environment, syncSeconds }) => ({
        labels: { ...logLabels(environment) },
        histogram: syncSeconds,
      })),
    },
    {
      name: "waybill_ingest_request_duration_seconds",
      help: 'Duration of ingest requests from their head to the answer, by route and class of the status. Without a source it is "" and "".',
      series: durations(requests),
    },
    {
      name: "waybill_ingest_request_body_bytes",
      help: "Size of the bodies of ingest requests, decompressed.",
      series: requests.map(({ environment, source, meter }) => ({
        labels: { environment, source },
        histogram: meter.bodyBytes,
      })),
    },
  ];
}

function* durations(requests: readonly RequestFigures[]): Generator<Series> {
  for (const { environment, source, meter } of requests)
    for (const { route, status, seconds } of meter.series())
      yield { labels: { environment, source, route, status }, histogram: seconds };
}
