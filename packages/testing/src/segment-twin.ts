/**
 * Segment's server, as far as its protocol is known: paths, keys, limits, answers, dedupe by messageId. Can be told to fail.
 * Written against the documentation and apart from our own parser, on purpose: it is the second opinion.
 */
import type { Clock } from "@waybill/core";
import type { ServerHandler, ServerRequest, ServerResponse } from "./server.ts";

export interface SegmentTwinOptions {
  readonly clock: Clock;
  /** Keys that are taken. Default: any. */
  readonly writeKeys?: readonly string[];
  /** `documented`: 32 KB an event, 500 KB a batch, 2,500 events. Default `documented`. */
  readonly limits?: "documented" | "none";
  /** Events kept to look at; counters go on beyond. Default: all. */
  readonly keepEvents?: number;
  /** Ids remembered to dedupe by; the oldest are forgotten beyond. Default: all. */
  readonly keepIds?: number;
}

export interface TwinEvent {
  readonly messageId: string;
  readonly type: string;
  readonly event: Readonly<Record<string, unknown>>;
  readonly receivedAtMs: number;
  /** Number of the request it came with, from 0. */
  readonly request: number;
}

/** What the twin does instead of its work, for a time or a number of requests. */
export interface TwinFailure {
  /**
   * `status`: answers so; `reset`: breaks the connection without acting; `resetAfter`: acts, then breaks it; `hang`: never answers;
   * `slow`: acts and answers late; `partial`: refuses every second event of a batch as a relay of ours would.
   */
  readonly kind: "status" | "reset" | "resetAfter" | "hang" | "slow" | "partial";
  readonly status?: number;
  readonly retryAfter?: string;
  readonly delayMs?: number;
  readonly forMs?: number;
  readonly times?: number;
}

const EVENT_MAX_BYTES = 32 * 1024;
const BATCH_MAX_BYTES = 500_000;
const EVENTS_MAX = 2_500;
const DEDUPE_WINDOW_MS = 24 * 3_600_000;
const TYPES: readonly string[] = ["identify", "track", "page", "screen", "group", "alias"];

interface ActiveFailure extends TwinFailure {
  readonly untilMs: number;
  left: number;
}

export class SegmentTwin {
  readonly #options: SegmentTwinOptions;
  readonly #seen = new Map<string, number>();
  #failure: ActiveFailure | undefined;
  #writeKeys: readonly string[] | undefined;
  #refused: (event: Readonly<Record<string, unknown>>) => boolean = () => false;
  /** Events after dedupe, oldest first, up to `keepEvents`. */
  readonly events: TwinEvent[] = [];
  /** Events after dedupe. */
  received = 0;
  /** Events that were deduplicated. */
  duplicates = 0;
  /** Events taken with 200 and thrown away, as the vendor does with those it cannot use. */
  discarded = 0;
  requests = 0;
  /** Ids it refused for being told to be `partial`; it may have taken them later. */
  readonly refusedIds: Set<string> = new Set();
  /** Answers by status. */
  readonly answers: Map<number, number> = new Map();

  constructor(options: SegmentTwinOptions) {
    this.#options = options;
    this.#writeKeys = options.writeKeys;
  }

  /** Fails from now on, until it is over or {@link recover} is called. */
  fail(failure: TwinFailure): void {
    this.#failure = {
      ...failure,
      untilMs: this.#options.clock.monotonic() + (failure.forMs ?? Number.POSITIVE_INFINITY),
      left: failure.times ?? Number.POSITIVE_INFINITY,
    };
  }

  recover(): void {
    this.#failure = undefined;
  }

  /** Answers 400 to every request with an event for which `refused` holds, as the vendor does for one that is too large. */
  refuse(refused: (event: Readonly<Record<string, unknown>>) => boolean): void {
    this.#refused = refused;
  }

  /** Only these keys are taken from now on. */
  rotate(writeKeys: readonly string[]): void {
    this.#writeKeys = writeKeys;
  }

  readonly handle: ServerHandler = (request) => {
    this.requests += 1;
    const response = this.#respond(request);
    this.answers.set(response.status, (this.answers.get(response.status) ?? 0) + 1);
    return response;
  };

  #respond(request: ServerRequest): ServerResponse {
    const failure = this.#activeFailure();
    switch (failure?.kind) {
      case "status":
        return {
          ...refusal(failure.status ?? 503, "unavailable", "told to fail"),
          headers: {
            "content-type": "application/json",
            ...(failure.retryAfter === undefined ? {} : { "retry-after": failure.retryAfter }),
          },
        };
      case "reset":
      case "hang":
        return { ...refusal(503, "unavailable", "never seen"), fault: failure.kind };
      case "resetAfter":
        return { ...this.#work(request, undefined), fault: "reset" };
      case "slow":
        return { ...this.#work(request, undefined), delayMs: failure.delayMs ?? 1_000 };
      default:
        return this.#work(request, failure);
    }
  }

  #activeFailure(): ActiveFailure | undefined {
    const failure = this.#failure;
    if (failure === undefined) return undefined;
    if (this.#options.clock.monotonic() >= failure.untilMs || failure.left <= 0) {
      this.#failure = undefined;
      return undefined;
    }
    failure.left -= 1;
    return failure;
  }

  #work(request: ServerRequest, failure: TwinFailure | undefined): ServerResponse {
    const path = request.path.split("?")[0] ?? "";
    const name = /^\/v1\/([a-z]+)$/.exec(path)?.[1];
    const type = TYPES.find((one) => one === name || one.charAt(0) === name);
    const isBatch = name === "batch" || name === "import" || name === "b";
    if (request.method !== "POST" || (type === undefined && !isBatch)) return refusal(404, "not_found", path);
    const limited = this.#options.limits !== "none";
    const maxBytes = isBatch ? BATCH_MAX_BYTES : EVENT_MAX_BYTES;
    if (limited && request.body.length > maxBytes)
      return refusal(400, "body_too_large", `${request.body.length} bytes`);
    const body = parseJson(new TextDecoder().decode(request.body));
    if (body === undefined) return refusal(400, "invalid_json", "not an object");
    if (!this.#authorized(request, body)) return refusal(401, "unauthorized", "unknown write key");
    const items: unknown = isBatch ? body["batch"] : [body];
    if (!Array.isArray(items)) return refusal(400, "invalid_batch", "batch is not an array");
    if (limited && items.some((item) => byteLength(JSON.stringify(item)) > EVENT_MAX_BYTES))
      return refusal(400, "event_too_large", "an event has more than 32 KB");
    if (items.some(this.#refused)) return refusal(400, "event_refused", "told to refuse an event of it");
    // The vendor says 200 and keeps nothing.
    if (limited && items.length > EVENTS_MAX) {
      this.discarded += items.length;
      return success();
    }
    return this.#take(items as readonly Record<string, unknown>[], type, failure);
  }

  #take(
    items: readonly Record<string, unknown>[],
    type: string | undefined,
    failure: TwinFailure | undefined,
  ): ServerResponse {
    const rejected: { index: number; code: string; message: string }[] = [];
    for (const [index, item] of items.entries()) {
      if (failure?.kind === "partial" && index % 2 === 1) {
        rejected.push({ index, code: "refused", message: "told to refuse it" });
        this.refusedIds.add(String(item["messageId"]));
      } else this.#takeOne(item, type);
    }
    return rejected.length === 0
      ? success()
      : {
          status: 200,
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ success: true, rejected }),
        };
  }

  #takeOne(item: Record<string, unknown>, pathType: string | undefined): void {
    const type = String(item["type"] ?? pathType ?? "");
    const id = item["messageId"];
    if (!TYPES.includes(type)) {
      this.discarded += 1;
      return;
    }
    const messageId = typeof id === "string" ? id : `unnamed-${this.received}`;
    const nowMs = this.#options.clock.now();
    const seenAtMs = this.#seen.get(messageId);
    if (seenAtMs !== undefined && nowMs - seenAtMs < DEDUPE_WINDOW_MS) {
      this.duplicates += 1;
      return;
    }
    this.#seen.set(messageId, nowMs);
    if (this.#seen.size > (this.#options.keepIds ?? Number.POSITIVE_INFINITY))
      this.#seen.delete(this.#seen.keys().next().value as string);
    this.received += 1;
    this.events.push({ messageId, type, event: item, receivedAtMs: nowMs, request: this.requests - 1 });
    if (this.events.length > (this.#options.keepEvents ?? Number.POSITIVE_INFINITY)) this.events.shift();
  }

  #authorized({ headers }: ServerRequest, body: Record<string, unknown>): boolean {
    if (this.#writeKeys === undefined) return true;
    const basic = /^Basic (.+)$/i.exec(headers["authorization"] ?? "")?.[1];
    const key = basic === undefined ? body["writeKey"] : atob(basic).split(":")[0];
    return typeof key === "string" && this.#writeKeys.includes(key);
  }
}

function success(): ServerResponse {
  return { status: 200, headers: { "content-type": "application/json" }, body: '{"success":true}' };
}

function refusal(status: number, code: string, message: string): ServerResponse {
  return {
    status,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ success: false, code, message }),
  };
}

function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
