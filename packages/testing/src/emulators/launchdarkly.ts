/** LaunchDarkly's events service, and as much of its flag service as its SDKs need to start. */
import type { ServerRequest, ServerResponse } from "../server.ts";
import {
  type EmulatorOptions,
  isObject,
  type JsonObject,
  json,
  type Post,
  parseBody,
  pathOf,
  Seen,
  VendorEmulator,
} from "./emulator.ts";

export interface LaunchDarklyEmulatorOptions extends EmulatorOptions {
  /** SDK and mobile keys that are taken. Default: any that is not empty. */
  readonly keys?: readonly string[];
  /** Environment ids. Default: any. */
  readonly environmentIds?: readonly string[];
  /** Flags by key, as the flag service has them. */
  readonly flags?: Readonly<Record<string, object>>;
}

const ANALYTICS = /^(?:\/bulk|\/mobile(?:\/events(?:\/bulk)?)?|\/events\/bulk\/[^/]+)$/;
const DIAGNOSTIC = /^(?:\/diagnostic|\/mobile\/events\/diagnostic|\/events\/diagnostic\/[^/]+)$/;
/** Real payloads have over a megabyte; the vendor's own limit is not known. */
const BODY_MAX_BYTES = 10 * 1024 * 1024;
const PAYLOAD_IDS_MS = 24 * 3_600_000;

/** A payload as it came. */
export interface LaunchDarklyPayload extends Post {
  readonly events: readonly JsonObject[];
  /** Its id had come before. */
  readonly repeated: boolean;
}

export class LaunchDarklyEmulator extends VendorEmulator {
  #keys: readonly string[] | undefined;
  readonly #options: LaunchDarklyEmulatorOptions;
  readonly #payloadIds = new Seen(PAYLOAD_IDS_MS);
  /** Analytics payloads, duplicates too, oldest first. */
  readonly payloads: LaunchDarklyPayload[] = [];
  /** Bodies of diagnostic posts. */
  readonly diagnostics: Post[] = [];

  constructor(options: LaunchDarklyEmulatorOptions = {}) {
    super(options);
    this.#options = options;
    this.#keys = options.keys;
  }

  /** Events of the payloads, without duplicates. */
  get events(): readonly JsonObject[] {
    return this.payloads.filter(({ repeated }) => !repeated).flatMap(({ events }) => events);
  }

  rotate(keys: readonly string[]): void {
    this.#keys = keys;
  }

  protected refusal(status: number): ServerResponse {
    return { status, headers: {}, body: "" };
  }

  protected work(request: ServerRequest): ServerResponse {
    const path = pathOf(request);
    if (request.method === "GET") return this.#flags(path);
    const isAnalytics = ANALYTICS.test(path);
    if (request.method !== "POST" || (!isAnalytics && !DIAGNOSTIC.test(path))) return this.refusal(404);
    if (!this.#authorized(request, path)) return this.refusal(path.startsWith("/events/") ? 404 : 401);
    if (request.body.length > BODY_MAX_BYTES) return this.refusal(413);
    const post = this.posts.at(-1) as Post;
    if (!isAnalytics) {
      this.diagnostics.push(post);
      return this.#taken();
    }
    const events = parseBody(request);
    if (!Array.isArray(events)) return this.refusal(400);
    const id = request.headers["x-launchdarkly-payload-id"];
    const repeated = id !== undefined && this.#payloadIds.add(id, this.clock.now());
    this.payloads.push({ ...post, events: events.filter(isObject), repeated });
    return this.#taken();
  }

  #taken(): ServerResponse {
    return { status: 202, headers: { date: new Date(this.clock.now()).toUTCString() }, body: "" };
  }

  #authorized({ headers }: ServerRequest, path: string): boolean {
    if (path.startsWith("/events/"))
      return this.#options.environmentIds?.includes(decodeURIComponent(path.split("/").at(-1) ?? "")) ?? true;
    const key = headers["authorization"] ?? "";
    return this.#keys?.includes(key) ?? key !== "";
  }

  #flags(path: string): ServerResponse {
    const { flags = {} } = this.#options;
    if (path === "/sdk/latest-all") return json(200, { flags, segments: {} });
    if (path === "/sdk/latest-flags") return json(200, flags);
    if (path.startsWith("/sdk/")) return json(200, {});
    return this.refusal(404);
  }
}
