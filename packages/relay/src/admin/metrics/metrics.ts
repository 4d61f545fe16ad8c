import type { Attempt } from "@waybill/core";
import { defer } from "@waybill/node";
import { Counter, Histogram, Registry } from "prom-client";
import { partitionOf } from "../../cluster/partition-name.ts";
import type { IntakeObserver } from "../../intake/types.ts";
import type { TlsView } from "../../tls/tls-end.ts";
import type { Cluster, LaneView, ReplayView, SourceView } from "../views.ts";
import { CLUSTER_LANE_READINGS, CLUSTER_READINGS } from "./cluster-tables.ts";
import { type HistogramFamily, histogramText } from "./histograms.ts";
import { type IntakeView, registerIntakeGauges } from "./intake-gauges.ts";
import { logLabels } from "./log-labels.ts";
import { registerProcess } from "./process-metrics.ts";
import { register } from "./readings.ts";
import {
  ENVIRONMENT_READINGS,
  type EnvironmentFigures,
  histogramFamilies,
  RELAY_READINGS,
  type RelayFigures,
  type RequestFigures,
} from "./relay-tables.ts";
import { LANE_READINGS, REPLAY_READINGS, SOURCE_READINGS, TLS_READINGS } from "./tables.ts";

/** Of lanes on Kafka there is one for each partition. */
const LOG_LABELS = ["environment", "partition"];
const LANE_LABELS = [...LOG_LABELS, "destination"];
const REPLAY_LABELS = [...LANE_LABELS, "replay"];
const SOURCE_LABELS = ["environment", "source"] as const;
/** Seconds; a vendor answers within milliseconds or within its timeout. */
const ATTEMPT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const MS_PER_SECOND = 1_000;

export interface MetricsView extends IntakeView {
  lanes(): readonly LaneView[];
  sources(): readonly SourceView[];
  replays(): readonly ReplayView[];
  /** Of the ports that speak TLS. */
  certificates?(): readonly TlsView[];
  relay(): RelayFigures;
  environments(): readonly EnvironmentFigures[];
  requests(): readonly RequestFigures[];
  /** Absent on the disk. `undefined` while it is not known. */
  readonly cluster?: () => Cluster | undefined;
}

export interface Metrics extends IntakeObserver {
  attempted(of: { readonly environment: string; readonly destination: string; readonly attempt: Attempt }): void;
  /** Requests of a source that were refused as a whole, by code. "" and "": no source is known. */
  refusedRequests(environment: string, source: string): Readonly<Record<string, number>>;
  text(): Promise<string>;
  readonly contentType: string;
}

/**
 * What Prometheus reads. The ledgers are read at the time of the scrape, so the numbers of one
 * scrape balance:
 * accepted = delivered + rejected + dropped + expired + pending.
 */
export function createMetrics(view: MetricsView): Metrics {
  const registry = new Registry();
  registerProcess(registry);
  registerIntakeGauges(registry, view);
  const readingsNow = registerReadings(registry, view);
  /** With 1,000 lanes it has megabytes: others have their turn after each metric. */
  const scrape = async (): Promise<string> => {
    for (const reading of readingsNow()) while (reading.next().done !== true) await nextTurn();
    const texts: string[] = [];
    for (const { name } of registry.getMetricsAsArray()) {
      texts.push(await registry.getSingleMetricAsString(name));
      await nextTurn();
    }
    for (const family of histogramFamilies({ environments: view.environments(), requests: view.requests() }))
      texts.push(await textInTurns(family));
    return `${texts.join("\n\n")}\n`;
  };
  let scraping: Promise<unknown> = Promise.resolve();
  return {
    ...observed(registry),
    text() {
      // One after another: they fill the same metrics.
      const text = scraping.then(scrape, scrape);
      scraping = text;
      return text;
    },
    contentType: registry.contentType,
  };
}

/** What is returned reads all of them at the same moment, then fills one metric at each step. */
function registerReadings(registry: Registry, view: MetricsView): () => readonly Generator<void>[] {
  const readLanes = register(LANE_READINGS, {
    registry,
    labelNames: LANE_LABELS,
    labelsOf: ({ environment, destination }) => ({ ...logLabels(environment), destination }),
  });
  const readReplays = register(REPLAY_READINGS, {
    registry,
    labelNames: REPLAY_LABELS,
    labelsOf: ({ environment, destination, id }) => ({ ...logLabels(environment), destination, replay: id }),
  });
  const readSources = register(SOURCE_READINGS, {
    registry,
    labelNames: SOURCE_LABELS,
    labelsOf: ({ environment, source }) => ({ environment, source }),
  });
  const readCertificates = register(TLS_READINGS, {
    registry,
    labelNames: ["port"],
    labelsOf: ({ port }) => ({ port }),
  });
  const readRelay = register(RELAY_READINGS, { registry, labelNames: [], labelsOf: () => ({}) });
  const readEnvironments = register(ENVIRONMENT_READINGS, {
    registry,
    labelNames: LOG_LABELS,
    labelsOf: ({ environment }) => logLabels(environment),
  });
  const readCluster = view.cluster === undefined ? undefined : registerCluster(registry, view.cluster);
  return () => [
    readLanes(view.lanes()),
    readReplays(view.replays()),
    readSources(view.sources()),
    readCertificates(view.certificates?.() ?? []),
    readRelay([view.relay()]),
    readEnvironments(view.environments()),
    ...(readCluster?.() ?? []),
  ];
}

function registerCluster(
  registry: Registry,
  cluster: NonNullable<MetricsView["cluster"]>,
): () => readonly Generator<void>[] {
  const read = register(CLUSTER_READINGS, { registry, labelNames: [], labelsOf: () => ({}) });
  const readLanes = register(CLUSTER_LANE_READINGS, {
    registry,
    labelNames: LANE_LABELS,
    labelsOf: ({ environment, destination, partition }) => ({ environment, destination, partition: String(partition) }),
  });
  return () => {
    const now = cluster();
    return now === undefined ? [] : [read([now]), readLanes(now.lanes)];
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => defer(resolve));
}

async function textInTurns(family: HistogramFamily): Promise<string> {
  let text = "";
  for (const piece of histogramText(family)) {
    text += piece;
    await nextTurn();
  }
  return text.trimEnd();
}

/** What is counted as it happens. */
function observed(
  registry: Registry,
): Pick<Metrics, "attempted" | "requestRefused" | "requestRetried" | "refusedRequests"> {
  const registers = [registry];
  const attempts = new Histogram({
    name: "waybill_attempt_duration_seconds",
    help: "Duration of requests to destinations, by what the answer meant.",
    labelNames: ["environment", "destination", "outcome"],
    buckets: ATTEMPT_BUCKETS,
    registers,
  });
  const refused = new Counter({
    name: "waybill_source_refused_requests_total",
    help: "Ingest requests that were refused, by code. With duplicate=true it is the body of an earlier request again, from a client that retries what is final.",
    labelNames: [...SOURCE_LABELS, "code", "duplicate"],
    registers,
  });
  const retried = new Counter({
    name: "waybill_source_retried_requests_total",
    help: "Ingest requests whose client marks them as sent again (X-Retry-Count).",
    labelNames: SOURCE_LABELS,
    registers,
  });
  // The same by source, to be read without a scrape.
  const refusedBySource = new Map<string, Map<string, number>>();
  return {
    refusedRequests: (environment, source) => Object.fromEntries(refusedBySource.get(`${environment}/${source}`) ?? []),
    attempted({ environment: log, destination, attempt }) {
      const { environment = log } = partitionOf(log) ?? {};
      attempts.observe({ environment, destination, outcome: outcomeOf(attempt) }, attempt.durationMs / MS_PER_SECOND);
    },
    requestRefused({ environment, source, code, isDuplicate }) {
      refused.inc({ environment, source, code, duplicate: String(isDuplicate) });
      const name = `${environment}/${source}`;
      const codes = refusedBySource.get(name) ?? new Map<string, number>();
      refusedBySource.set(name, codes);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    },
    requestRetried({ environment, source }) {
      retried.inc({ environment, source });
    },
  };
}

function outcomeOf({ halted, retryable, rejected }: Attempt): "halted" | "retryable" | "rejected" | "delivered" {
  if (halted > 0) return "halted";
  if (retryable > 0) return "retryable";
  return rejected > 0 ? "rejected" : "delivered";
}
