/**
 * Amplitude's ingestion: `/2/httpapi`, `/batch`, `/identify` and `/groupidentify`, with its limits,
 * its dedupe by `insert_id` and its refusals, which name events by their place and store nothing.
 *
 * A request is checked in this order: size, JSON, key, the fields of its events, the rates of users
 * and devices. Source: amplitude-docs, `http-v2.md`, `batch-event-upload.md` and `identify.md` of
 * commit 6e7e48e, read November 2026.
 */
import type { ServerRequest, ServerResponse } from "../server.ts";
import { type EventFaults, faultsOf, withoutShortIds } from "./amplitude-faults.ts";
import { changed } from "./amplitude-properties.ts";
import { SlidingSums } from "./amplitude-rates.ts";
import {
  type EmulatorOptions,
  isObject,
  type JsonObject,
  json,
  parseBody,
  pathOf,
  Seen,
  VendorEmulator,
} from "./emulator.ts";

export interface AmplitudeEmulatorOptions extends EmulatorOptions {
  /** Keys of projects. Default: any. */
  readonly apiKeys?: readonly string[];
  /**
   * Events of one user or device within a day, once {@link AmplitudeEmulator.flag} was called.
   * Default 500,000.
   */
  readonly dailyQuota?: number;
}

/** An answer that comes after the events were stored. The vendor's 503 never does. */
export interface LateFailure {
  readonly status: 500 | 502 | 504;
  readonly times: number;
}

interface Route {
  readonly maxBytes: number;
  readonly maxEvents: number;
  /** Of one user or device, averaged over {@link RATE_WINDOW_MS}. */
  readonly perSecond: number;
  readonly isBatch: boolean;
}

/** The smaller reading of "1 MB": whoever keeps to it keeps to both. */
const MB = 1_000_000;
const ROUTES: ReadonlyMap<string, Route> = new Map([
  ["/2/httpapi", { maxBytes: MB, maxEvents: 2_000, perSecond: 30, isBatch: false }],
  ["/batch", { maxBytes: 20 * MB, maxEvents: 2_000, perSecond: 1_000, isBatch: true }],
]);
const IDENTIFY_PATHS: ReadonlySet<string> = new Set(["/identify", "/groupidentify"]);
const IDENTIFY_MAX_BYTES = MB;
const IDENTIFY_MAX_ITEMS = 1_024;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
/** Of the batch endpoint; that of the other is not documented. */
const RATE_WINDOW_MS = 30_000;
const DEDUPE_MS = 7 * 24 * HOUR_MS;
const DAILY_QUOTA = 500_000;
/**
 * Updates of one user's properties in an hour; what is above it is dropped, and the answer is a
 * 200.
 */
const UPDATES_MAX = 1_800;
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, OPTIONS",
  "access-control-allow-headers": "*",
};

export class AmplitudeEmulator extends VendorEmulator {
  #apiKeys: readonly string[] | undefined;
  readonly #dailyQuota: number;
  readonly #insertIds = new Seen(DEDUPE_MS);
  readonly #rates = new SlidingSums(RATE_WINDOW_MS, SECOND_MS);
  readonly #days = new SlidingSums(24 * HOUR_MS, HOUR_MS);
  readonly #updates = new SlidingSums(HOUR_MS, HOUR_MS / 60);
  readonly #flagged = new Set<string>();
  readonly #silenced = new Set<string>();
  readonly #properties = new Map<string, JsonObject>();
  #forbidden: string | undefined;
  #late: { status: LateFailure["status"]; left: number } | undefined;
  /** Answers 5xx as the gateway in front does: HTML for 502, nothing for 503. */
  hasGatewayFace = false;
  /** Events after dedupe, oldest first. */
  readonly events: JsonObject[] = [];
  /** Elements of `/identify` and `/groupidentify`, oldest first. */
  readonly identifications: JsonObject[] = [];
  duplicates = 0;
  /** Updates of users' properties that were above the limit of an hour. */
  droppedUpdates = 0;

  constructor(options: AmplitudeEmulatorOptions = {}) {
    super(options);
    this.#apiKeys = options.apiKeys;
    this.#dailyQuota = options.dailyQuota ?? DAILY_QUOTA;
  }

  rotate(apiKeys: readonly string[]): void {
    this.#apiKeys = apiKeys;
  }

  /** From now on the daily quota holds for this user or device. */
  flag(id: string): void {
    this.#flagged.add(id);
  }

  /** From now on events of this device are refused for good. */
  silence(deviceId: string): void {
    this.#silenced.add(deviceId);
  }

  /**
   * From now on a body with this text in it is refused by the firewall in front; "" refuses every
   * body.
   */
  forbid(text: string | undefined): void {
    this.#forbidden = text;
  }

  /** Stores, and answers with an error all the same. */
  failAfterStoring(failure: LateFailure): void {
    this.#late = { status: failure.status, left: failure.times };
  }

  /** What is known of a user, by `user_id` or else `device_id`. */
  propertiesOf(userId: string): JsonObject {
    return this.#properties.get(`user ${userId}`) ?? {};
  }

  groupPropertiesOf(type: string, group: string): JsonObject {
    return this.#properties.get(`group ${type} ${group}`) ?? {};
  }

  protected refusal(status: number): ServerResponse {
    if (this.hasGatewayFace && status === 502)
      return { status, headers: { "content-type": "text/html" }, body: "<html>Bad Gateway</html>" };
    if (this.hasGatewayFace && status === 503) return { status, headers: {}, body: "" };
    return error(status, status === 429 ? "Too many requests for some devices and users" : "Failing on request");
  }

  protected work(request: ServerRequest, partial: boolean): ServerResponse {
    if (request.method === "OPTIONS") return { status: 204, headers: CORS, body: "" };
    const response = this.#route(request, partial);
    return { ...response, headers: { ...response.headers, ...CORS } };
  }

  #route(request: ServerRequest, partial: boolean): ServerResponse {
    const path = pathOf(request).replace(/\/$/, "");
    if (this.#forbidden !== undefined && new TextDecoder().decode(request.body).includes(this.#forbidden))
      return error(403, "Forbidden");
    if (IDENTIFY_PATHS.has(path)) return this.#identify(request, path);
    const route = request.method === "POST" ? ROUTES.get(path) : undefined;
    if (route === undefined) return error(404, "Invalid request path");
    if (request.body.length > route.maxBytes) return error(413, "Payload too large");
    if (request.body.length === 0) return error(400, "Missing request body");
    const body = parseBody(request);
    if (!isObject(body)) return error(400, "Invalid JSON request body");
    const refused = this.#keyFault(body["api_key"]);
    if (refused !== undefined) return refused;
    const { events, options } = body;
    if (!Array.isArray(events) || events.length === 0) return missing("events");
    if (events.length > route.maxEvents) return error(413, "Payload too large");
    const minIdLength = isObject(options) ? Number(options["min_id_length"] ?? MIN_ID_LENGTH) : MIN_ID_LENGTH;
    return this.#events(events, { request, route, minIdLength, apiKey: String(body["api_key"]), partial });
  }

  #keyFault(apiKey: unknown): ServerResponse | undefined {
    if (apiKey === undefined || apiKey === null) return missing("api_key");
    const isKnown = typeof apiKey === "string" && this.#apiKeys?.includes(apiKey) !== false;
    return isKnown ? undefined : error(400, `Invalid API key: ${String(apiKey)}`);
  }

  #events(all: readonly unknown[], { request, route, minIdLength, apiKey, partial }: Call): ServerResponse {
    const faults = faultsOf(all, { minIdLength, namesAll: route.isBatch });
    if (partial) for (let index = 1; index < all.length; index += 2) faults.add("invalid", "event_properties", index);
    const silenced = this.#silencedIn(all);
    if (faults.count > 0 || silenced.events.length > 0) return refusedEvents(faults, silenced);
    const events = (all as readonly JsonObject[]).map((event) => withoutShortIds(event, minIdLength));
    const limited = this.#limited(events, route);
    if (limited !== undefined) return limited;
    for (const event of events) this.#store(event, apiKey);
    const late = this.#late;
    if (late !== undefined && late.left > 0) {
      late.left -= 1;
      return this.refusal(late.status);
    }
    return json(200, {
      code: 200,
      events_ingested: events.length,
      payload_size_bytes: request.body.length,
      server_upload_time: this.clock.now(),
    });
  }

  #silencedIn(events: readonly unknown[]): Silenced {
    const silenced: Silenced = { devices: [], events: [] };
    for (const [index, event] of events.entries()) {
      const device = isObject(event) ? event["device_id"] : undefined;
      if (typeof device !== "string" || !this.#silenced.has(device)) continue;
      silenced.events.push(index);
      if (!silenced.devices.includes(device)) silenced.devices.push(device);
    }
    return silenced;
  }

  /**
   * The refusal for users and devices that sent too much before this request, which is not counted.
   */
  #limited(events: readonly JsonObject[], { perSecond, isBatch }: Route): ServerResponse | undefined {
    const nowMs = this.clock.now();
    const windowS = RATE_WINDOW_MS / SECOND_MS;
    const over = { user: new Map<string, number>(), device: new Map<string, number>() };
    const exceeded = { user: new Map<string, number>(), device: new Map<string, number>() };
    const throttled = new Set<number>();
    for (const [index, event] of events.entries())
      for (const kind of ["user", "device"] as const) {
        const id = event[`${kind}_id`];
        if (typeof id !== "string") continue;
        const rate = this.#rates.sum(`${kind} ${id}`, nowMs) / windowS;
        const today = this.#days.sum(`${kind} ${id}`, nowMs);
        if (rate >= perSecond) over[kind].set(id, Math.round(rate));
        if (isBatch && this.#flagged.has(id) && today >= this.#dailyQuota) exceeded[kind].set(id, today);
        if (over[kind].has(id) || exceeded[kind].has(id)) throttled.add(index);
      }
    if (throttled.size === 0) return undefined;
    return json(429, {
      code: 429,
      error: "Too many requests for some devices and users",
      eps_threshold: perSecond,
      throttled_users: Object.fromEntries(over.user),
      throttled_devices: Object.fromEntries(over.device),
      exceeded_daily_quota_users: Object.fromEntries(exceeded.user),
      exceeded_daily_quota_devices: Object.fromEntries(exceeded.device),
      throttled_events: [...throttled],
    });
  }

  #store(event: JsonObject, apiKey: string): void {
    const nowMs = this.clock.now();
    const { insert_id: insertId, user_id: userId, device_id: deviceId } = event;
    for (const [kind, id] of [
      ["user", userId],
      ["device", deviceId],
    ] as const) {
      if (typeof id !== "string") continue;
      this.#rates.add(`${kind} ${id}`, 1, nowMs);
      this.#days.add(`${kind} ${id}`, 1, nowMs);
    }
    if (typeof insertId === "string") {
      // Per device where the event has one: the same id on another device is another event.
      const isDuplicate = this.#insertIds.add(JSON.stringify([apiKey, deviceId ?? null, insertId]), nowMs);
      if (isDuplicate) {
        this.duplicates += 1;
        return;
      }
    }
    this.events.push(event);
    this.#update(event, nowMs);
  }

  #update(event: JsonObject, nowMs: number): void {
    const { user_properties: userProperties, group_properties: groupProperties, groups } = event;
    const who = event["user_id"] ?? event["device_id"];
    if (isObject(userProperties) && typeof who === "string") {
      if (this.#updates.sum(who, nowMs) >= UPDATES_MAX) this.droppedUpdates += 1;
      else this.#change(`user ${who}`, userProperties);
      this.#updates.add(who, 1, nowMs);
    }
    if (!isObject(groupProperties) || !isObject(groups)) return;
    for (const [type, values] of Object.entries(groups))
      for (const value of Array.isArray(values) ? values : [values])
        this.#change(`group ${type} ${String(value)}`, groupProperties);
  }

  #change(name: string, change: JsonObject): void {
    this.#properties.set(name, changed(this.#properties.get(name) ?? {}, change));
  }

  /**
   * Fields of a body or of a query: `api_key` and `identification`, an object or a list of them.
   */
  #identify(request: ServerRequest, path: string): ServerResponse {
    if (request.method !== "POST" && request.method !== "GET") return error(404, "Invalid request path");
    if (request.body.length > IDENTIFY_MAX_BYTES) return error(413, "Payload too large");
    const text = request.method === "POST" ? new TextDecoder().decode(request.body) : request.path.split("?")[1];
    const encoded = new URLSearchParams(text);
    const fault = this.#keyFault(encoded.get("api_key") ?? undefined);
    if (fault !== undefined) return fault;
    const identification = encoded.get("identification");
    if (identification === null) return missing("identification");
    const value = parseBody({ ...request, body: new TextEncoder().encode(identification) });
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (items.length > IDENTIFY_MAX_ITEMS) return error(413, "Payload too large");
    if (!items.every(isObject)) return error(400, "Invalid JSON request body");
    const names = path === "/identify" ? [["user_id", "device_id"]] : [["group_type"], ["group_value"]];
    for (const item of items)
      for (const either of names)
        if (!either.some((name) => typeof item[name] === "string")) return missing(either[0] as string);
    for (const item of items) {
      this.identifications.push(item);
      const { group_type: type, group_value: group, ...rest } = item;
      this.#update(path === "/identify" ? item : { ...rest, groups: { [String(type)]: group } }, this.clock.now());
    }
    return json(200, { code: 200, server_upload_time: this.clock.now() });
  }
}

const MIN_ID_LENGTH = 5;

interface Call {
  readonly request: ServerRequest;
  readonly route: Route;
  readonly minIdLength: number;
  readonly apiKey: string;
  readonly partial: boolean;
}

interface Silenced {
  readonly devices: string[];
  readonly events: number[];
}

function refusedEvents(faults: EventFaults, { devices, events }: Silenced): ServerResponse {
  return json(400, {
    code: 400,
    error: "Invalid field values on some events",
    ...faults.members(),
    ...(events.length === 0 ? {} : { silenced_devices: devices, silenced_events: events }),
  });
}

function missing(field: string): ServerResponse {
  return json(400, { code: 400, error: "Request missing required field", missing_field: field });
}

function error(code: number, text: string): ServerResponse {
  return json(code, { code, error: text });
}
