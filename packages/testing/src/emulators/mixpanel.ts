/**
 * Mixpanel's ingestion: `/track`, `/engage` and `/groups` for everybody, `/import` for servers.
 *
 * The open routes answer 200 and `1` whatever becomes of an event: what has an unknown token or is
 * too old is dropped in silence and listed in {@link dropped}. `/import` names the events it
 * refuses and stores the others of the same request. Every copy is stored; {@link
 * MixpanelEmulator.events} is the vendor's view without duplicates.
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
import { eventFault, isTooOld, timeMsOf, withShortTexts } from "./mixpanel-events.ts";
import { MixpanelProfiles } from "./mixpanel-profiles.ts";

export interface MixpanelEmulatorOptions extends EmulatorOptions {
  /** Project tokens. Default: any. */
  readonly tokens?: readonly string[];
  /** Project secrets, for `/import`. Default: none. */
  readonly secrets?: readonly string[];
  /** Service accounts, for `/import`. Default: none. */
  readonly serviceAccounts?: readonly MixpanelServiceAccount[];
  /** How a refused record names its id: the vendor's own pages differ. Default `$insert_id`. */
  readonly recordId?: "$insert_id" | "insert_id";
  /** Events of a rolling minute beyond which 429 is answered. Default: no limit. */
  readonly eventsPerMinute?: number;
  /** Seconds that a 429 of that limit asks for. Default: none, as the vendor documents none. */
  readonly retryAfterS?: number;
  /** Of a body, decoded. Default 2,097,152: the smaller one of the vendor's two figures. */
  readonly bodyMaxBytes?: number;
}

export interface MixpanelServiceAccount {
  readonly username: string;
  readonly secret: string;
  readonly projectId: string;
}

/** An event that an open route took and threw away. */
export interface MixpanelDrop {
  readonly reason: "unknown_token" | "too_old" | "invalid";
  readonly event: unknown;
}

const BODY_MAX_BYTES = 2_097_152;
const EVENTS_MAX = 2_000;
const MINUTE_MS = 60_000;
const PIXEL = "GIF89a";
const STATUS_TEXTS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  413: "Request Entity Too Large",
  429: "Too Many Requests",
};

export class MixpanelEmulator extends VendorEmulator {
  readonly #options: MixpanelEmulatorOptions;
  #tokens: readonly string[] | undefined;
  readonly #keys = new Set<string>();
  readonly #minute: { readonly atMs: number; readonly events: number }[] = [];
  #made = 0;
  /** Every copy of every event, oldest first: the vendor's raw export. */
  readonly raw: JsonObject[] = [];
  /**
   * Without duplicates, which agree in name, `distinct_id`, `time` and `$insert_id`; oldest first.
   */
  readonly events: JsonObject[] = [];
  readonly dropped: MixpanelDrop[] = [];
  readonly profiles: MixpanelProfiles = new MixpanelProfiles();

  constructor(options: MixpanelEmulatorOptions = {}) {
    super(options);
    this.#options = options;
    this.#tokens = options.tokens;
  }

  /** Only these tokens are known from now on. */
  rotate(tokens: readonly string[]): void {
    this.#tokens = tokens;
  }

  /** Copies beyond the first of an event. */
  get duplicates(): number {
    return this.raw.length - this.events.length;
  }

  protected refusal(status: number): ServerResponse {
    return refused(status, "the emulator was set to fail");
  }

  protected work(request: ServerRequest, partial: boolean): ServerResponse {
    const path = pathOf(request).replace(/\/$/, "");
    if (!["/track", "/import", "/engage", "/groups"].includes(path)) return json(404, { error: "not found" });
    if (request.method !== "POST" && request.method !== "GET") return json(405, { error: "method not allowed" });
    const query = new URLSearchParams(request.path.split("?")[1] ?? "");
    const answer = this.#answer(request, { path, query, partial });
    // Browsers send it with cookies, so the origin must be named.
    const { origin } = request.headers;
    const cors = { "access-control-allow-origin": origin ?? "*", "access-control-allow-credentials": "true" };
    return { ...answer, headers: { ...answer.headers, ...cors } };
  }

  #answer(request: ServerRequest, { path, query, partial }: Asked): ServerResponse {
    const { bodyMaxBytes = BODY_MAX_BYTES } = this.#options;
    if (path === "/import" && !this.#isKnown(request, query)) return refused(401, "Invalid credentials");
    if (request.body.length > bodyMaxBytes) return refused(413, `request exceeds max limit of ${bodyMaxBytes} bytes`);
    const { data, fields } = readData(request, query);
    const items = Array.isArray(data) ? data : data === undefined ? [] : [data];
    if (items.length > EVENTS_MAX) return refused(413, `request exceeds max limit of ${EVENTS_MAX} events`);
    if (!this.#isWithinRate(items.length)) return this.#tooMany();
    if (path === "/import" && query.get("strict") === "1") return this.#strict(data, items, partial);
    const stored = items.filter((item) => this.#take(path, item)).length;
    return openAnswer(stored > 0, { parameter: (name) => query.get(name) ?? fields.get(name) });
  }

  /**
   * One item of an open route; `false` when it is not valid. What is dropped in silence counts as
   * valid.
   */
  #take(path: string, item: unknown): boolean {
    if (path === "/engage") return this.profiles.update(item, (token) => this.#isToken(token));
    if (path === "/groups") return this.profiles.updateGroup(item, (token) => this.#isToken(token));
    const properties = isObject(item) && isObject(item["properties"]) ? item["properties"] : undefined;
    if (!isObject(item) || properties === undefined || typeof item["event"] !== "string" || item["event"] === "") {
      this.dropped.push({ reason: "invalid", event: item });
      return false;
    }
    const isImport = path === "/import";
    if (!isImport && !this.#isToken(properties["token"])) this.dropped.push({ reason: "unknown_token", event: item });
    else if (!isImport && isTooOld(properties["time"], this.clock.now()))
      this.dropped.push({ reason: "too_old", event: item });
    else this.#store({ ...item, properties: { time: this.clock.now() / 1_000, ...properties } });
    return true;
  }

  #strict(data: unknown, items: readonly unknown[], partial: boolean): ServerResponse {
    if (data === undefined) return refused(400, "the body is not JSON");
    const failed: JsonObject[] = [];
    const { recordId = "$insert_id" } = this.#options;
    for (const [index, item] of items.entries()) {
      const fault =
        partial && index % 2 === 1
          ? { field: "event", message: "the emulator was set to refuse it" }
          : eventFault(item, this.clock.now());
      if (fault === undefined) this.#store(item as JsonObject);
      else failed.push({ index, [recordId]: insertIdOf(item), ...fault });
    }
    const imported = items.length - failed.length;
    if (failed.length === 0) return json(200, { code: 200, num_records_imported: imported, status: "OK" });
    const error = "some data points in the request failed validation";
    return json(400, {
      code: 400,
      error,
      status: "Bad Request",
      num_records_imported: imported,
      failed_records: failed,
    });
  }

  #store(event: JsonObject): void {
    const short = withShortTexts(event) as JsonObject;
    const properties = short["properties"] as JsonObject;
    // The vendor's own id: such an event is never known again.
    const own = properties["$insert_id"] ?? `made-${this.#made++}`;
    const stored = { ...short, properties: { ...properties, $insert_id: own } };
    this.raw.push(stored);
    const key = JSON.stringify([
      event["event"],
      properties["distinct_id"] ?? null,
      timeMsOf(properties["time"]) ?? null,
      own,
    ]);
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    this.events.push(stored);
  }

  #isToken(token: unknown): boolean {
    return typeof token === "string" && token !== "" && this.#tokens?.includes(token) !== false;
  }

  /**
   * The credentials of `/import`: a service account, a token, a secret, or the old key in the
   * query.
   */
  #isKnown({ headers }: ServerRequest, query: URLSearchParams): boolean {
    const encoded = /^Basic +(\S+)$/i.exec(headers["authorization"] ?? "")?.[1];
    if (encoded === undefined) return this.#isToken(query.get("api_key"));
    const [name = "", secret = ""] = Buffer.from(encoded, "base64").toString("utf8").split(":");
    const projectId = query.get("project_id");
    const { secrets = [], serviceAccounts = [] } = this.#options;
    if (projectId !== null)
      return serviceAccounts.some(
        (account) => account.username === name && account.secret === secret && account.projectId === projectId,
      );
    return secret === "" && (this.#isToken(name) || secrets.includes(name));
  }

  #isWithinRate(events: number): boolean {
    const { eventsPerMinute } = this.#options;
    if (eventsPerMinute === undefined) return true;
    const nowMs = this.clock.monotonic();
    while (this.#minute[0] !== undefined && this.#minute[0].atMs <= nowMs - MINUTE_MS) this.#minute.shift();
    const before = this.#minute.reduce((sum, one) => sum + one.events, 0);
    if (before > 0 && before + events > eventsPerMinute) return false;
    this.#minute.push({ atMs: nowMs, events });
    return true;
  }

  #tooMany(): ServerResponse {
    const { retryAfterS } = this.#options;
    const answer = refused(429, "exceeded the rate limit of the project");
    return retryAfterS === undefined
      ? answer
      : { ...answer, headers: { ...answer.headers, "retry-after": String(retryAfterS) } };
  }
}

interface Asked {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly partial: boolean;
}

interface Data {
  /** The JSON of the request; `undefined` when it is not JSON. */
  readonly data: unknown;
  /** Parameters of a URL-encoded body. */
  readonly fields: URLSearchParams;
}

/**
 * JSON or NDJSON as the body, or `data` in a URL-encoded body or in the query, as JSON or in
 * base64.
 */
function readData(request: ServerRequest, query: URLSearchParams): Data {
  const text = new TextDecoder().decode(request.body).trim();
  const noFields = new URLSearchParams();
  if (/^[[{]/.test(text)) {
    const whole = parseBody(request);
    return { data: whole ?? linesOf(text), fields: noFields };
  }
  const fields = text === "" ? noFields : new URLSearchParams(text);
  const data = fields.get("data") ?? query.get("data");
  if (data === null) return { data: undefined, fields };
  // Raw base64 that was not encoded for it: its plus signs were decoded as spaces.
  const decoded = /^\s*[[{]/.test(data) ? data : Buffer.from(data.replaceAll(" ", "+"), "base64").toString("utf8");
  return { data: parseBody({ ...request, body: new TextEncoder().encode(decoded) }), fields };
}

function linesOf(text: string): unknown {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  try {
    return lines.length < 2 ? undefined : lines.map((line) => JSON.parse(line) as unknown);
  } catch {
    return undefined;
  }
}

/** What an open route answers. */
function openAnswer(
  isStored: boolean,
  { parameter }: { readonly parameter: (name: string) => string | null | undefined },
): ServerResponse {
  const isVerbose = parameter("verbose") === "1";
  if (parameter("img") === "1") return { status: 200, headers: { "content-type": "image/gif" }, body: PIXEL };
  const body = isVerbose
    ? JSON.stringify({ status: isStored ? 1 : 0, error: isStored ? null : "no data, missing or empty" })
    : isStored
      ? "1"
      : "0";
  const callback = parameter("callback");
  if (callback !== null && callback !== undefined)
    return { status: 200, headers: { "content-type": "application/javascript" }, body: `${callback}(${body});` };
  return { status: 200, headers: { "content-type": isVerbose ? "application/json" : "text/plain" }, body };
}

function insertIdOf(item: unknown): unknown {
  return isObject(item) && isObject(item["properties"]) ? (item["properties"]["$insert_id"] ?? null) : null;
}

function refused(status: number, error: string): ServerResponse {
  return json(status, { code: status, error, status: STATUS_TEXTS[status] ?? "Service Unavailable" });
}
