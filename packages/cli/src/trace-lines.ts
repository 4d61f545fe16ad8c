/** One event's story: when it was received, then each destination's attempts in their order. */
import type { AttemptView, TraceDestination, TracedEvent, TraceOutcome } from "@waybill/relay";
import { counted } from "./counted.ts";
import { joined, type Painted, type Terminal, type Tone } from "./terminal/terminal.ts";
import { durationText } from "./terminal/units.ts";

const TONES: Readonly<Record<TraceOutcome, Tone>> = {
  pending: "warning",
  delivered: "good",
  rejected: "error",
  dropped: "warning",
  expired: "error",
  unknown: "warning",
  not_addressed: "quiet",
};
const SECOND_MS = 1_000;
/** From here on whole units tell enough. */
const MINUTE_MS = 60_000;

export function traceLines(traced: TracedEvent, terminal: Terminal): readonly Painted[] {
  const { environment, source, position, receivedAtMs, event, destinations } = traced;
  const { paint } = terminal;
  const place = `${environment}/${position}`;
  const story = destinations.flatMap((one) => destinationLines(one, { receivedAtMs, terminal }));
  if (receivedAtMs === undefined)
    return [paint(`was stored at ${place}; the event itself is no longer in the log`, "title"), ...story];
  const head = `received ${time(receivedAtMs)} from ${environment}/${source}, stored at ${place}, receipt ${place}+1`;
  return [paint(head, "title"), paint(`  ${JSON.stringify(event)}`), ...story];
}

interface About {
  readonly receivedAtMs: number | undefined;
  readonly terminal: Terminal;
}

function destinationLines(traced: TraceDestination, about: About): readonly Painted[] {
  const { destination, outcome, attempts, deadLetter, deliveredByRetryAtMs, replays, reason } = traced;
  const { paint } = about.terminal;
  const details = detailsOf(traced);
  const line = (atMs: number, text: string, tone: Tone = "plain"): Painted => momentLine(atMs, { text, tone }, about);
  return [
    joined(
      [paint(`${destination}:`, "title"), paint(shown(outcome), TONES[outcome] ?? "plain"), paint(details, "quiet")],
      " ",
    ),
    ...attempts.map((attempt, index) => attemptOf(attempt, index + 1, about)),
    ...(deadLetter === undefined
      ? []
      : [
          line(
            deadLetter.rejectedAtMs,
            `rejected${reason === undefined ? "" : `: ${reason}`}; dead letter ${deadLetter.deadLetterId}, ${deadLetter.state}`,
            "error",
          ),
        ]),
    ...replays.flatMap(({ replay, outcome: again, reason: why, attempts: tried }) => [
      paint(`  replay ${replay}: ${shown(again)}${why === undefined ? "" : ` (${why})`}`, TONES[again] ?? "plain"),
      ...tried.map((attempt, index) => attemptOf(attempt, index + 1, about)),
    ]),
    ...(deliveredByRetryAtMs === undefined
      ? []
      : [line(deliveredByRetryAtMs, "delivered by the retry of its dead letter", "good")]),
  ];
}

/** What the lines below do not tell. */
function detailsOf({ removed, formerVendor, lane, reason, deadLetter }: TraceDestination): string {
  const details = [
    removed === true ? "removed from the configuration" : undefined,
    formerVendor === undefined ? undefined : `its vendor was ${formerVendor} then`,
    lane === undefined ? undefined : `lane ${lane}`,
    deadLetter === undefined ? reason : undefined,
  ].filter((detail) => detail !== undefined);
  return details.length === 0 ? "" : `(${details.join("; ")})`;
}

function attemptOf(attempt: AttemptView, number: number, about: About): Painted {
  const isFine = attempt.delivered === attempt.count;
  const text = `attempt ${number}: ${answerOf(attempt)}`;
  return momentLine(attempt.atMs, { text, tone: isFine ? "plain" : "warning" }, about);
}

/** When, how long after it was received, and what. */
function momentLine(
  atMs: number,
  { text, tone }: { readonly text: string; readonly tone: Tone },
  { receivedAtMs, terminal: { paint } }: About,
): Painted {
  const after = receivedAtMs === undefined ? "" : `+${spanText(atMs - receivedAtMs)}`;
  return joined([paint(`  ${time(atMs)}`), paint(after.padStart(AFTER_CHARACTERS), "quiet"), paint(text, tone)], "  ");
}

const AFTER_CHARACTERS = 8;

/** Of a dead letter: when it was sent, and what came back. */
export function attemptLine(attempt: AttemptView): string {
  return `${time(attempt.atMs)} ${answerOf(attempt)}`;
}

function answerOf(attempt: AttemptView): string {
  const { count, status, durationMs, reason } = attempt;
  const answer = status === undefined ? "no answer" : `status ${status}`;
  const head = `${answer} after ${durationMs} ms, ${counted(count, "event")}`;
  if (reason === undefined) return head;
  // The reason is that of the first event that has one: not all need be concerned.
  const fates = OUTCOMES.filter((name) => attempt[name] > 0).map((name) => `${attempt[name]} ${name}`);
  return fates.length < 2 ? `${head}: ${reason}` : `${head} (${fates.join(", ")}: ${reason})`;
}

const OUTCOMES = ["delivered", "retryable", "halted", "rejected"] as const;

/** `12 ms`, `1.5 s`, then as other durations. */
function spanText(ms: number): string {
  if (ms < SECOND_MS) return `${Math.max(0, Math.round(ms))} ms`;
  return ms < MINUTE_MS ? `${(ms / SECOND_MS).toFixed(1)} s` : durationText(ms);
}

function shown(outcome: TraceOutcome): string {
  return outcome.replace("_", " ");
}

function time(atMs: number): string {
  return new Date(atMs).toISOString();
}
