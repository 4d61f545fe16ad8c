/** What is wrong with a lane, or with several lanes of a destination, and what to do about it. */
import { own } from "@waybill/core";
import type { LaneTroubles } from "./live/lane-track.ts";
import { durationText, eventsText, quote, timeText } from "./problem-texts.ts";
import type { LaneMode, RelayProblem } from "./views.ts";

/** Of a lane, or of several: sums, and the earliest times, in epoch ms. */
interface LaneFigures {
  readonly destination: string;
  readonly reason: string | null | undefined;
  readonly lastError: string | null | undefined;
  readonly waitingEvents: number;
  readonly oldestAt: number | null;
  readonly lossAt: number | null;
  readonly deadLetters: number;
  readonly parkedEvents: number;
}

export interface LaneFacts extends LaneFigures {
  readonly environment: string;
  readonly mode: LaneMode;
  readonly balanced: boolean;
  readonly troubles: LaneTroubles;
}

export interface ProblemFigures extends LaneFigures {
  /** Within the last hour. */
  readonly expired: number;
  /** When the problem began. */
  readonly since: number | null;
  readonly now: number;
}

/** A request that fails now and then is nobody's business; a minute of nothing but failures is. */
const OUTAGE_MS = 60_000;
/** Longer than any linger or backoff of a lane that works. */
const STALLED_MS = 120_000;
/** A limit that is met is a limit that works; a backlog of this age is a problem. */
const LIMITED_MS = 300_000;
/** A pause for work on a destination is over by then. */
const PAUSED_MS = 900_000;
const LOSS_SOON_MS = 24 * 3_600_000;
/** Loss within this time is an error. */
const LOSS_NOW_MS = 3_600_000;

interface LaneProblem {
  readonly severity: RelayProblem["severity"];
  readonly what: (lane: ProblemFigures) => string;
  readonly doThis: string;
}

const CORRECT_KEY =
  "Rotate the key: `waybill rotate`, the page, or the configuration and a reload. Then it goes on by itself.";

function keyRefusedText(lane: ProblemFigures): string {
  return `${lane.destination} refuses the key${sinceText(lane)} (${quote(lane.reason)}); ${keptText(lane)}.`;
}

const PROBLEMS = {
  lane_failed: {
    severity: "error",
    what: (lane) =>
      `A defect has stopped ${lane.destination}${sinceText(lane)}: ${quote(lane.reason)}; ${keptText(lane)}.`,
    doThis: "Resume it to try again, and please report the defect with the log of the relay.",
  },
  key_refused: { severity: "error", what: keyRefusedText, doThis: CORRECT_KEY },
  forbidden: { severity: "error", what: keyRefusedText, doThis: CORRECT_KEY },
  lane_halted: {
    severity: "error",
    what: (lane) => `${lane.destination} takes nothing${sinceText(lane)} (${quote(lane.reason)}); ${keptText(lane)}.`,
    doThis: "Correct its address, key or proxy in the configuration and reload, then try it with a probe.",
  },
  lane_paused: {
    severity: "warning",
    what: (lane) => `${lane.destination} is paused${sinceText(lane)}; ${keptText(lane)}.`,
    doThis: "Resume it when the work on it is done.",
  },
  rate_limited: {
    severity: "warning",
    what: (lane) => {
      const oldest = durationText(lane.now - (lane.oldestAt ?? lane.now));
      return `${lane.destination} limits how much it takes${sinceText(lane)}; ${keptText(lane)}, the oldest for ${oldest}.`;
    },
    doThis: "Raise the limit at the vendor, or send it less: filter, sampleRate.",
  },
  destination_failing: {
    severity: "error",
    what: (lane) =>
      `${lane.destination} has taken nothing${sinceText(lane)} (${quote(lane.lastError)}); ${keptText(lane)}.`,
    doThis: "Look at the vendor's status page. The relay tries again by itself; a probe tries at once.",
  },
  lane_stalled: {
    severity: "error",
    what: (lane) =>
      `${lane.destination} has made no progress${sinceText(lane)}, though nothing fails; ${keptText(lane)}.`,
    doThis: "Pause and resume it. If that does not help, restart the relay, and please report it.",
  },
  events_lost: {
    severity: "error",
    what: ({ destination, expired }) =>
      `Retention took ${eventsText(expired)} from ${destination} within the last hour before they were delivered.`,
    doThis: "Raise retention.hardMaxBytes if the disk has room, and see to what holds the destination up.",
  },
  loss_soon: {
    // An error when it is near.
    severity: "warning",
    what: ({ destination, lossAt, now, waitingEvents }) =>
      `In ${durationText(Math.max(0, (lossAt ?? now) - now))} retention begins to take events that wait for ${destination}: ${eventsText(waitingEvents)} wait.`,
    doThis: "See to what holds the destination up, or raise retention.hardMaxBytes if the disk has room.",
  },
  dead_letters: {
    severity: "warning",
    what: ({ destination, deadLetters }) =>
      `${destination} has refused ${eventsText(deadLetters)} for good: they wait as dead letters.`,
    doThis: "Look at their reasons, correct the cause, and retry or discard them.",
  },
  events_parked: {
    severity: "warning",
    what: ({ destination, parkedEvents }) =>
      `${eventsText(parkedEvents)} of some users wait for ${destination}, because one of each user fails while others are delivered.`,
    doThis: "It is tried again by itself, and becomes a dead letter after retry.giveUpAfter. Its error tells why.",
  },
  ledger_unbalanced: {
    severity: "error",
    what: ({ destination }) => `The ledger of ${destination} does not balance.`,
    doThis: "That is a defect of Waybill: please report it with the log of the relay.",
  },
} as const satisfies Readonly<Record<string, LaneProblem>>;

type LaneCode = keyof typeof PROBLEMS;

/** Of the lane itself: a replay that it has is another matter. */
export const LANE_CODES: ReadonlySet<string> = new Set(Object.keys(PROBLEMS));

/** `undefined`: no problem of a lane has this code. */
export function laneProblemText(code: string, figures: ProblemFigures): string | undefined {
  return own<LaneProblem>(PROBLEMS, code)?.what(figures);
}

export function laneProblems(lane: LaneFacts, now: number): readonly RelayProblem[] {
  const { lossAt, deadLetters, parkedEvents, troubles } = lane;
  const found: RelayProblem[] = [];
  const add = (code: LaneCode, since: number | null = null, severity = PROBLEMS[code].severity): void => {
    const { environment, destination } = lane;
    const { what, doThis } = PROBLEMS[code];
    const figures = { ...lane, expired: troubles.expired, since, now };
    found.push({ severity, code, environment, destination, since, what: what(figures), doThis });
  };
  const stop = stopOf(lane, now);
  if (stop !== undefined) add(stop.code, stop.since);
  if (troubles.expired > 0) add("events_lost", troubles.expiredSince);
  if (lossAt !== null && lossAt - now < LOSS_SOON_MS)
    add("loss_soon", null, lossAt - now < LOSS_NOW_MS ? "error" : "warning");
  if (deadLetters > 0) add("dead_letters");
  // While nothing at all is delivered it is the destination that fails.
  if (parkedEvents > 0 && troubles.failingSince === null) add("events_parked");
  if (!lane.balanced) add("ledger_unbalanced");
  return found;
}

interface Stop {
  readonly code: LaneCode;
  readonly since: number | null;
}

/** Why nothing, or too little, is delivered: the one reason that matters most. */
function stopOf({ mode, reason, oldestAt, troubles }: LaneFacts, now: number): Stop | undefined {
  const { modeSince, failingSince, limitedSince, stalledSince } = troubles;
  if (mode === "failed") return { code: "lane_failed", since: modeSince };
  if (mode === "halted") return { code: haltOf(reason ?? ""), since: modeSince };
  if (mode === "paused")
    return modeSince === null || now - modeSince < PAUSED_MS ? undefined : { code: "lane_paused", since: modeSince };
  const isLimited = limitedSince !== null && now - limitedSince >= LIMITED_MS;
  if (isLimited && oldestAt !== null && now - oldestAt >= LIMITED_MS)
    return { code: "rate_limited", since: limitedSince };
  if (limitedSince === null && failingSince !== null && now - failingSince >= OUTAGE_MS)
    return { code: "destination_failing", since: failingSince };
  if (stalledSince !== null && now - stalledSince >= STALLED_MS) return { code: "lane_stalled", since: stalledSince };
  return undefined;
}

function haltOf(reason: string): LaneCode {
  const status = /^(?:HTTP )?(\d{3})\b/.exec(reason)?.[1];
  if (status === "401") return "key_refused";
  return status === "403" ? "forbidden" : "lane_halted";
}

function sinceText({ since, now }: ProblemFigures): string {
  return since === null ? "" : ` since ${timeText(since, now)}`;
}

function keptText({ waitingEvents }: ProblemFigures): string {
  return waitingEvents === 0
    ? "no events wait"
    : `${eventsText(waitingEvents)} ${waitingEvents === 1 ? "is" : "are"} kept`;
}
