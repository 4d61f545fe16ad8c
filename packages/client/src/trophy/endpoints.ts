/**
 * The application API as a table: from each line comes a method of the client. Source: protocol
 * section 9.
 *
 * `{name}` in a path is an argument of that name; the other arguments are the query of a GET and
 * the body of the rest.
 */
import type { TrophyUser } from "@waybill/vendors";
import type {
  Achievement,
  CompletedAchievement,
  Leaderboard,
  PointsBoost,
  PointsLevel,
  PointsSystem,
  Preferences,
  Streak,
  User,
  UserLeaderboard,
  UserMetric,
  UserPoints,
} from "./types.ts";

type Method = "GET" | "POST" | "PUT" | "PATCH";

/** `Arguments` and `Answer` are types alone. */
export interface Endpoint<Arguments extends object = object, Answer = unknown> {
  readonly method: Method;
  readonly path: string;
  readonly types?: { readonly arguments: Arguments; readonly answer: Answer };
}

function endpoint<Arguments extends object, Answer>(method: Method, path: string): Endpoint<Arguments, Answer> {
  return { method, path };
}

interface OfUser {
  /** The user's id. */
  readonly id: string;
}
interface OfKey {
  readonly key: string;
}
interface Attributes {
  /** `plan:pro`, separated by commas. */
  readonly userAttributes?: string;
}
type UserFields = Omit<TrophyUser, "id">;

interface Endpoints {
  readonly achievements: {
    readonly all: Endpoint<Attributes, readonly Achievement[]>;
    readonly complete: Endpoint<OfKey & { readonly user: TrophyUser }, CompletedAchievement>;
  };
  readonly users: {
    readonly create: Endpoint<TrophyUser, User>;
    readonly get: Endpoint<OfUser, User>;
    readonly identify: Endpoint<OfUser & UserFields, User>;
    readonly update: Endpoint<OfUser & UserFields, User>;
    readonly getPreferences: Endpoint<OfUser, Preferences>;
    readonly updatePreferences: Endpoint<OfUser & Preferences, Preferences>;
    readonly allMetrics: Endpoint<OfUser, readonly UserMetric[]>;
    readonly singleMetric: Endpoint<OfUser & OfKey, UserMetric>;
    readonly metricEventSummary: Endpoint<
      OfUser &
        OfKey & {
          readonly aggregation: "daily" | "weekly" | "monthly";
          readonly startDate: string;
          readonly endDate: string;
        },
      readonly { readonly date: string; readonly total: number; readonly change: number }[]
    >;
    readonly achievements: Endpoint<OfUser & { readonly includeIncomplete?: "true" }, readonly Achievement[]>;
    readonly streak: Endpoint<OfUser & { readonly historyPeriods?: number }, Streak>;
    readonly points: Endpoint<OfUser & OfKey & { readonly awards?: number }, UserPoints>;
    readonly pointsBoosts: Endpoint<OfUser & OfKey & { readonly includeFinished?: boolean }, readonly PointsBoost[]>;
    readonly pointsEventSummary: Endpoint<
      OfUser &
        OfKey & {
          readonly aggregation: "daily" | "weekly" | "monthly";
          readonly startDate: string;
          readonly endDate: string;
        },
      readonly { readonly date: string; readonly total: number; readonly change: number }[]
    >;
    readonly leaderboard: Endpoint<OfUser & OfKey & { readonly run?: string }, UserLeaderboard>;
    readonly wrapped: Endpoint<OfUser & { readonly year?: number }, Readonly<Record<string, unknown>>>;
  };
  readonly streaks: {
    readonly list: Endpoint<
      { readonly userIds?: string },
      readonly { readonly userId: string; readonly streakLength: number }[]
    >;
  };
  readonly points: {
    readonly summary: Endpoint<OfKey & Attributes, readonly Readonly<Record<string, unknown>>[]>;
    readonly system: Endpoint<
      OfKey,
      PointsSystem & { readonly triggers: readonly Readonly<Record<string, unknown>>[] }
    >;
    readonly boosts: Endpoint<OfKey & { readonly includeFinished?: boolean }, readonly PointsBoost[]>;
    readonly levels: Endpoint<OfKey, readonly PointsLevel[]>;
    readonly levelSummary: Endpoint<OfKey, readonly Readonly<Record<string, unknown>>[]>;
  };
  readonly leaderboards: {
    readonly all: Endpoint<object, readonly Leaderboard[]>;
    readonly get: Endpoint<
      OfKey & { readonly run?: string; readonly offset?: number; readonly limit?: number },
      Leaderboard
    >;
  };
}

/** Of a metric; its method documents more than the table can. */
export const EVENT: Endpoint = endpoint("POST", "/metrics/{key}/event");

export const ENDPOINTS: Endpoints = {
  achievements: {
    all: endpoint("GET", "/achievements"),
    complete: endpoint("POST", "/achievements/{key}/complete"),
  },
  users: {
    create: endpoint("POST", "/users"),
    get: endpoint("GET", "/users/{id}"),
    identify: endpoint("PUT", "/users/{id}"),
    update: endpoint("PATCH", "/users/{id}"),
    getPreferences: endpoint("GET", "/users/{id}/preferences"),
    updatePreferences: endpoint("PATCH", "/users/{id}/preferences"),
    allMetrics: endpoint("GET", "/users/{id}/metrics"),
    singleMetric: endpoint("GET", "/users/{id}/metrics/{key}"),
    metricEventSummary: endpoint("GET", "/users/{id}/metrics/{key}/event-summary"),
    achievements: endpoint("GET", "/users/{id}/achievements"),
    streak: endpoint("GET", "/users/{id}/streak"),
    points: endpoint("GET", "/users/{id}/points/{key}"),
    pointsBoosts: endpoint("GET", "/users/{id}/points/{key}/boosts"),
    pointsEventSummary: endpoint("GET", "/users/{id}/points/{key}/event-summary"),
    leaderboard: endpoint("GET", "/users/{id}/leaderboards/{key}"),
    wrapped: endpoint("GET", "/users/{id}/wrapped"),
  },
  streaks: { list: endpoint("GET", "/streaks") },
  points: {
    summary: endpoint("GET", "/points/{key}/summary"),
    system: endpoint("GET", "/points/{key}"),
    boosts: endpoint("GET", "/points/{key}/boosts"),
    levels: endpoint("GET", "/points/{key}/levels"),
    levelSummary: endpoint("GET", "/points/{key}/level-summary"),
  },
  leaderboards: {
    all: endpoint("GET", "/leaderboards"),
    get: endpoint("GET", "/leaderboards/{key}"),
  },
};

/** One more argument that each method takes. */
export interface WithRequestOptions<Options> {
  readonly requestOptions?: Options;
}

/** The methods of a group of endpoints. */
export type Calls<Group, Options> = {
  readonly [Name in keyof Group]: Group[Name] extends Endpoint<infer Arguments, infer Answer>
    ? object extends Arguments
      ? (input?: Arguments & WithRequestOptions<Options>) => Promise<Answer>
      : (input: Arguments & WithRequestOptions<Options>) => Promise<Answer>
    : never;
};

export type Api<Options> = { readonly [Group in keyof Endpoints]: Calls<Endpoints[Group], Options> };
