/**
 * Segment's server, as far as its protocol is known: paths, keys, limits, answers, dedupe by
 * messageId. Can be made to fail. Written against the documentation and apart from our own parser,
 * on purpose: it is the second opinion.
 */
import type { ServerRequest, ServerResponse } from "../server.ts";
import { type EmulatorOptions, isObject, json, parseBody, pathOf, VendorEmulator } from "./emulator.ts";

export interface SegmentEmulatorOptions extends EmulatorOptions {
  /** Keys that are taken. Default: any. */
  readonly writeKeys?: readonly string[];
  /** `documented`: 32 KB an event, 500 KB a batch, 2,500 events. Default `documented`. */
  readonly limits?: "documented" | "none";
  /** Events kept to look at; counters go on beyond. Default: all. */
  readonly keepEvents?: number;
  /** Ids remembered to dedupe by; the oldest are forgotten beyond. Default: all. */
  readonly keepIds?: number;
}

export interface EmulatorEvent {
  readonly messageId: string;
  readonly type: string;
  readonly event: Readonly<Record<string, unknown>>;
  readonly receivedAtMs: number;
  /** Number of the request it came with, from 0. */
  readonly request: number;
}

const EVENT_MAX_BYTES = 32 * 1024;
const BATCH_MAX_BYTES = 500_000;
const EVENTS_MAX = 2_500;
const DEDUPE_WINDOW_MS = 24 * 3_600_000;
const TYPES: readonly string[] = ["identify", "track", "page", "screen", "group", "alias"];

export class SegmentEmulator extends VendorEmulator {
  readonly #options: SegmentEmulatorOptions;
  readonly #seen = new Map<string, number>();
  #writeKeys: readonly string[] | undefined;
  #refused: (event: Readonly<Record<string, unknown>>) => boolean = () => false;
  /** Events after dedupe, oldest first, up to `keepEvents`. */
  readonly events: EmulatorEvent[] = [];
  /** Events after dedupe. */
  received = 0;
  /** Events that were deduplicated. */
  duplicates = 0;
  /** Events taken with 200 and thrown away, as the vendor does with those it cannot use. */
  discarded = 0;
  /** Ids it refused because it was made to fail with `partial`; it may have taken them later. */
  readonly refusedIds: Set<string> = new Set();

  constructor(options: SegmentEmulatorOptions = {}) {
    super(options);
    this.#options = options;
    this.#writeKeys = options.writeKeys;
  }

  /**
   * Answers 400 to every request with an event for which `refused` holds, as the vendor does for
   * one that is too large.
   */
  refuse(refused: (event: Readonly<Record<string, unknown>>) => boolean): void {
    this.#refused = refused;
  }

  /** Only these keys are taken from now on. */
  rotate(writeKeys: readonly string[]): void {
    this.#writeKeys = writeKeys;
  }

  protected refusal(status: number): ServerResponse {
    return refusal(status, "unavailable", "injected failure");
  }

  protected work(request: ServerRequest, partial: boolean): ServerResponse {
    const path = pathOf(request);
    const name = /^\/v1\/([a-z]+)$/.exec(path)?.[1];
    const type = TYPES.find((one) => one === name || one.charAt(0) === name);
    const isBatch = name === "batch" || name === "import" || name === "b";
    if (request.method !== "POST" || (type === undefined && !isBatch)) return refusal(404, "not_found", path);
    const limited = this.#options.limits !== "none";
    const maxBytes = isBatch ? BATCH_MAX_BYTES : EVENT_MAX_BYTES;
    if (limited && request.body.length > maxBytes)
      return refusal(400, "body_too_large", `${request.body.length} bytes`);
    const body = parseBody(request);
    if (!isObject(body)) return refusal(400, "invalid_json", "not an object");
    if (!this.#authorized(request, body)) return refusal(401, "unauthorized", "unknown write key");
    const items: unknown = isBatch ? body["batch"] : [body];
    if (!Array.isArray(items)) return refusal(400, "invalid_batch", "batch is not an array");
    if (limited && items.some((item) => byteLength(JSON.stringify(item)) > EVENT_MAX_BYTES))
      return refusal(400, "event_too_large", "an event has more than 32 KB");
    if (items.some(this.#refused)) return refusal(400, "event_refused", "injected refusal of an event");
    // The vendor says 200 and keeps nothing.
    if (limited && items.length > EVENTS_MAX) {
      this.discarded += items.length;
      return success();
    }
    return this.#take(items as readonly Record<string, unknown>[], type, partial);
  }

  #take(items: readonly Record<string, unknown>[], type: string | undefined, partial: boolean): ServerResponse {
    const rejected: { index: number; code: string; message: string }[] = [];
    for (const [index, item] of items.entries()) {
      if (partial && index % 2 === 1) {
        rejected.push({ index, code: "refused", message: "injected refusal" });
        this.refusedIds.add(String(item["messageId"]));
      } else this.#takeOne(item, type);
    }
    return rejected.length === 0 ? success() : json(200, { success: true, rejected });
  }

  #takeOne(item: Record<string, unknown>, pathType: string | undefined): void {
    const type = String(item["type"] ?? pathType ?? "");
    const id = item["messageId"];
    if (!TYPES.includes(type)) {
      this.discarded += 1;
      return;
    }
    const messageId = typeof id === "string" ? id : `unnamed-${this.received}`;
    const nowMs = this.clock.now();
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

  #authorized({ headers }: ServerRequest, body: Readonly<Record<string, unknown>>): boolean {
    if (this.#writeKeys === undefined) return true;
    const basic = /^Basic (.+)$/i.exec(headers["authorization"] ?? "")?.[1];
    const key = basic === undefined ? body["writeKey"] : atob(basic).split(":")[0];
    return typeof key === "string" && this.#writeKeys.includes(key);
  }
}

function success(): ServerResponse {
  return json(200, { success: true });
}

function refusal(status: number, code: string, message: string): ServerResponse {
  return json(status, { success: false, code, message });
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
