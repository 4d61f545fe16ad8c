/**
 * Trophy's server: metric events that act once per key, users, streaks, and the rest of the
 * application API as far as its state answers it.
 */
import type { ServerRequest, ServerResponse } from "../server.ts";
import {
  type EmulatorOptions,
  isObject,
  type JsonObject,
  json,
  parseBody,
  pathOf,
  VendorEmulator,
} from "./emulator.ts";
import { extend, isoDate, type Streak, startStreak } from "./trophy-streak.ts";

export interface TrophyEmulatorOptions extends EmulatorOptions {
  /** `prefix.body`; `app_…` keys are for `applicationUsers`. Default: any that is not empty. */
  readonly apiKeys?: readonly string[];
  /** The user an application key belongs to, by key. */
  readonly applicationUsers?: Readonly<Record<string, string>>;
  /** Keys of the metrics. Default: any. */
  readonly metrics?: readonly string[];
  /** Attributes that an event, and a user, may have. Default none. */
  readonly eventAttributes?: readonly string[];
  readonly userAttributes?: readonly string[];
  /** Completed when a metric's total reaches the value. */
  readonly achievements?: readonly TrophyAchievement[];
  /** Points systems: so many points are added per event. */
  readonly points?: Readonly<Record<string, number>>;
  /** Leaderboards by key, of a metric. */
  readonly leaderboards?: Readonly<Record<string, { readonly metric: string }>>;
}

export interface TrophyAchievement {
  readonly key: string;
  readonly name: string;
  readonly metric?: string;
  readonly value?: number;
}

interface TrophyUserState {
  fields: JsonObject;
  readonly totals: Map<string, number>;
  readonly achieved: Map<string, string>;
  readonly points: Map<string, number>;
  readonly events: { readonly metric: string; readonly value: number; readonly date: string }[];
  streak: Streak | undefined;
  preferences: JsonObject;
}

interface StoredEvent {
  readonly eventId: string;
  readonly user: string;
  readonly metric: string;
  readonly value: number;
  readonly idempotencyKey: string | undefined;
  readonly attributes: JsonObject;
}

export class TrophyEmulator extends VendorEmulator {
  readonly #options: TrophyEmulatorOptions;
  #apiKeys: readonly string[] | undefined;
  /** By user, metric and key; remembered without limit. */
  readonly #byKey = new Map<string, StoredEvent>();
  readonly users: Map<string, TrophyUserState> = new Map();
  /** Metric events that acted, oldest first. */
  readonly events: StoredEvent[] = [];
  /** Repeats, answered with 202. */
  duplicates = 0;

  constructor(options: TrophyEmulatorOptions = {}) {
    super(options);
    this.#options = options;
    this.#apiKeys = options.apiKeys;
  }

  rotate(apiKeys: readonly string[]): void {
    this.#apiKeys = apiKeys;
  }

  /** A user's total on a metric. */
  total(user: string, metric: string): number {
    return this.users.get(user)?.totals.get(metric) ?? 0;
  }

  streak(user: string): Streak | undefined {
    return this.users.get(user)?.streak;
  }

  protected refusal(status: number): ServerResponse {
    return json(status, { error: "injected failure" });
  }

  protected work(request: ServerRequest): ServerResponse {
    const key = request.headers["x-api-key"] ?? "";
    if (key === "" || this.#apiKeys?.includes(key) === false) return json(401, { error: "Invalid API key." });
    const parts = pathOf(request)
      .replace(/^\/v1/, "")
      .split("/")
      .slice(1)
      .map((part) => decodeURIComponent(part));
    const route = `${request.method} ${parts[0] ?? ""}`;
    const body = request.method === "GET" ? {} : parseBody(request);
    if (!isObject(body)) return json(400, { error: "The body is not a JSON object." });
    if (route === "POST metrics" && parts[2] === "event") return this.#event(parts[1] ?? "", body, request, key);
    if (route === "POST achievements") return this.#complete(parts[1] ?? "", body);
    if (parts[0] === "users") return this.#user(request.method, parts.slice(1), body, key);
    if (request.method === "GET") return this.#project(parts);
    return json(404, { error: "Not found." });
  }

  #event(metric: string, body: JsonObject, request: ServerRequest, key: string): ServerResponse {
    const { user, value, attributes = {} } = body;
    if (!isObject(user) || typeof user["id"] !== "string" || user["id"] === "")
      return json(422, { error: "user.id is required." });
    if (typeof value !== "number") return json(422, { error: "value must be a number." });
    if (this.#options.metrics?.includes(metric) === false) return json(422, { error: `Metric ${metric} not found.` });
    const fault =
      this.#forbidden(key, user["id"]) ??
      unknownKeys(attributes, this.#options.eventAttributes) ??
      this.#userFault(user);
    if (fault !== undefined) return fault;
    const idempotencyKey = request.headers["idempotency-key"];
    const scope = `${user["id"]}\n${metric}\n${idempotencyKey}`;
    const before = idempotencyKey === undefined ? undefined : this.#byKey.get(scope);
    if (before !== undefined) {
      this.duplicates += 1;
      return json(202, this.#answer(before, { replayed: true, achieved: [], extended: false }));
    }
    const state = this.#upsert(user["id"], user);
    const stored: StoredEvent = {
      eventId: `event-${this.events.length + 1}`,
      user: user["id"],
      metric,
      value,
      idempotencyKey,
      attributes: attributes as JsonObject,
    };
    this.events.push(stored);
    if (idempotencyKey !== undefined) this.#byKey.set(scope, stored);
    return json(201, this.#answer(stored, { replayed: false, ...this.#apply(state, stored) }));
  }

  #apply(state: TrophyUserState, { metric, value }: StoredEvent): { achieved: TrophyAchievement[]; extended: boolean } {
    const nowMs = this.clock.now();
    const total = (state.totals.get(metric) ?? 0) + value;
    state.totals.set(metric, total);
    state.events.push({ metric, value, date: isoDate(nowMs) });
    const { streak, extended } = state.streak === undefined ? startStreak(nowMs) : extend(state.streak, nowMs);
    state.streak = streak;
    const achieved = (this.#options.achievements ?? []).filter(
      (one) => one.metric === metric && total >= (one.value ?? 0) && !state.achieved.has(one.key),
    );
    for (const { key } of achieved) state.achieved.set(key, new Date(nowMs).toISOString());
    for (const [key, added] of Object.entries(this.#options.points ?? {}))
      state.points.set(key, (state.points.get(key) ?? 0) + added);
    return { achieved, extended };
  }

  #answer(
    event: StoredEvent,
    { replayed, achieved, extended }: { replayed: boolean; achieved: readonly TrophyAchievement[]; extended: boolean },
  ): JsonObject {
    const state = this.users.get(event.user) as TrophyUserState;
    return {
      eventId: event.eventId,
      metricId: `metric-${event.metric}`,
      total: state.totals.get(event.metric) ?? 0,
      achievements: achieved.map((one) => achievementOf(one, state.achieved.get(one.key) ?? null)),
      currentStreak: { ...streakOf(state), extended },
      points: Object.fromEntries(
        Object.entries(this.#options.points ?? {}).map(([key, perEvent]) => [
          key,
          { ...pointsOf(key, state.points.get(key) ?? 0), added: replayed ? 0 : perEvent, awards: [] },
        ]),
      ),
      leaderboards: Object.fromEntries(
        Object.entries(this.#options.leaderboards ?? {})
          .filter(([, { metric }]) => metric === event.metric)
          .map(([key, { metric }]) => {
            const rank = this.#rank(event.user, metric);
            return [key, { ...leaderboardOf(key, metric), rank, previousRank: rank }];
          }),
      ),
      ...(event.idempotencyKey === undefined
        ? {}
        : { idempotencyKey: event.idempotencyKey, idempotentReplayed: replayed }),
    };
  }

  #complete(key: string, { user }: JsonObject): ServerResponse {
    const achievement = this.#options.achievements?.find((one) => one.key === key);
    if (achievement === undefined) return json(404, { error: `Achievement ${key} not found.` });
    if (!isObject(user) || typeof user["id"] !== "string") return json(422, { error: "user.id is required." });
    const state = this.#upsert(user["id"], user);
    const achievedAt = state.achieved.get(key) ?? new Date(this.clock.now()).toISOString();
    state.achieved.set(key, achievedAt);
    return json(201, { completionId: `completion-${key}`, achievement: achievementOf(achievement, achievedAt) });
  }

  #user(method: string, [id, resource, key]: readonly string[], body: JsonObject, apiKey: string): ServerResponse {
    const userId = id ?? body["id"];
    if (typeof userId !== "string" || userId === "") return json(422, { error: "id is required." });
    const state = this.users.get(userId);
    const fault = this.#forbidden(apiKey, userId) ?? this.#userFault(body);
    if (fault !== undefined) return fault;
    if (resource === undefined) {
      if (method === "POST" && id === undefined) return json(201, this.#view(userId, this.#upsert(userId, body)));
      if (method === "PUT") return json(200, this.#view(userId, this.#upsert(userId, body)));
      if (state === undefined) return json(404, { error: "User not found." });
      if (method === "PATCH") return json(200, this.#view(userId, this.#upsert(userId, body)));
      return method === "GET" ? json(200, this.#view(userId, state)) : json(404, { error: "Not found." });
    }
    if (state === undefined) return json(404, { error: "User not found." });
    if (resource === "preferences" && method === "PATCH") state.preferences = { ...state.preferences, ...body };
    else if (method !== "GET") return json(404, { error: "Not found." });
    return this.#userResource(userId, state, resource, key);
  }

  #userResource(userId: string, state: TrophyUserState, resource: string, key: string | undefined): ServerResponse {
    const metrics = [...state.totals].map(([metric, current]) => ({
      id: `metric-${metric}`,
      key: metric,
      name: metric,
      status: "active",
      current,
      achievements: [],
    }));
    switch (resource) {
      case "preferences":
        return json(200, state.preferences);
      case "metrics":
        return key === undefined ? json(200, metrics) : found(metrics.find((one) => one.key === key));
      case "achievements":
        return json(
          200,
          (this.#options.achievements ?? [])
            .filter((one) => state.achieved.has(one.key))
            .map((one) => achievementOf(one, state.achieved.get(one.key) ?? null)),
        );
      case "streak":
        return json(200, { ...streakOf(state), streakHistory: [] });
      case "points":
        return found(
          Object.hasOwn(this.#options.points ?? {}, key ?? "")
            ? { ...pointsOf(key ?? "", state.points.get(key ?? "") ?? 0), awards: [] }
            : undefined,
        );
      case "leaderboards": {
        const board = this.#options.leaderboards?.[key ?? ""];
        return found(
          board === undefined
            ? undefined
            : {
                ...leaderboardOf(key ?? "", board.metric),
                rank: this.#rank(userId, board.metric),
                value: state.totals.get(board.metric) ?? 0,
                history: [],
              },
        );
      }
      case "wrapped":
        return json(200, {
          user: this.#view(userId, state),
          activity: { daysUsed: new Set(state.events.map(({ date }) => date)).size },
        });
      default:
        return json(404, { error: "Not found." });
    }
  }

  /** What belongs to no user. */
  #project([kind, key, part]: readonly string[]): ServerResponse {
    if (kind === "achievements")
      return json(
        200,
        (this.#options.achievements ?? []).map((one) => this.#withRarity(one)),
      );
    if (kind === "streaks")
      return json(
        200,
        [...this.users].map(([userId, state]) => ({ userId, streakLength: state.streak?.length ?? 0 })),
      );
    if (kind === "leaderboards") {
      const boards = Object.entries(this.#options.leaderboards ?? {}).map(([one, { metric }]) =>
        leaderboardOf(one, metric),
      );
      return key === undefined ? json(200, boards) : found(boards.find((one) => one["key"] === key));
    }
    if (kind === "points" && Object.hasOwn(this.#options.points ?? {}, key ?? "")) {
      const { total: _total, ...system } = pointsOf(key ?? "", 0);
      return json(200, part === undefined ? { ...system, triggers: [] } : []);
    }
    return json(404, { error: "Not found." });
  }

  #withRarity(achievement: TrophyAchievement): JsonObject {
    const completions = [...this.users.values()].filter(({ achieved }) => achieved.has(achievement.key)).length;
    const rarity = this.users.size === 0 ? 0 : (100 * completions) / this.users.size;
    return { ...achievementOf(achievement, null), completions, rarity };
  }

  #upsert(userId: string, fields: JsonObject): TrophyUserState {
    const state = this.users.get(userId) ?? {
      fields: {},
      totals: new Map(),
      achieved: new Map(),
      points: new Map(),
      events: [],
      streak: undefined,
      preferences: { notifications: {} },
    };
    const { id: _id, ...given } = fields;
    state.fields = { ...state.fields, ...given };
    this.users.set(userId, state);
    return state;
  }

  #view(id: string, { fields }: TrophyUserState): JsonObject {
    const nowText = new Date(this.clock.now()).toISOString();
    return {
      id,
      subscribeToEmails: true,
      control: false,
      created: nowText,
      updated: nowText,
      attributes: {},
      ...fields,
    };
  }

  #forbidden(key: string, userId: string): ServerResponse | undefined {
    const owner = this.#options.applicationUsers?.[key];
    return owner === undefined || owner === userId
      ? undefined
      : json(403, { error: "This key belongs to another user." });
  }

  #userFault(user: JsonObject): ServerResponse | undefined {
    return unknownKeys(user["attributes"] ?? {}, this.#options.userAttributes);
  }

  #rank(userId: string, metric: string): number | null {
    const own = this.users.get(userId)?.totals.get(metric);
    if (own === undefined) return null;
    return (
      1 + [...this.users.values()].filter(({ totals }) => (totals.get(metric) ?? Number.NEGATIVE_INFINITY) > own).length
    );
  }
}

function unknownKeys(attributes: unknown, declared: readonly string[] = []): ServerResponse | undefined {
  const unknown = isObject(attributes) ? Object.keys(attributes).filter((key) => !declared.includes(key)) : [];
  return unknown.length === 0 ? undefined : json(422, { error: `Invalid attribute keys: ${unknown.join(", ")}.` });
}

function found(value: unknown): ServerResponse {
  return value === undefined ? json(404, { error: "Not found." }) : json(200, value);
}

function achievementOf({ key, name, metric, value }: TrophyAchievement, achievedAt: string | null): JsonObject {
  return {
    id: `achievement-${key}`,
    key,
    name,
    trigger: metric === undefined ? "api" : "metric",
    description: null,
    badgeUrl: null,
    userAttributes: [],
    achievedAt,
    ...(metric === undefined ? {} : { metricId: `metric-${metric}`, metricName: metric, metricValue: value ?? 0 }),
  };
}

function streakOf({ streak }: TrophyUserState): JsonObject {
  const none = { length: 0, frequency: "daily", started: null, periodStart: null, periodEnd: null, expires: null };
  return { ...(streak ?? none) };
}

function pointsOf(key: string, total: number): JsonObject {
  return { id: `points-${key}`, key, name: key, description: null, badgeUrl: null, maxPoints: null, total };
}

/** All that any of the real SDKs insists on. */
function leaderboardOf(key: string, metric: string): JsonObject {
  return {
    id: `leaderboard-${key}`,
    key,
    name: key,
    description: null,
    rankBy: "metric",
    metricKey: metric,
    metricName: metric,
    breakdownAttribute: null,
    breakdownAttributes: [],
    userAttributes: [],
    start: "2026-01-01",
    end: null,
    startTime: null,
    endTime: null,
    maxParticipants: 1_000,
    runUnit: null,
    runInterval: null,
    threshold: 0,
    status: "active",
  };
}
