/**
 * The path of a request: route -> authenticate -> frame -> dedupe -> append -> fsync -> 2xx with a receipt.
 *
 * The receipt (`waybill-receipt: <environment>/<position>+<count>`) says where the request's events are in the log. A repeat, known by the
 * ids of its events, is answered as the first time, receipt included, and not stored again. Events without an id get one made from the request's
 * `Idempotency-Key` (or `X-Idempotency-Key`) and their place, if it has one, so that a repeat of theirs is known too.
 *
 * Works on values, not sockets: the HTTP server and the simulation both call {@link Intake.accept}.
 */
import { createHash } from "node:crypto";
import { type Clock, WaybillError } from "@waybill/core";
import type { Position } from "@waybill/log";
import {
  assemble,
  matchSegmentPath,
  parseAuthorization,
  type SegmentLimits,
  type SegmentRoute,
  type SegmentScan,
  scanSegment,
  segmentAccepted,
  segmentRefusal,
} from "@waybill/vendors";
import { type Answer, problem } from "./answers.ts";
import type { BodyRefusal } from "./body.ts";
import { DoorIntake, type DoorOpened } from "./door-intake.ts";
import { HASH_WORDS, type IdHashes } from "./id-window.ts";
import type { KnownKey, Source, SourceTable } from "./sources.ts";

export interface IntakeRequest {
  readonly method: string;
  /** With or without a query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly retryCount: string | undefined;
  readonly idempotencyKey: string | undefined;
  /** Lower-case names. For the doors of vendors other than Segment. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
}

export interface IntakeOptions {
  readonly clock: Clock;
  readonly makeId: () => string;
  readonly limits: SegmentLimits;
  readonly observer: IntakeObserver;
  /** How long the caller of an exchange waits for the vendor's answer. */
  readonly exchangeDeadlineMs: number;
}

export interface IntakeObserver {
  requestRefused(environment: string, source: string, code: string, repeated: boolean): void;
  requestRetried(environment: string, source: string): void;
}

/** A request whose path and, where it has one, key are known; its body may be read. */
export interface Opened {
  readonly route: SegmentRoute;
  readonly source: Source | undefined;
  readonly idempotencyKey: string | undefined;
}

const ALLOW_ORIGIN = { "access-control-allow-origin": "*" };
const PREFLIGHT = {
  ...ALLOW_ORIGIN,
  "access-control-allow-methods": "POST, OPTIONS",
  "access-control-allow-headers": "Content-Type, Authorization, X-Retry-Count",
  "access-control-max-age": "86400",
};
/** Refused bodies remembered, to tell one client that repeats itself from many clients. */
const REMEMBERED_REFUSALS = 256;
/** Keys are few; a header in ever new spellings must not fill the memory. */
const KNOWN_MAX = 1_000;
const RETRY_AFTER_SECONDS = "1";

const BODY_REFUSALS: Readonly<Record<BodyRefusal, readonly [status: number, message: string]>> = {
  body_too_large: [413, "The body is larger than this relay takes."],
  unsupported_encoding: [415, "The Content-Encoding is not one of gzip, deflate, br."],
  damaged_encoding: [400, "The body does not decode as its Content-Encoding says; it may be truncated."],
  overloaded: [503, "The relay holds as many bodies as it may; try again."],
  aborted: [400, "The request ended before its body did."],
};

export class Intake {
  readonly #options: IntakeOptions;
  readonly #refusedBodies = new Set<string>();
  /** Headers that were found right before: looking a key up by its digest costs as much as framing a small body. */
  readonly #known = new Map<string, KnownKey>();
  readonly #doors: DoorIntake;
  #sources: SourceTable;
  #stopping = false;

  constructor(sources: SourceTable, options: IntakeOptions) {
    this.#sources = sources;
    this.#options = options;
    this.#doors = new DoorIntake(sources, { ...options, strict: options.limits.strict });
  }

  get sources(): SourceTable {
    return this.#sources;
  }

  /** From now on requests are looked up in `sources`. */
  replaceSources(sources: SourceTable): void {
    this.#sources = sources;
    this.#known.clear();
    this.#doors.replaceSources(sources);
  }

  /** What comes from now on is refused with 503; its senders keep it. */
  stop(): void {
    this.#stopping = true;
    this.#doors.stop();
  }

  /** Decides what can be decided without the body: an answer, or leave to read it. */
  open(request: IntakeRequest): Answer | Opened | DoorOpened {
    const query = request.path.indexOf("?");
    const fullPath = query === -1 ? request.path : request.path.slice(0, query);
    const ordinary = this.#ordinary(request, fullPath);
    if (ordinary !== undefined) return ordinary;
    const host = this.#sources.byHost(request.headers?.["host"]);
    const prefixed =
      this.#sources.byPath(fullPath) ?? (host === undefined ? undefined : { source: host, path: fullPath });
    const door = this.#doors.open(request, fullPath, query === -1 ? "" : request.path.slice(query + 1), prefixed);
    if (door !== undefined) return door;
    const route = matchSegmentPath(prefixed?.path ?? fullPath);
    if (route === undefined)
      return problem(404, "unknown_route", `There is no ${fullPath} on this relay.`, ALLOW_ORIGIN);
    if (request.method === "OPTIONS") return { status: 204, headers: PREFLIGHT, body: "" };
    if (request.method !== "POST")
      return problem(405, "method_not_allowed", `${fullPath} takes POST.`, {
        ...ALLOW_ORIGIN,
        allow: "POST, OPTIONS",
      });
    if (this.#stopping) return this.#unavailable("stopping", "The relay is stopping; try again.");
    const { authorization, idempotencyKey } = request;
    if (authorization === undefined || authorization === "") return { route, source: prefixed?.source, idempotencyKey };
    const remembered = this.#known.get(authorization);
    const known =
      remembered !== undefined && this.#sources.isValid(remembered) ? remembered : this.#authenticate(authorization);
    // An OAuth token of the vendor's is none of ours; the body then names the key.
    if (known === "bearer") return { route, source: prefixed?.source, idempotencyKey };
    const source = known?.source;
    if (source === undefined) return this.#refuse(undefined, 401, "unauthorized", "The write key is not known here.");
    if (request.retryCount !== undefined && request.retryCount !== "0")
      this.#options.observer.requestRetried(source.environment.name, source.config.name);
    const waitS = source.limiter?.take(authorization) ?? 0;
    return waitS > 0 ? this.#limited(source, waitS) : { route, source, idempotencyKey };
  }

  /** The request of nearly every Segment client, without looking at any door: its path, a key that was seen right before, nothing else. */
  #ordinary({ method, authorization, retryCount, idempotencyKey }: IntakeRequest, path: string): Opened | undefined {
    if (authorization === undefined || method !== "POST" || retryCount !== undefined || this.#stopping)
      return undefined;
    const known = this.#known.get(authorization);
    const route = known === undefined ? undefined : matchSegmentPath(path);
    if (known === undefined || route === undefined) return undefined;
    const { source } = known;
    if (source.config.protocol !== "segment" || source.limiter !== undefined || !this.#sources.isValid(known))
      return undefined;
    return { route, source, idempotencyKey };
  }

  #limited(source: Source, waitS: number): Answer {
    const { observer } = this.#options;
    observer.requestRefused(source.environment.name, source.config.name, "rate_limited", false);
    const message = `This key may send ${source.config.rateLimit?.perSecond} requests a second.`;
    return segmentAnswer(segmentRefusal(429, "rate_limited", message), { "retry-after": String(waitS) });
  }

  #authenticate(authorization: string): KnownKey | "bearer" | undefined {
    const credentials = parseAuthorization(authorization);
    const known = credentials === undefined ? undefined : this.#sources.byKey(credentials.key);
    if (known === undefined) return credentials?.kind === "bearer" ? "bearer" : undefined;
    if (this.#known.size < KNOWN_MAX) this.#known.set(authorization, known);
    return known;
  }

  /** Answers a request whose body could not be read. */
  refuseBody(opened: Opened | DoorOpened, refusal: BodyRefusal): Answer {
    const [status, message] = BODY_REFUSALS[refusal];
    if ("door" in opened) return this.#doors.refuseBody(opened, refusal, message);
    return this.#refuse(opened.source, status, refusal, message);
  }

  /** Frames, stores, answers. Resolves after the fsync. Never rejects. */
  async accept(opened: Opened | DoorOpened, body: Buffer): Promise<Answer> {
    if ("door" in opened) return this.#doors.accept(opened, body);
    const { route } = opened;
    if (route.kind === "ignore") return segmentAnswer(segmentAccepted([]));
    if (body.length === 0) return this.#refuse(opened.source, 400, "empty_body", "The body is empty.");
    const scan = scanSegment(body, route, this.#options.limits);
    if ("refusal" in scan) {
      const { status, code, message } = scan.refusal;
      return this.#refuse(opened.source, status, code, message, body);
    }
    const source =
      opened.source ?? (scan.writeKey === undefined ? undefined : this.#sources.byKey(scan.writeKey)?.source);
    if (source === undefined)
      return this.#refuse(
        undefined,
        401,
        "unauthorized",
        scan.writeKey === undefined
          ? "There is no write key: send it as Basic authorization or as writeKey in the body."
          : "The write key is not known here.",
      );
    return this.#store(source, scan, body, opened.idempotencyKey);
  }

  async #store(source: Source, scan: SegmentScan, body: Buffer, key: string | undefined): Promise<Answer> {
    const { clock } = this.#options;
    const nowMs = clock.now();
    const { counters, environment } = source;
    for (const { code } of scan.refused) counters.refusedByCode.set(code, (counters.refusedByCode.get(code) ?? 0) + 1);
    const [firstRefused] = scan.refused;
    if (scan.events.length === 0 && firstRefused !== undefined && !this.#options.limits.strict)
      return this.#refuse(source, 400, firstRefused.code, firstRefused.message, body);
    const makeId = key === undefined ? this.#options.makeId : (index: number): string => idFromKey(key, index);
    const hashes = this.#hashIds(source, scan, body, key === undefined ? undefined : makeId);
    const fresh = this.#markFresh(source, scan.events.length, hashes, nowMs);
    const duplicates = fresh === undefined ? 0 : fresh.reduce((total, isFresh) => total + (isFresh ? 0 : 1), 0);
    const kept = scan.events.length - duplicates;
    let first: Position | undefined;
    try {
      const keep = fresh === undefined ? undefined : (index: number): boolean => fresh[index] === true;
      const appended =
        kept === 0
          ? undefined
          : environment.log.append({
              source: source.config.name,
              receivedAtMs: nowMs,
              ...assemble(scan, { keep, makeId, receivedAtMs: nowMs }),
            });
      // A repeat is answered only when what it repeats is durable: it may be waiting for the same fsync.
      if (duplicates > 0) await Promise.all([appended, environment.log.barrier()]);
      first = await appended;
    } catch (error) {
      for (let index = 0; index < scan.events.length; index++)
        if (hasId(hashes, index) && fresh?.[index] !== false) environment.ids.window.remove(hashes, index);
      return this.#notStored(source, error);
    }
    if (first !== undefined) environment.ids.stored(first, only(hashes, fresh), nowMs);
    // Only now can a repeat have learned where the first one went.
    const at = first ?? (kept === 0 && duplicates > 0 ? environment.ids.window.positionOf(hashes, 0) : undefined);
    counters.accepted += kept;
    counters.duplicates += duplicates;
    counters.replacedNumbers += scan.nonFinite.length / 2;
    const answer = segmentAccepted(scan.refused);
    if (at === undefined) return segmentAnswer(answer);
    return segmentAnswer(answer, {
      [RECEIPT_HEADER]: `${environment.name}/${at}+${first === undefined ? duplicates : kept}`,
    });
  }

  /** The hashes of the events' ids; zeros where there is none. `makeId` when ids that are missing can be repeated. */
  #hashIds(
    source: Source,
    { events }: SegmentScan,
    body: Buffer,
    makeId: ((index: number) => string) | undefined,
  ): IdHashes {
    const { window } = source.environment.ids;
    const hashes = { scope: source.scope, words: new Uint32Array(events.length * HASH_WORDS) };
    for (let index = 0; index < events.length; index++) {
      const event = events[index] as SegmentScan["events"][number];
      if (event.idStart >= 0) window.hash(body, event, hashes, index);
      else if (makeId !== undefined) {
        const id = Buffer.from(makeId(index));
        window.hash(id, { idStart: 0, idEnd: id.length }, hashes, index);
      }
    }
    return hashes;
  }

  /** Which events have an id that is new, which they now have no longer; `undefined` when all of them are. */
  #markFresh(source: Source, count: number, hashes: IdHashes, nowMs: number): boolean[] | undefined {
    const { window } = source.environment.ids;
    let fresh: boolean[] | undefined;
    window.prefetch(hashes);
    for (let index = 0; index < count; index++) {
      if (!hasId(hashes, index) || window.add(hashes, index, nowMs)) continue;
      fresh ??= new Array<boolean>(count).fill(true);
      fresh[index] = false;
    }
    return fresh;
  }

  #notStored(source: Source, error: unknown): Answer {
    if (error instanceof WaybillError && error.retryable) {
      this.#options.observer.requestRefused(source.environment.name, source.config.name, error.code, false);
      return this.#unavailable(error.code.replace(/^WAYBILL_/, "").toLowerCase(), error.message);
    }
    if (error instanceof WaybillError && error.code === "WAYBILL_EVENT")
      return this.#refuse(source, 413, "event_too_large", error.message);
    if (error instanceof WaybillError && error.code === "WAYBILL_CLOSED")
      return this.#unavailable("stopping", "The relay is stopping; try again.");
    throw error;
  }

  #unavailable(code: string, message: string): Answer {
    return segmentAnswer(segmentRefusal(503, code, message), { "retry-after": RETRY_AFTER_SECONDS });
  }

  #refuse(source: Source | undefined, status: number, code: string, message: string, body?: Buffer): Answer {
    const repeated = body !== undefined && this.#seenBefore(body);
    this.#options.observer.requestRefused(source?.environment.name ?? "", source?.config.name ?? "", code, repeated);
    return segmentAnswer(
      segmentRefusal(status, code, message),
      status === 503 ? { "retry-after": RETRY_AFTER_SECONDS } : {},
    );
  }

  #seenBefore(body: Buffer): boolean {
    const digest = createHash("sha1").update(body).digest("base64");
    if (this.#refusedBodies.has(digest)) return true;
    this.#refusedBodies.add(digest);
    if (this.#refusedBodies.size > REMEMBERED_REFUSALS)
      for (const oldest of this.#refusedBodies) {
        this.#refusedBodies.delete(oldest);
        break;
      }
    return false;
  }
}

function hasId({ words }: IdHashes, index: number): boolean {
  return words[index * HASH_WORDS] !== 0;
}

/** The hashes of the events that were kept. */
function only(hashes: IdHashes, kept: readonly boolean[] | undefined): IdHashes {
  if (kept === undefined) return hashes;
  const words = hashes.words.filter((_word, at) => kept[Math.floor(at / HASH_WORDS)]);
  return { scope: hashes.scope, words };
}

/** The same key and place give the same id: a UUID of version 8 from their SHA-256. */
function idFromKey(key: string, index: number): string {
  const hex = createHash("sha256").update(`${index}:${key}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const RECEIPT_HEADER = "waybill-receipt";
const ACCEPTED_HEADERS = { "content-type": "application/json", ...ALLOW_ORIGIN };

function segmentAnswer(
  answer: { readonly status: number; readonly body: string },
  headers?: Readonly<Record<string, string>>,
): Answer {
  return { ...answer, headers: headers === undefined ? ACCEPTED_HEADERS : { ...ACCEPTED_HEADERS, ...headers } };
}
