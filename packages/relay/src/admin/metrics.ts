import type { Attempt } from "@waybill/core";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { LaneView, ReplayView, SourceView } from "./types.ts";

const LANE_LABELS = ["environment", "destination"] as const;
const SOURCE_LABELS = ["environment", "source"] as const;
const MODES = ["idle", "sending", "waiting", "halted", "paused", "failed", "closed"] as const;
/** Seconds; a vendor answers within milliseconds or within its timeout. */
const ATTEMPT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface MetricsView {
  lanes(): readonly LaneView[];
  sources(): readonly SourceView[];
  replays(): readonly ReplayView[];
  heldBytes(): number;
  /** Of those that are held for requests without a known key. */
  keylessHeldBytes(): number;
  /** Bodies that wait to be decompressed or looked through. */
  waitingBodies(): number;
  /** The longest time that the event loop was blocked since the last call. */
  takeBlockedMaxMs(): number;
}

export interface Metrics {
  attempted(environment: string, destination: string, attempt: Attempt): void;
  requestRefused(environment: string, source: string, code: string, repeated: boolean): void;
  requestRetried(environment: string, source: string): void;
  text(): Promise<string>;
  readonly contentType: string;
}

/**
 * What Prometheus reads. The ledger is read from the lanes at the time of the scrape, so the numbers of one
 * scrape balance: accepted = delivered + rejected + dropped + expired + pending.
 */
export function createMetrics(view: MetricsView): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];

  const outcomes = new Gauge({
    name: "waybill_lane_events",
    help: "ledger of a destination by state: accepted = delivered + rejected + dropped + expired + pending.",
    labelNames: [...LANE_LABELS, "state"],
    registers,
  });
  const dropped = new Gauge({
    name: "waybill_lane_dropped_events",
    help: "Events lost on purpose, by reason.",
    labelNames: [...LANE_LABELS, "reason"],
    registers,
  });
  const balanced = new Gauge({
    name: "waybill_lane_balanced",
    help: "1 while the ledger balances; 0 is a defect of Waybill: report it.",
    labelNames: LANE_LABELS,
    registers,
  });
  const unknownFates = new Gauge({
    name: "waybill_lane_unknown_fates",
    help: "Settled events in the ledger minus events whose outcome is known one by one. 0 unless records of them were lost; below 0 is a defect of Waybill: report it.",
    labelNames: LANE_LABELS,
    registers,
  });
  const pendingBytes = new Gauge({
    name: "waybill_lane_pending_bytes",
    help: "Bytes of the log the lane has still to deliver.",
    labelNames: LANE_LABELS,
    registers,
  });
  const oldest = new Gauge({
    name: "waybill_lane_oldest_pending_seconds",
    help: "Age of the oldest pending event.",
    labelNames: LANE_LABELS,
    registers,
  });
  const mode = new Gauge({
    name: "waybill_lane_mode",
    help: "1 for the mode the lane is in.",
    labelNames: [...LANE_LABELS, "mode"],
    registers,
  });
  const untilLoss = new Gauge({
    name: "waybill_lane_time_until_loss_seconds",
    help: "At the present rate of accepts, until retention removes the first event the lane has not delivered. Absent when it never will. Alert on it.",
    labelNames: LANE_LABELS,
    registers,
  });
  const deadLetters = new Gauge({
    name: "waybill_lane_dead_letters",
    help: "Events the destination refused for good, by what became of them since.",
    labelNames: [...LANE_LABELS, "state"],
    registers,
  });
  const replayed = new Gauge({
    name: "waybill_replay_events",
    help: "ledger of a replay by state; the lane's ledger does not contain it.",
    labelNames: [...LANE_LABELS, "replay", "state"],
    registers,
  });
  const lastError = new Gauge({
    name: "waybill_lane_last_error_timestamp_seconds",
    help: "When the lane's last error happened; its text is in /v1/accounts.",
    labelNames: LANE_LABELS,
    registers,
  });
  const accepted = new Gauge({
    name: "waybill_source_accepted_events",
    help: "Events stored since the start.",
    labelNames: SOURCE_LABELS,
    registers,
  });
  const duplicates = new Gauge({
    name: "waybill_source_duplicate_events",
    help: "Events not stored again because their messageId was stored before.",
    labelNames: SOURCE_LABELS,
    registers,
  });
  const refused = new Gauge({
    name: "waybill_source_refused_events",
    help: "Events refused inside an accepted request, by code.",
    labelNames: [...SOURCE_LABELS, "code"],
    registers,
  });
  new Gauge({
    name: "waybill_intake_held_bytes",
    help: "Bytes of request bodies in memory.",
    registers,
    collect() {
      this.set(view.heldBytes());
    },
  });
  new Gauge({
    name: "waybill_intake_keyless_held_bytes",
    help: "Those of them for requests whose key stands in the body, or that have none.",
    registers,
    collect() {
      this.set(view.keylessHeldBytes());
    },
  });
  new Gauge({
    name: "waybill_intake_waiting_bodies",
    help: "Bodies that have come and wait to be decompressed or looked through.",
    registers,
    collect() {
      this.set(view.waitingBodies());
    },
  });
  new Gauge({
    name: "waybill_event_loop_blocked_max_seconds",
    help: "The longest time that the event loop was blocked since the last scrape.",
    registers,
    collect() {
      this.set(view.takeBlockedMaxMs() / 1_000);
    },
  });
  const attempts = new Histogram({
    name: "waybill_attempt_duration_seconds",
    help: "Duration of requests to destinations, by what the answer meant.",
    labelNames: [...LANE_LABELS, "outcome"],
    buckets: ATTEMPT_BUCKETS,
    registers,
  });
  const refusedRequests = new Counter({
    name: "waybill_source_refused_requests_total",
    help: "Requests refused at the door, by code; repeated=true for the same body again, as a client that retries what is final sends it.",
    labelNames: [...SOURCE_LABELS, "code", "repeated"],
    registers,
  });
  const retriedRequests = new Counter({
    name: "waybill_source_retried_requests_total",
    help: "Requests whose client says that it sends them again (X-Retry-Count).",
    labelNames: SOURCE_LABELS,
    registers,
  });

  const collect = (): void => {
    for (const gauge of [
      outcomes,
      dropped,
      balanced,
      unknownFates,
      pendingBytes,
      oldest,
      mode,
      untilLoss,
      deadLetters,
      replayed,
    ])
      gauge.reset();
    lastError.reset();
    for (const lane of view.lanes()) {
      const labels = { environment: lane.environment, destination: lane.destination };
      const { account } = lane;
      for (const state of ["accepted", "delivered", "rejected", "dropped", "expired", "pending"] as const)
        outcomes.set({ ...labels, state }, account[state]);
      for (const [reason, count] of Object.entries(account.droppedByReason)) dropped.set({ ...labels, reason }, count);
      balanced.set(labels, account.balanced ? 1 : 0);
      unknownFates.set(labels, lane.unknownFates ?? 0);
      pendingBytes.set(labels, lane.pendingBytes);
      oldest.set(labels, (lane.oldestPendingMs ?? 0) / 1_000);
      if (lane.timeUntilLossMs !== undefined) untilLoss.set(labels, lane.timeUntilLossMs / 1_000);
      for (const [state, count] of Object.entries(lane.deadLetters)) deadLetters.set({ ...labels, state }, count);
      for (const name of MODES) mode.set({ ...labels, mode: name }, lane.mode === name ? 1 : 0);
      if (lane.lastErrorAtMs !== undefined) lastError.set(labels, lane.lastErrorAtMs / 1_000);
    }
    for (const { environment, destination, id, account } of view.replays()) {
      for (const state of ["accepted", "delivered", "rejected", "dropped", "expired", "pending"] as const)
        replayed.set({ environment, destination, replay: id, state }, account[state]);
    }
    for (const source of view.sources()) {
      const labels = { environment: source.environment, source: source.source };
      accepted.set(labels, source.accepted);
      duplicates.set(labels, source.duplicates);
      for (const [code, count] of Object.entries(source.refusedByCode)) refused.set({ ...labels, code }, count);
    }
  };

  return {
    attempted(environment, destination, attempt) {
      const outcome =
        attempt.halted > 0
          ? "halted"
          : attempt.retryable > 0
            ? "retryable"
            : attempt.rejected > 0
              ? "rejected"
              : "delivered";
      attempts.observe({ environment, destination, outcome }, attempt.durationMs / 1_000);
    },
    requestRefused(environment, source, code, repeated) {
      refusedRequests.inc({ environment, source, code, repeated: String(repeated) });
    },
    requestRetried(environment, source) {
      retriedRequests.inc({ environment, source });
    },
    async text() {
      collect();
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
}
