/** A daily streak: days in a row with an event, in UTC. */
export interface Streak {
  readonly length: number;
  readonly frequency: "daily";
  /** Dates, `YYYY-MM-DD`. */
  readonly started: string;
  readonly periodStart: string;
  readonly periodEnd: string;
  readonly expires: string;
}

const DAY_MS = 24 * 3_600_000;

export function isoDate(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

export function startStreak(nowMs: number): { readonly streak: Streak; readonly extended: boolean } {
  return { streak: streakAt(1, isoDate(nowMs), nowMs), extended: true };
}

/**
 * One day longer on the day after the last one, unchanged on the same day, begun again after a gap.
 */
export function extend(streak: Streak, nowMs: number): { readonly streak: Streak; readonly extended: boolean } {
  const today = isoDate(nowMs);
  if (streak.periodStart === today) return { streak, extended: false };
  if (streak.expires !== today) return startStreak(nowMs);
  return { streak: streakAt(streak.length + 1, streak.started, nowMs), extended: true };
}

function streakAt(length: number, started: string, nowMs: number): Streak {
  const today = isoDate(nowMs);
  return {
    length,
    frequency: "daily",
    started,
    periodStart: today,
    periodEnd: today,
    expires: isoDate(nowMs + DAY_MS),
  };
}
