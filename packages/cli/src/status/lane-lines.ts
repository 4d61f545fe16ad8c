/** One lane as text: what it does, what waits, its ledger, its last requests, its settings. */
import type { LaneDetail, RecentAttempt } from "@waybill/relay";
import { counted } from "../counted.ts";
import { type Column, tableLines } from "../terminal/table.ts";
import { joined, type Painted, type Terminal } from "../terminal/terminal.ts";
import { modeTone } from "../terminal/tones.ts";
import { agoText, bytesText, durationText, numberText, rateText } from "../terminal/units.ts";

export interface ShownLane {
  readonly detail: LaneDetail;
  /** Newest first. */
  readonly attempts: readonly RecentAttempt[];
  readonly now: number;
}

type Field = readonly [name: string, text: string];

/** More are shown by the page and with --json. */
const ATTEMPTS_SHOWN = 10;
const EMPTY = "" as Painted;
const REASON_MIN_CHARACTERS = 12;

export function laneLines({ detail, attempts, now }: ShownLane, terminal: Terminal): readonly Painted[] {
  const { environment, destination, mode, reason } = detail;
  const { paint } = terminal;
  const recent = tableLines(attempts.slice(0, ATTEMPTS_SHOWN), attemptColumns(now), terminal);
  return [
    joined([
      paint(`${environment}/${destination}:`, "title"),
      paint(mode, modeTone(mode)),
      paint(reason === null ? "" : `(${reason})`),
    ]),
    EMPTY,
    ...fieldLines(fieldsOf(detail, now), terminal),
    EMPTY,
    paint("ledger", "title"),
    ...ledgerLines(detail, terminal),
    EMPTY,
    paint(recent.length === 0 ? "no requests since the relay was started" : "last requests", "title"),
    ...recent,
    EMPTY,
    paint("settings", "title"),
    ...fieldLines(settingsOf(detail), terminal),
  ];
}

function fieldsOf(
  { vendor, order, sources, limiter, strands, parked, lane }: LaneDetail,
  now: number,
): readonly Field[] {
  const { account, pendingBytes, oldestPendingMs, timeUntilLossMs, attempts, failedAttempts, deadLetters } = lane;
  const oldest = oldestPendingMs === undefined ? "" : `, the oldest for ${durationText(oldestPendingMs)}`;
  const perSecond = limiter.perSecond === null ? "" : `, ${rateText(limiter.perSecond)} requests/s`;
  return [
    ["vendor", vendor],
    ["order", strands > 1 ? `${order}, in ${strands} parts side by side` : order],
    ["sources", sources === null ? "all" : sources.join(", ")],
    ["waiting", `${counted(account.pending, "event")}, ${bytesText(pendingBytes)}${oldest}`],
    ["first loss", timeUntilLossMs === undefined ? "never at the present rate" : `in ${durationText(timeUntilLossMs)}`],
    ["in flight", `${limiter.inFlight} of ${limiter.limit}${perSecond} (${limiter.reason})`],
    ["requests", `${numberText(attempts)}, ${numberText(failedAttempts)} failed`],
    ...(parked.events > 0
      ? [["parked", `${counted(parked.events, "event")} of ${counted(parked.users, "user")}`] as const]
      : []),
    [
      "dead letters",
      `${numberText(deadLetters.waiting)} waiting, ${numberText(deadLetters.retried)} retried, ${numberText(deadLetters.discarded)} discarded`,
    ],
    ...(lane.lastError === undefined
      ? []
      : [["last error", `${lane.lastError}, ${agoText(lane.lastErrorAtMs ?? now, now)}`] as const]),
  ];
}

/** What came in, and what became of it: the parts add up. */
function ledgerLines({ account }: LaneDetail, terminal: Terminal): readonly Painted[] {
  const { accepted, delivered, rejected, dropped, droppedByReason, expired, pending, balanced } = account;
  const reasons = Object.entries(droppedByReason).map(([reason, count]) => `${numberText(count)} ${reason}`);
  const rows: readonly (readonly [name: string, count: number, note: string])[] = [
    ["accepted", accepted, balanced ? "balances" : "DOES NOT BALANCE"],
    ["delivered", delivered, ""],
    ["rejected", rejected, ""],
    ["dropped", dropped, reasons.join(", ")],
    ["expired", expired, ""],
    ["pending", pending, ""],
  ];
  const width = Math.max(...rows.map(([, count]) => numberText(count).length));
  return fieldLines(
    rows.map(([name, count, note]) => [name, `${numberText(count).padStart(width)}  ${note}`.trimEnd()]),
    terminal,
  );
}

/** Nested options by their path: `retry.giveUpAfterMs`. */
function settingsOf({ settings }: LaneDetail): readonly Field[] {
  const leaves = (value: unknown, path: string): readonly Field[] =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.entries(value).flatMap(([name, inner]) => leaves(inner, path === "" ? name : `${path}.${name}`))
      : [[path, typeof value === "string" ? value : (JSON.stringify(value) ?? "")]];
  return leaves(settings, "");
}

function fieldLines(fields: readonly Field[], { paint }: Terminal): readonly Painted[] {
  const width = fields.reduce((most, [name]) => Math.max(most, name.length), 0);
  return fields.map(([name, text]) => joined([paint(name.padEnd(width), "quiet"), paint(text)], "  "));
}

function attemptColumns(now: number): readonly Column<RecentAttempt>[] {
  return [
    { title: "when", value: ({ at }) => agoText(at, now) },
    {
      title: "status",
      value: ({ status }) => String(status ?? ""),
      tone: ({ events, delivered }) => (delivered === events ? "good" : "error"),
    },
    { title: "took", value: ({ durationMs }) => `${numberText(Math.round(durationMs))} ms`, align: "right" },
    { title: "events", value: ({ events }) => numberText(events), align: "right" },
    { title: "delivered", value: ({ delivered }) => numberText(delivered), align: "right" },
    { title: "again", value: ({ retryable }) => numberText(retryable), align: "right", leaveOut: 1 },
    { title: "rejected", value: ({ rejected }) => numberText(rejected), align: "right" },
    { title: "reason", value: ({ reason }) => reason ?? "", min: REASON_MIN_CHARACTERS },
  ];
}
