/**
 * What Trophy's application API answers. Source: the vendor's OpenAPI document 1.21.1, read
 * November 2026. Fields may be added by the vendor.
 */

/** `YYYY-MM-DD`. */
export type DateText = string;

export interface Streak {
  readonly length: number;
  readonly frequency: "daily" | "weekly" | "monthly";
  readonly started?: DateText | null;
  readonly periodStart?: DateText | null;
  readonly periodEnd?: DateText | null;
  readonly expires?: DateText | null;
  readonly freezes?: number;
  readonly maxFreezes?: number;
  readonly freezeAutoEarnInterval?: number;
  readonly freezeAutoEarnAmount?: number;
}

/** Of an event: whether it made the streak longer. */
export interface EventStreak extends Streak {
  readonly extended: boolean;
}

export interface Attribute {
  readonly key: string;
  readonly value: string;
}

export interface Achievement {
  readonly id: string;
  readonly key?: string;
  readonly name: string;
  readonly trigger: "metric" | "streak" | "api" | "achievement";
  readonly description?: string | null;
  readonly badgeUrl?: string | null;
  readonly userAttributes: readonly Attribute[];
  /** ISO 8601; null when not completed. */
  readonly achievedAt?: string | null;
  readonly streakLength?: number;
  readonly achievementIds?: readonly string[];
  readonly metricId?: string;
  readonly metricValue?: number;
  readonly metricName?: string;
  readonly eventAttributes?: readonly Attribute[];
}

export interface PointsSystem {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly description?: string | null;
  readonly badgeUrl?: string | null;
  readonly maxPoints?: number | null;
}

export interface PointsAward {
  readonly id?: string;
  readonly awarded?: number;
  readonly date?: string;
  readonly total?: number;
  readonly trigger?: Readonly<Record<string, unknown>>;
  readonly boosts?: readonly PointsBoost[];
}

export interface PointsBoost {
  readonly id: string;
  readonly name: string;
  readonly status: "active" | "scheduled" | "finished";
  readonly start: DateText;
  readonly end?: DateText | null;
  readonly multiplier: number;
  readonly rounding: "down" | "up" | "nearest";
}

export interface PointsLevel {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly description?: string;
  readonly badgeUrl?: string | null;
  readonly points: number;
}

export interface UserPoints extends PointsSystem {
  readonly total: number;
  readonly awards: readonly PointsAward[];
  readonly level?: PointsLevel | null;
}

export interface EventPoints extends UserPoints {
  /** By this event. */
  readonly added: number;
}

export interface Leaderboard {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly description?: string | null;
  readonly rankBy: "points" | "streak" | "metric";
  readonly breakdownAttributes: readonly string[];
  readonly start: DateText;
  readonly end?: DateText | null;
  readonly startTime?: string | null;
  readonly endTime?: string | null;
  readonly maxParticipants?: number | null;
  readonly runUnit?: "day" | "month" | "year" | null;
  readonly runInterval?: number | null;
  readonly threshold: number;
  readonly metricKey?: string;
  readonly metricName?: string;
  readonly pointsSystemKey?: string;
  readonly pointsSystemName?: string;
}

export interface UserLeaderboard extends Leaderboard {
  readonly rank?: number | null;
  readonly previousRank?: number | null;
  readonly breakdownAttributeValues?: readonly Attribute[];
}

/** The state of the user after a metric event. */
export interface EventResponse {
  readonly eventId: string;
  readonly metricId: string;
  /** The user's new total on the metric. */
  readonly total: number;
  /** Newly completed by this event. */
  readonly achievements: readonly Achievement[];
  readonly currentStreak: EventStreak;
  /** By the key of the points system. */
  readonly points: Readonly<Record<string, EventPoints>>;
  /** By the key of the leaderboard. */
  readonly leaderboards: Readonly<Record<string, UserLeaderboard>>;
  /** The key that was sent. */
  readonly idempotencyKey?: string;
  /**
   * Whether the event had been processed before: then nothing was added, and the rest is the state
   * of now.
   */
  readonly idempotentReplayed?: boolean;
}

export interface User {
  readonly id: string;
  readonly email?: string | null;
  readonly name?: string | null;
  readonly tz?: string | null;
  readonly deviceTokens?: readonly string[] | null;
  readonly subscribeToEmails?: boolean;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly control?: boolean;
  readonly created?: string;
  readonly updated?: string;
}

export interface UserMetric {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly status: string;
  readonly current: number;
  readonly achievements: readonly Achievement[];
}

export interface CompletedAchievement {
  readonly completionId: string;
  readonly achievement: Achievement;
}

export type Preferences = Readonly<Record<string, unknown>>;
