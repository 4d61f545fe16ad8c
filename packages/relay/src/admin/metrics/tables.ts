/** What is measured of lanes, replays and sources. */
import type { TlsView } from "../../tls/tls-end.ts";
import { laneMode } from "../schemas/overview.ts";
import type { AccountView, LaneView, ReplayView, SourceView } from "../views.ts";
import type { Reading } from "./readings.ts";

const MS_PER_SECOND = 1_000;

/**
 * The ledger: accepted = delivered + rejected + dropped + expired + pending. Its states are metrics
 * of their own:
 * their sum means nothing. All but the reasons are there from the start, at 0, so that formulas
 * over them work.
 */
function ledgerOf<V extends { readonly account: AccountView }>(prefix: string, whose: string): readonly Reading<V>[] {
  return [
    {
      name: `${prefix}_accepted_events_total`,
      help: `Events that were accepted for ${whose}: delivered, rejected, dropped, expired and pending ones together.`,
      kind: "counter",
      value: ({ account }) => account.accepted,
    },
    {
      name: `${prefix}_delivered_events_total`,
      help: `Events of ${whose} that the vendor took.`,
      kind: "counter",
      value: ({ account }) => account.delivered,
    },
    {
      name: `${prefix}_rejected_events_total`,
      help: `Events of ${whose} that the vendor refused for good; they became dead letters.`,
      kind: "counter",
      value: ({ account }) => account.rejected,
    },
    {
      name: `${prefix}_dropped_events_total`,
      help: `Events of ${whose} that were left out on purpose.`,
      kind: "counter",
      value: ({ account }) => account.dropped,
    },
    {
      name: `${prefix}_dropped_events_by_reason_total`,
      help: `Events of ${whose} that were left out on purpose, by reason.`,
      kind: "counter",
      byLabel: { label: "reason", values: ({ account }) => account.droppedByReason },
    },
    {
      name: `${prefix}_expired_events_total`,
      help: `Events of ${whose} that retention removed before they were delivered.`,
      kind: "counter",
      value: ({ account }) => account.expired,
    },
    {
      name: `${prefix}_pending_events`,
      help: `Events of ${whose} that are still to be delivered.`,
      kind: "gauge",
      value: ({ account }) => account.pending,
    },
  ];
}

export const LANE_READINGS: readonly Reading<LaneView>[] = [
  ...ledgerOf<LaneView>("waybill_lane", "a destination"),
  {
    name: "waybill_lane_balanced",
    help: "Whether the ledger balances: 1 if it does. 0 is a defect of Waybill; please report it.",
    kind: "gauge",
    value: ({ account }) => (account.balanced ? 1 : 0),
  },
  {
    name: "waybill_lane_unknown_fates",
    help: "Settled events in the ledger minus events whose outcome is known one by one. It is 0 unless records of them were lost; a negative number is a defect of Waybill, please report it.",
    kind: "gauge",
    value: ({ unknownFates = 0 }) => unknownFates,
  },
  {
    name: "waybill_lane_pending_bytes",
    help: "Bytes of the log that the lane has still to deliver.",
    kind: "gauge",
    value: ({ pendingBytes }) => pendingBytes,
  },
  {
    name: "waybill_lane_oldest_pending_seconds",
    help: "Age of the oldest pending event, 0 if there is none.",
    kind: "gauge",
    value: ({ oldestPendingMs = 0 }) => oldestPendingMs / MS_PER_SECOND,
  },
  {
    name: "waybill_lane_in_flight",
    help: "Requests that are on their way to the vendor.",
    kind: "gauge",
    value: ({ inFlight }) => inFlight,
  },
  {
    name: "waybill_lane_in_flight_limit",
    help: "Most requests at once, for now. Why is in /v1/accounts.",
    kind: "gauge",
    value: ({ inFlightLimit }) => inFlightLimit,
  },
  {
    name: "waybill_lane_requests_per_second_limit",
    help: "Most requests a second, for now. Absent when there is no limit.",
    kind: "gauge",
    value: ({ requestsPerSecondLimit }) => requestsPerSecondLimit,
  },
  {
    name: "waybill_lane_strands",
    help: "Parts of the lane that are delivered side by side, each in order.",
    kind: "gauge",
    value: ({ strands }) => strands,
  },
  {
    name: "waybill_lane_parked_users",
    help: "Users whose events wait because one of them fails while others are delivered.",
    kind: "gauge",
    value: ({ parkedUsers }) => parkedUsers,
  },
  {
    name: "waybill_lane_parked_events",
    help: "Events that wait because one of their user fails while others are delivered. They are pending too.",
    kind: "gauge",
    value: ({ parkedEvents }) => parkedEvents,
  },
  {
    name: "waybill_lane_mode",
    help: "The mode of the lane as a state set: 1 for the mode that it is in, 0 for the others.",
    kind: "gauge",
    byLabel: {
      label: "mode",
      values: ({ mode }) => Object.fromEntries(laneMode.options.map((one) => [one, one === mode ? 1 : 0])),
    },
  },
  {
    name: "waybill_lane_time_until_loss_seconds",
    help: "At the present rate of ingest, the time until retention removes the first event that the lane has not delivered. Absent when it never will. Alert on it.",
    kind: "gauge",
    value: ({ timeUntilLossMs }) => (timeUntilLossMs === undefined ? undefined : timeUntilLossMs / MS_PER_SECOND),
  },
  {
    name: "waybill_lane_dead_letters",
    help: "Dead letters of a destination, by what became of them since.",
    kind: "gauge",
    byLabel: { label: "state", values: ({ deadLetters }) => deadLetters },
  },
  {
    name: "waybill_lane_last_error_timestamp_seconds",
    help: "When the lane's last error happened. Its text is in /v1/accounts.",
    kind: "gauge",
    value: ({ lastErrorAtMs }) => (lastErrorAtMs === undefined ? undefined : lastErrorAtMs / MS_PER_SECOND),
  },
];

/** A replay's ledger is not a part of its lane's. */
export const REPLAY_READINGS: readonly Reading<ReplayView>[] = ledgerOf("waybill_replay", "a replay");

export const SOURCE_READINGS: readonly Reading<SourceView>[] = [
  {
    name: "waybill_source_accepted_events_total",
    help: "Events of a source that were stored since the process started.",
    kind: "counter",
    value: ({ accepted }) => accepted,
  },
  {
    name: "waybill_source_duplicate_events_total",
    help: "Events of a source that were not stored because their message id already was.",
    kind: "counter",
    value: ({ duplicates }) => duplicates,
  },
  {
    name: "waybill_source_refused_events_total",
    help: "Events of a source that were refused within an accepted request, by code.",
    kind: "counter",
    byLabel: { label: "code", values: ({ refusedByCode }) => refusedByCode },
  },
];

export const TLS_READINGS: readonly Reading<TlsView>[] = [
  {
    name: "waybill_tls_certificate_not_after_timestamp_seconds",
    help: "When the certificate of a port expires. Alert on it.",
    kind: "gauge",
    value: ({ validTo }) => validTo / MS_PER_SECOND,
  },
  {
    name: "waybill_tls_certificate_unusable",
    help: "Whether the files of a port's certificate cannot be used, so that the one before is shown on: 1 if so.",
    kind: "gauge",
    value: ({ broken }) => (broken === undefined ? 0 : 1),
  },
  {
    name: "waybill_tls_open_handshakes",
    help: "Connections of a port whose TLS handshake is not over.",
    kind: "gauge",
    value: ({ openHandshakes }) => openHandshakes,
  },
  {
    name: "waybill_tls_failed_handshakes_total",
    help: "Connections of a port that ended in no TLS: refused, too slow, or plain HTTP.",
    kind: "counter",
    value: ({ failedHandshakes }) => failedHandshakes,
  },
];
