/** What every vendor's emulator has: failures on request, counters, the way in. */
import type { Clock } from "@waybill/core";
import { realClock } from "../http/real-clock.ts";
import { type ListenOptions, type StartedServer, startServer } from "../http/start-server.ts";
import type { ServerHandler, ServerRequest, ServerResponse } from "../server.ts";

/** What the emulator does instead of its work, for a time or a number of requests. */
export interface EmulatorFailure {
  /**
   * `status`: answers so; `reset`: breaks the connection without acting; `resetAfter`: acts, then
   * breaks it; `hang`: never answers; `slow`: acts and answers late; `partial`: refuses every
   * second event of a batch, where the vendor has a way to say so.
   */
  readonly kind: "status" | "reset" | "resetAfter" | "hang" | "slow" | "partial";
  readonly status?: number;
  readonly retryAfter?: string;
  readonly delayMs?: number;
  readonly forMs?: number;
  readonly times?: number;
}

export interface EmulatorOptions {
  /** Default: the machine's. */
  readonly clock?: Clock;
  /**
   * Requests per second and key beyond which 429 is answered; `burst` may come at once. Default: no
   * limit.
   */
  readonly rateLimit?: { readonly perSecond: number; readonly burst: number };
}

/** A request as the emulator got it. */
export interface Post {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** As text. */
  readonly body: string;
  readonly atMs: number;
}

interface ActiveFailure extends EmulatorFailure {
  readonly untilMs: number;
  left: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Requests kept to look at; counters go on beyond. */
const POSTS_KEPT = 10_000;

/** A vendor's server in this process. `work` is what each vendor does differently. */
export abstract class VendorEmulator {
  protected readonly clock: Clock;
  readonly #rateLimit: EmulatorOptions["rateLimit"];
  readonly #buckets = new Map<string, Bucket>();
  #failure: ActiveFailure | undefined;
  requests = 0;
  /** The last requests, oldest first. */
  readonly posts: Post[] = [];
  /** Answers by status. */
  readonly answers: Map<number, number> = new Map();

  constructor({ clock = realClock, rateLimit }: EmulatorOptions) {
    this.clock = clock;
    this.#rateLimit = rateLimit;
  }

  /** Does what the vendor does. `partial` asks it to refuse every second event. */
  protected abstract work(request: ServerRequest, partial: boolean): ServerResponse;

  /** An error as the vendor answers it. */
  protected abstract refusal(status: number): ServerResponse;

  /** Serves it over real HTTP. */
  listen(options: ListenOptions = {}): Promise<StartedServer> {
    return startServer(this.handle, options);
  }

  /** Fails from now on, until it is over or {@link recover} is called. */
  fail(failure: EmulatorFailure): void {
    this.#failure = {
      ...failure,
      untilMs: this.clock.monotonic() + (failure.forMs ?? Number.POSITIVE_INFINITY),
      left: failure.times ?? Number.POSITIVE_INFINITY,
    };
  }

  recover(): void {
    this.#failure = undefined;
  }

  readonly handle: ServerHandler = (request) => {
    this.requests += 1;
    this.#keep(request);
    const response = this.#respond(request);
    this.answers.set(response.status, (this.answers.get(response.status) ?? 0) + 1);
    return response;
  };

  #keep({ method, path, headers, body }: ServerRequest): void {
    this.posts.push({ method, path, headers, body: new TextDecoder().decode(body), atMs: this.clock.now() });
    if (this.posts.length > POSTS_KEPT) this.posts.shift();
  }

  #respond(request: ServerRequest): ServerResponse {
    const failure = this.#activeFailure();
    switch (failure?.kind) {
      case "status":
        return withHeaders(
          this.refusal(failure.status ?? 503),
          failure.retryAfter === undefined ? {} : { "retry-after": failure.retryAfter },
        );
      case "reset":
      case "hang":
        return { ...this.refusal(503), fault: failure.kind };
      case "resetAfter":
        return { ...this.#limited(request, false), fault: "reset" };
      case "slow":
        return { ...this.#limited(request, false), delayMs: failure.delayMs ?? 1_000 };
      default:
        return this.#limited(request, failure?.kind === "partial");
    }
  }

  #limited(request: ServerRequest, partial: boolean): ServerResponse {
    const limit = this.#rateLimit;
    if (limit === undefined) return this.work(request, partial);
    const nowMs = this.clock.monotonic();
    const key = keyOf(request);
    const bucket = this.#buckets.get(key) ?? { tokens: limit.burst, atMs: nowMs };
    bucket.tokens = Math.min(limit.burst, bucket.tokens + ((nowMs - bucket.atMs) * limit.perSecond) / 1_000);
    bucket.atMs = nowMs;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) {
      const seconds = String(Math.ceil((1 - bucket.tokens) / limit.perSecond));
      return withHeaders(this.refusal(429), { "retry-after": seconds });
    }
    bucket.tokens -= 1;
    const resetS = Math.ceil(this.clock.now() / 1_000 + (limit.burst - bucket.tokens) / limit.perSecond);
    return withHeaders(this.work(request, partial), {
      "x-ratelimit-limit": String(limit.perSecond),
      "x-ratelimit-remaining": String(Math.floor(bucket.tokens)),
      "x-ratelimit-reset": String(resetS),
    });
  }

  #activeFailure(): ActiveFailure | undefined {
    const failure = this.#failure;
    if (failure === undefined) return undefined;
    if (this.clock.monotonic() >= failure.untilMs || failure.left <= 0) {
      this.#failure = undefined;
      return undefined;
    }
    failure.left -= 1;
    return failure;
  }
}

function keyOf({ headers }: ServerRequest): string {
  return headers["authorization"] ?? headers["x-api-key"] ?? "";
}

function withHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): ServerResponse {
  return { ...response, headers: { ...response.headers, ...headers } };
}

export function json(status: number, body: unknown): ServerResponse {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g;

/**
 * A body as JSON. Python's clients write NaN and Infinity bare: they are read as null. `undefined`
 * for what is not JSON.
 */
export function parseBody({ body }: ServerRequest): unknown {
  const text = new TextDecoder().decode(body);
  try {
    return JSON.parse(text);
  } catch {
    try {
      return JSON.parse(text.replaceAll(TOKENS, (token) => (token.startsWith('"') ? token : "null")));
    } catch {
      return undefined;
    }
  }
}

/** The path without its query and without repeated slashes in front. */
export function pathOf({ path }: ServerRequest): string {
  return (path.split("?")[0] ?? "").replace(/^\/+/, "/");
}

/** The token of `Authorization: Bearer …`. */
export function bearerOf({ headers }: ServerRequest): string | undefined {
  return /^Bearer +(\S+)$/i.exec(headers["authorization"] ?? "")?.[1];
}

/** `changes` into `target`, nested objects too. */
export function deepMerge(target: JsonObject, changes: JsonObject): JsonObject {
  const merged: Record<string, unknown> = { ...target };
  for (const [key, value] of Object.entries(changes)) {
    const before = merged[key];
    merged[key] = isObject(value) && isObject(before) ? deepMerge(before, value) : value;
  }
  return merged;
}

/** Ids that were seen, for a time. */
export class Seen {
  readonly #atMs = new Map<string, number>();
  readonly #windowMs: number;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Whether `id` was seen within the window; from now on it was. */
  add(id: string, nowMs: number): boolean {
    const atMs = this.#atMs.get(id);
    if (atMs !== undefined && nowMs - atMs < this.#windowMs) return true;
    this.#atMs.set(id, nowMs);
    return false;
  }
}
