/**
 * What is known of a lane beyond its present state, made of what it shows once a second: rates,
 * since when it fails or makes no progress, the last hour.
 */
import type { LaneSnapshot } from "@waybill/core";
import type { Durations } from "../../delivery/lane-activity.ts";
import type { LaneMode } from "../views.ts";
import { Column } from "./history.ts";
import { Rate, RecentGrowth } from "./rates.ts";

const HOUR_MS = 3_600_000;
/** A limit that was not felt for so long is over. */
const LIMITED_GAP_MS = 30_000;
const SIGNIFICANT = 3;

/** As a lane is at one moment. */
export interface LaneReading {
  readonly lane: LaneSnapshot;
  readonly accepted: number;
  readonly delivered: number;
  readonly expired: number;
  readonly pending: number;
  readonly limitReason: string;
}

/** When a reading was made. */
export interface Moment {
  readonly monotonicMs: number;
  /** Epoch ms. */
  readonly nowMs: number;
}

/** Times are epoch ms. */
export interface LaneTroubles {
  /** Since when it is in its mode, where that mode lasts. */
  readonly modeSince: number | null;
  /** Requests have failed, and nothing was delivered since. */
  readonly failingSince: number | null;
  /** Something waits, and nothing is settled or tried. */
  readonly stalledSince: number | null;
  /** The vendor refuses requests for their number. */
  readonly limitedSince: number | null;
  /** Within the last hour. */
  readonly expired: number;
  readonly expiredSince: number | null;
}

/** Of a lane, or of all of an environment. */
export class LaneColumns {
  readonly delivered: Column = new Column(0);
  readonly failedAttempts: Column = new Column(0);
  readonly p50Ms: Column = new Column(Number.NaN);
  readonly p99Ms: Column = new Column(Number.NaN);
}

const MEDIAN = 0.5;
const LAST_HUNDREDTH = 0.99;

export function setDurations({ p50Ms, p99Ms }: LaneColumns, step: number, durations: Durations): void {
  p50Ms.set(step, durations.quantile(MEDIAN));
  p99Ms.set(step, durations.quantile(LAST_HUNDREDTH));
}

/** Their value as it is shown. */
export function shownMs(durationMs: number): number {
  return Number.isNaN(durationMs) ? durationMs : Number(durationMs.toPrecision(SIGNIFICANT));
}

export class LaneTrack {
  readonly columns: LaneColumns = new LaneColumns();
  readonly out: Rate = new Rate();
  readonly #expired = new RecentGrowth(HOUR_MS);
  #before: LaneReading | undefined;
  #mode: LaneMode | undefined;
  #modeSince = 0;
  #failingSince: number | null = null;
  #stalledSince: number | null = null;
  #limitedSince: number | null = null;
  #limitedAt = Number.NEGATIVE_INFINITY;
  /** What there is at first is old. */
  #sampledDelivered: number | undefined;
  #sampledFailed = 0;

  note(reading: LaneReading, moment: Moment): void {
    const before = this.#before;
    this.#before = reading;
    this.#sampledDelivered ??= reading.delivered;
    this.out.note(reading.delivered, moment.monotonicMs);
    this.#expired.note(reading.expired, moment);
    const { mode } = reading.lane;
    if (mode !== this.#mode) this.#modeSince = moment.nowMs;
    this.#mode = mode;
    this.#noteProgress(reading, before, moment);
    this.#noteLimit(reading, moment);
  }

  /** What came since the sample before. */
  sample(step: number): { readonly delivered: number; readonly failedAttempts: number } {
    const { delivered = 0, lane: { failedAttempts = 0 } = {} } = this.#before ?? {};
    const grown = {
      delivered: Math.max(0, delivered - (this.#sampledDelivered ?? delivered)),
      failedAttempts: Math.max(0, failedAttempts - this.#sampledFailed),
    };
    this.#sampledDelivered = delivered;
    this.#sampledFailed = failedAttempts;
    this.columns.delivered.set(step, grown.delivered);
    this.columns.failedAttempts.set(step, grown.failedAttempts);
    return grown;
  }

  troubles(): LaneTroubles {
    const lasts = this.#mode === "paused" || this.#mode === "halted" || this.#mode === "failed";
    return {
      modeSince: lasts ? this.#modeSince : null,
      failingSince: this.#failingSince,
      stalledSince: this.#stalledSince,
      limitedSince: this.#limitedSince,
      expired: this.#expired.events,
      expiredSince: this.#expired.since ?? null,
    };
  }

  #noteProgress(reading: LaneReading, before: LaneReading | undefined, { nowMs }: Moment): void {
    const settled = reading.accepted - reading.pending;
    const settledBefore = before === undefined ? 0 : before.accepted - before.pending;
    const { attempts, failedAttempts, lastErrorAtMs, mode } = reading.lane;
    const isQuiet = reading.pending === 0 || mode === "paused" || mode === "closed";
    const hasFailed = failedAttempts > (before?.lane.failedAttempts ?? 0);
    // What is delivered, or given up for good, is progress.
    if (isQuiet || (before !== undefined && settled > settledBefore && mode !== "halted")) this.#failingSince = null;
    else if (hasFailed) this.#failingSince ??= lastErrorAtMs ?? nowMs;
    const moves = before === undefined || settled !== settledBefore || attempts !== before.lane.attempts;
    // Others have a reason of their own to send nothing.
    const mayMove = mode === "idle" || mode === "sending";
    if (isQuiet || moves || !mayMove) this.#stalledSince = null;
    else this.#stalledSince ??= nowMs;
  }

  #noteLimit({ limitReason, pending, lane }: LaneReading, { nowMs, monotonicMs }: Moment): void {
    const isWaiting = limitReason.includes("waiting as the vendor requests");
    const isRefused = lane.mode === "waiting" && (lane.reason ?? "").startsWith("429");
    if (pending > 0 && (isWaiting || isRefused)) {
      this.#limitedAt = monotonicMs;
      this.#limitedSince ??= nowMs;
    } else if (pending === 0 || monotonicMs - this.#limitedAt > LIMITED_GAP_MS) this.#limitedSince = null;
  }
}
