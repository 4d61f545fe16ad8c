/**
 * GetFluxly's server: partial acceptance, idempotency keys, profiles that are stitched and merged.
 */
import type { ServerRequest, ServerResponse } from "../server.ts";
import {
  bearerOf,
  type EmulatorOptions,
  isObject,
  type JsonObject,
  json,
  parseBody,
  pathOf,
  Seen,
  VendorEmulator,
} from "./emulator.ts";

export interface GetFluxlyEmulatorOptions extends EmulatorOptions {
  /**
   * Tokens that are taken. Default: any that begins with `gflux_`. `gflux_pub_…` may send events
   * only.
   */
  readonly tokens?: readonly string[];
}

export interface GetFluxlyProfile {
  readonly id: string;
  readonly anonymousIds: Set<string>;
  readonly externalIds: Set<string>;
  readonly userIds: Set<string>;
  traits: JsonObject;
  /** The profile it became part of. */
  mergedInto?: string;
}

const EVENT_MAX_BYTES = 32 * 1024;
const BATCH_MAX_BYTES = 262_144;
const EVENTS_MAX = 100;
const PROPERTIES_MAX = 32;
const NAME_MAX = 64;
const DAY_MS = 24 * 3_600_000;
const SNAKE_CASE = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "Authorization, Content-Type, X-Idempotency-Key, X-Request-ID",
};

interface Replay {
  readonly response: ServerResponse;
  readonly atMs: number;
}

export class GetFluxlyEmulator extends VendorEmulator {
  #tokens: readonly string[] | undefined;
  readonly #messageIds = new Seen(Number.POSITIVE_INFINITY);
  readonly #replays = new Map<string, Replay>();
  #answered = 0;
  /** Events after dedupe, oldest first. */
  readonly events: JsonObject[] = [];
  /** Oldest first, merged ones too. */
  readonly profiles: GetFluxlyProfile[] = [];
  /** Events whose `message_id` had come before. */
  duplicates = 0;
  /** Calls whose idempotency key had come before. */
  replayed = 0;

  constructor(options: GetFluxlyEmulatorOptions = {}) {
    super(options);
    this.#tokens = options.tokens;
  }

  rotate(tokens: readonly string[]): void {
    this.#tokens = tokens;
  }

  protected refusal(status: number): ServerResponse {
    const code = { 408: "timeout", 425: "too_early", 429: "rate_limited" }[status] ?? "server_error";
    return this.#error(status, code, "injected failure");
  }

  protected work(request: ServerRequest, partial: boolean): ServerResponse {
    if (request.method === "OPTIONS") return { status: 204, headers: CORS, body: "" };
    const response = this.#route(request, partial);
    return { ...response, headers: { ...response.headers, ...CORS } };
  }

  #route(request: ServerRequest, partial: boolean): ServerResponse {
    const token = bearerOf(request) ?? new URLSearchParams(request.path.split("?")[1]).get("api_key") ?? undefined;
    if (token === undefined || !(this.#tokens?.includes(token) ?? token.startsWith("gflux_")))
      return this.#error(401, "unauthenticated", "unknown token");
    const path = pathOf(request);
    const isServerKey = !token.startsWith("gflux_pub_");
    const erase = /^\/v1\/profiles\/([^/]+)\/erase$/.exec(path)?.[1];
    const isKnown = ["/v1/events", "/v1/events/batch", "/v1/identify/alias"].includes(path) || erase !== undefined;
    if (request.method !== "POST" || !isKnown) return this.#error(404, "not_found", path);
    if (!isServerKey && !path.startsWith("/v1/events"))
      return this.#error(403, "wrong_key_type", "a server key is needed", { received: "publishable" });
    const maxBytes = path === "/v1/events" ? EVENT_MAX_BYTES : BATCH_MAX_BYTES;
    if (request.body.length > maxBytes) return this.#error(413, "payload_too_large", `more than ${maxBytes} bytes`);
    const key = request.headers["x-idempotency-key"];
    const scope = key === undefined ? undefined : `${path} ${key}`;
    const replay = scope === undefined ? undefined : this.#replays.get(scope);
    if (replay !== undefined && this.clock.now() - replay.atMs < DAY_MS) {
      this.replayed += 1;
      return replay.response;
    }
    const body = parseBody(request);
    const response = isObject(body)
      ? this.#act(path, erase, body, request, partial)
      : this.#error(400, "validation_error", "the body is not a JSON object");
    if (scope !== undefined && response.status < 300) this.#replays.set(scope, { response, atMs: this.clock.now() });
    return response;
  }

  #act(
    path: string,
    erase: string | undefined,
    body: JsonObject,
    request: ServerRequest,
    partial: boolean,
  ): ServerResponse {
    if (erase !== undefined) return this.#erase(erase);
    if (path === "/v1/identify/alias") return this.#alias(body, request.headers["x-request-id"]);
    if (path === "/v1/events") {
      const fault = faultOf(body);
      if (fault !== undefined) return this.#error(400, "validation_error", fault);
      this.#take(body);
      return this.#accepted({ accepted: 1, rejected: 0 });
    }
    const events = body["events"];
    if (!Array.isArray(events) || events.length === 0)
      return this.#error(400, "validation_error", "events: 1 to 100 are expected");
    if (events.length > EVENTS_MAX) return this.#error(413, "payload_too_large", `${events.length} events`);
    const errors: { index: number; error: string; detail: string }[] = [];
    for (const [index, event] of events.entries()) {
      const fault = partial && index % 2 === 1 ? "injected refusal" : faultOf(event);
      if (fault === undefined) this.#take(event as JsonObject);
      else errors.push({ index, error: "validation_error", detail: fault });
    }
    return this.#accepted({ accepted: events.length - errors.length, rejected: errors.length, errors });
  }

  #take(event: JsonObject): void {
    const id = event["message_id"];
    if (typeof id === "string" && this.#messageIds.add(id, this.clock.now())) {
      this.duplicates += 1;
      return;
    }
    const { traits } = event;
    const isIdentify = event["event"] === "$identify" || event["event"] === "identify";
    const profile = this.#stitch(event, isIdentify);
    if (isIdentify && isObject(traits)) profile.traits = { ...profile.traits, ...traits };
    // Without a time, the time of receipt.
    const occurredAt = event["occurred_at"] ?? event["timestamp"] ?? new Date(this.clock.now()).toISOString();
    this.events.push({ ...event, occurred_at: occurredAt });
  }

  /**
   * The profile of the ids: created, given the ids it lacks, or the oldest of several that become
   * one.
   */
  #stitch(event: JsonObject, mayMerge: boolean): GetFluxlyProfile {
    const ids = idsOf(event);
    const found = this.profiles.filter((profile) => profile.mergedInto === undefined && matches(profile, ids));
    const oldest = found[0];
    if (oldest === undefined) {
      const profile: GetFluxlyProfile = {
        id: `prf_${this.profiles.length + 1}`,
        anonymousIds: new Set(ids.anonymous),
        externalIds: new Set(ids.external),
        userIds: new Set(ids.user),
        traits: {},
      };
      this.profiles.push(profile);
      return profile;
    }
    if (!mayMerge) return oldest;
    for (const other of found.slice(1)) this.#merge(oldest, other);
    attach(oldest, ids);
    return oldest;
  }

  #merge(survivor: GetFluxlyProfile, other: GetFluxlyProfile): void {
    attach(survivor, {
      anonymous: [...other.anonymousIds],
      external: [...other.externalIds],
      user: [...other.userIds],
    });
    survivor.traits = { ...other.traits, ...survivor.traits };
    other.mergedInto = survivor.id;
  }

  #alias(body: JsonObject, requestId: string | undefined): ServerResponse {
    const { user_id: userId, anonymous_id: anonymousId, previous_id: previousId } = body;
    if (!isText(userId)) return this.#error(400, "validation_error", "user_id is required");
    if (!isText(anonymousId) && !isText(previousId))
      return this.#error(400, "validation_error", "anonymous_id or previous_id is required");
    const known = this.profiles.filter((profile) => profile.mergedInto === undefined);
    const to = known.find((profile) => profile.userIds.has(userId));
    const from = known.find(
      (profile) =>
        (isText(anonymousId) && profile.anonymousIds.has(anonymousId)) ||
        (isText(previousId) && (profile.userIds.has(previousId) || profile.anonymousIds.has(previousId))),
    );
    // Two people that are known as somebody each are not joined.
    if (isText(anonymousId) && from !== undefined && from.userIds.size > 0 && !from.userIds.has(userId))
      return this.#error(409, "alias_conflict", "both ids belong to somebody", {
        profiles: [to?.id ?? userId, from.id],
      });
    const event = { user_id: userId, ...(isText(anonymousId) ? { anonymous_id: anonymousId } : {}) };
    const target = to ?? from ?? this.#stitch(event, true);
    if (from !== undefined && from !== target) this.#merge(target, from);
    attach(target, { anonymous: isText(anonymousId) ? [anonymousId] : [], external: [], user: [userId] });
    const alias = {
      user_id: userId,
      ...(isText(anonymousId) ? { anonymous_id: anonymousId } : {}),
      ...(isText(previousId) ? { previous_id: previousId } : {}),
      merged_at: new Date(this.clock.now()).toISOString(),
    };
    const asked = requestId ?? body["request_id"];
    return isText(asked)
      ? {
          ...json(200, { alias, request_id: asked }),
          headers: { "content-type": "application/json", "x-request-id": asked },
        }
      : json(200, { alias });
  }

  #erase(id: string): ServerResponse {
    const profile = this.profiles.find((one) => one.id === id);
    if (profile === undefined) return this.#error(404, "not_found", id);
    const ids = {
      anonymous: [...profile.anonymousIds],
      external: [...profile.externalIds],
      user: [...profile.userIds],
    };
    const kept = this.events.filter((event) => {
      const own = idsOf(event);
      return ![...own.anonymous, ...own.external, ...own.user].some((one) =>
        [...ids.anonymous, ...ids.external, ...ids.user].includes(one),
      );
    });
    const erased = this.events.length - kept.length;
    this.events.splice(0, this.events.length, ...kept);
    this.profiles.splice(this.profiles.indexOf(profile), 1);
    const completesBy = new Date(this.clock.now() + DAY_MS).toISOString();
    return json(202, {
      erasure_id: `era_${id}`,
      profiles_targeted: 1,
      events_targeted: erased,
      completes_by: completesBy,
    });
  }

  #accepted(counts: object): ServerResponse {
    return json(202, { ...counts, request_id: this.#requestId() });
  }

  #error(status: number, error: string, detail: string, more: object = {}): ServerResponse {
    return json(status, { error, detail, ...more, request_id: this.#requestId() });
  }

  #requestId(): string {
    return `req_${(this.#answered++).toString(16).padStart(6, "0")}`;
  }
}

function faultOf(event: unknown): string | undefined {
  if (!isObject(event)) return "not an object";
  const { event: name, properties } = event;
  if (typeof name !== "string" || name === "") return "event is required";
  if (name !== "$identify" && (!SNAKE_CASE.test(name) || name.length > NAME_MAX))
    return "event name must be snake_case";
  if (!["anonymous_id", "external_id", "user_id"].some((key) => isText(event[key]))) return "an id is required";
  if (isObject(properties) && Object.keys(properties).length > PROPERTIES_MAX)
    return "properties have more than 32 keys";
  return JSON.stringify(event).length > EVENT_MAX_BYTES ? "event has more than 32 KB" : undefined;
}

interface Ids {
  readonly anonymous: readonly string[];
  readonly external: readonly string[];
  readonly user: readonly string[];
}

function idsOf(event: JsonObject): Ids {
  const list = (key: string): string[] => (isText(event[key]) ? [event[key]] : []);
  return { anonymous: list("anonymous_id"), external: list("external_id"), user: list("user_id") };
}

function matches(profile: GetFluxlyProfile, ids: Ids): boolean {
  return (
    ids.anonymous.some((id) => profile.anonymousIds.has(id)) ||
    ids.external.some((id) => profile.externalIds.has(id)) ||
    ids.user.some((id) => profile.userIds.has(id))
  );
}

function attach(profile: GetFluxlyProfile, ids: Ids): void {
  for (const id of ids.anonymous) profile.anonymousIds.add(id);
  for (const id of ids.external) profile.externalIds.add(id);
  for (const id of ids.user) profile.userIds.add(id);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
