/** PostHog's capture endpoint; events with one uuid act once. */
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

export interface PosthogEmulatorOptions extends EmulatorOptions {
  /** Project keys. Default: any. */
  readonly apiKeys?: readonly string[];
}

const EVENT_MAX_BYTES = 1024 * 1024;

export class PosthogEmulator extends VendorEmulator {
  #apiKeys: readonly string[] | undefined;
  readonly #uuids = new Set<string>();
  /** Events after dedupe, oldest first. */
  readonly events: JsonObject[] = [];
  duplicates = 0;

  constructor(options: PosthogEmulatorOptions = {}) {
    super(options);
    this.#apiKeys = options.apiKeys;
  }

  rotate(apiKeys: readonly string[]): void {
    this.#apiKeys = apiKeys;
  }

  protected refusal(status: number): ServerResponse {
    return json(status, { type: "server_error", detail: "injected failure" });
  }

  protected work(request: ServerRequest): ServerResponse {
    if (request.method !== "POST" || pathOf(request).replace(/\/$/, "") !== "/batch")
      return json(404, { detail: "not found" });
    const body = parseBody(request);
    const batch = isObject(body) ? body["batch"] : undefined;
    if (!isObject(body) || !Array.isArray(batch)) return json(400, { type: "validation_error", detail: "no batch" });
    if (this.#apiKeys?.includes(String(body["api_key"])) === false)
      return json(401, { type: "authentication_error", detail: "unknown project key" });
    if (batch.some((event) => JSON.stringify(event).length > EVENT_MAX_BYTES))
      return json(413, { type: "validation_error", detail: "an event has more than 1 MB" });
    for (const event of batch.filter(isObject)) {
      const uuid = event["uuid"];
      if (typeof uuid === "string" && this.#uuids.has(uuid)) {
        this.duplicates += 1;
        continue;
      }
      if (typeof uuid === "string") this.#uuids.add(uuid);
      this.events.push(event);
    }
    return json(200, { status: 1 });
  }
}
