/** What became of one event at one destination, in the order in which it happened. */
import type { AttemptView, TraceDestination } from "../api/types.ts";
import { counted, fullCount } from "../format/numbers.ts";
import { duration } from "../format/times.ts";

export interface StoryEntry {
  /** Absent where nobody knows the time, or it is still to come. */
  readonly at: number | undefined;
  readonly title: string;
  readonly detail: string;
  readonly tone: "ok" | "error" | "warn" | "info" | "quiet";
}

const ENDS: Readonly<Record<TraceDestination["outcome"], readonly [title: string, tone: StoryEntry["tone"]]>> = {
  pending: ["Waits to be delivered", "info"],
  delivered: ["Delivered", "ok"],
  rejected: ["Refused by the vendor for good", "error"],
  dropped: ["Left out on purpose", "quiet"],
  expired: ["Removed by retention before it was delivered", "error"],
  unknown: ["The record of its outcome is gone", "quiet"],
  not_addressed: ["The destination was added later", "quiet"],
};

export function storyOf(destination: TraceDestination): readonly StoryEntry[] {
  const { outcome, reason = "", attempts, deadLetter, deliveredByRetryAtMs, replays } = destination;
  const last = attempts.at(-1);
  const [title, tone] = ENDS[outcome];
  const endedAt = outcome === "rejected" ? deadLetter?.rejectedAtMs : undefined;
  const end: StoryEntry = {
    at: endedAt ?? (last === undefined || outcome === "pending" ? undefined : last.atMs + last.durationMs),
    title,
    detail: reason,
    tone,
  };
  const later = replays.flatMap((replay) => [
    ...replay.attempts.map((attempt, index) => attemptEntry(attempt, `Replay, attempt ${index + 1}`)),
    ...(replay.outcome === "delivered" && replay.attempts.length > 0
      ? []
      : [replayEnd(replay.replay, ENDS[replay.outcome], replay.reason)]),
  ]);
  const retried: readonly StoryEntry[] =
    deliveredByRetryAtMs === undefined
      ? []
      : [{ at: deliveredByRetryAtMs, title: "Delivered by a retry of its dead letter", detail: "", tone: "ok" }];
  const kept: readonly StoryEntry[] =
    deadLetter === undefined
      ? []
      : [
          {
            at: deadLetter.rejectedAtMs,
            title: `Dead letter ${fullCount(deadLetter.deadLetterId)}, ${deadLetter.state}`,
            detail: "",
            tone: deadLetter.state === "waiting" ? "warn" : "quiet",
          },
        ];
  return [
    ...attempts.map((attempt, index) => attemptEntry(attempt, `Attempt ${index + 1}`)),
    end,
    ...kept,
    ...later,
    ...retried,
  ];
}

function attemptEntry(attempt: AttemptView, title: string): StoryEntry {
  const { atMs, status, durationMs, count, reason, retryable, rejected, halted } = attempt;
  const answer = status === undefined ? "no answer" : `status ${status}`;
  const detail = `${answer} after ${duration(durationMs)}, with ${counted(count, "event")}${reason === undefined ? "" : `: ${reason}`}`;
  const isWell = retryable + rejected + halted === 0;
  return { at: atMs, title, detail, tone: isWell ? "ok" : "warn" };
}

function replayEnd(
  replay: string,
  [title, tone]: readonly [string, StoryEntry["tone"]],
  reason: string | undefined,
): StoryEntry {
  return {
    at: undefined,
    title: `Replay: ${title.charAt(0).toLowerCase()}${title.slice(1)}`,
    detail: reason ?? replay,
    tone,
  };
}
