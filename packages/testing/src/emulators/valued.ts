/**
 * Valued's server: takes any JSON object and looks at it afterwards; what it cannot use it lists.
 */
import type { ServerRequest, ServerResponse } from "../server.ts";
import {
  bearerOf,
  deepMerge,
  type EmulatorOptions,
  isObject,
  type JsonObject,
  json,
  parseBody,
  VendorEmulator,
} from "./emulator.ts";

export interface ValuedEmulatorOptions extends EmulatorOptions {
  /** Default: any that is not empty. */
  readonly tokens?: readonly string[];
}

const BODY_MAX_BYTES = 256 * 1024;
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "POST, OPTIONS",
  "access-control-allow-headers": "Authorization, Content-Type",
};
const CATEGORIES: readonly string[] = ["action", "pageview", "sync", "revenue", "screen", "config"];

export class ValuedEmulator extends VendorEmulator {
  #tokens: readonly string[] | undefined;
  /** Events that could be used, oldest first. */
  readonly events: JsonObject[] = [];
  /** By id, with what syncs said of them. */
  readonly users: Map<string, JsonObject> = new Map();
  readonly customers: Map<string, JsonObject> = new Map();
  /** Taken with 202 and found to be of no use. */
  readonly rejected: { readonly event: JsonObject; readonly reason: string }[] = [];
  /** The last goals and signals. */
  config: JsonObject | undefined;

  constructor(options: ValuedEmulatorOptions = {}) {
    super(options);
    this.#tokens = options.tokens;
  }

  rotate(tokens: readonly string[]): void {
    this.#tokens = tokens;
  }

  protected refusal(status: number): ServerResponse {
    return json(status, { error: "injected failure" });
  }

  /** Any path: the client uses its endpoint as it is given. */
  protected work(request: ServerRequest): ServerResponse {
    if (request.method === "OPTIONS") return { status: 204, headers: CORS, body: "" };
    const token = bearerOf(request);
    if (token === undefined || this.#tokens?.includes(token) === false) return json(401, { error: "unauthorized" });
    if (request.method !== "POST") return json(404, { error: "not found" });
    if (request.body.length > BODY_MAX_BYTES) return json(413, { error: "payload too large" });
    const event = parseBody(request);
    if (!isObject(event)) return json(400, { error: "the body is not a JSON object" });
    this.#use({ ...event, occured_at: event["occured_at"] ?? event["occurred_at"] });
    const { status, headers, body } = json(202, { status: "accepted" });
    return { status, headers: { ...headers, ...CORS }, body };
  }

  #use(event: JsonObject): void {
    const reason = faultOf(event);
    if (reason !== undefined) {
      this.rejected.push({ event, reason });
      return;
    }
    this.events.push(event);
    if (event["category"] === "sync") {
      store(this.users, event["user"]);
      store(this.customers, event["customer"]);
    }
    if (event["category"] === "config" && isObject(event["data"])) this.config = event["data"];
  }
}

function faultOf(event: JsonObject): string | undefined {
  const { category, user, customer } = event;
  if (typeof category !== "string" || category === "") return "Missing category";
  if (!CATEGORIES.includes(category)) return `Unknown category: ${category}`;
  const hasUser = idOf(user) !== undefined;
  const hasCustomer = idOf(customer) !== undefined;
  if (category === "pageview" && !hasUser) return "Missing user.id";
  if (category === "sync" && isObject(user) && isObject(customer)) return "Cannot include both user and customer";
  const needsId = category === "action" || (category === "sync" && !isObject(event["membership"]));
  return needsId && !hasUser && !hasCustomer ? "Missing user.id or customer.id" : undefined;
}

function idOf(value: unknown): string | undefined {
  const id = isObject(value) ? value["id"] : undefined;
  return typeof id === "string" || typeof id === "number" ? String(id) : undefined;
}

function store(map: Map<string, JsonObject>, value: unknown): void {
  const id = idOf(value);
  if (id !== undefined) map.set(id, deepMerge(map.get(id) ?? {}, value as JsonObject));
}
