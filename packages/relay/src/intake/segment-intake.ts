/**
 * The path of a request: route -> authenticate -> frame -> dedupe -> append -> fsync -> 2xx with a receipt.
 *
 * The receipt says where the request's events are in the log (stored-events.ts). A duplicate, known by the
 * ids of its events, is answered as the first time, receipt included, and not stored again. Events without an id get one made from the request's
 * `Idempotency-Key` (or `X-Idempotency-Key`) and their place, if it has one, so that a duplicate of theirs is known too.
 *
 * Works on values, not sockets: the HTTP server and the simulation both call {@link Intake.accept}.
 */
import { createHash } from "node:crypto";
import { type Clock, WaybillError } from "@waybill/core";
import {
  assemble,
  type IntakeLimits,
  matchSegmentPath,
  parseAuthorization,
  type SegmentLimits,
  type SegmentRoute,
  type SegmentScan,
  scanSegment,
  segmentAccepted,
  segmentInbound,
  segmentRefusal,
  shown,
} from "@waybill/vendors";
import { type Answer, problem } from "./answers.ts";
import type { BodyRefusal, Charge } from "./body.ts";
import { HASH_WORDS, type IdHashes } from "./id-window.ts";
import type { KnownKey, Source, SourceTable } from "./sources.ts";
import { RECEIPT_HEADER, storeNew } from "./stored-events.ts";
import type { Turns } from "./turns.ts";
import { type OpenedRequest, VendorIntake } from "./vendor-intake.ts";

export interface IntakeRequest {
  readonly method: string;
  /** With or without a query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly retryCount: string | undefined;
  readonly idempotencyKey: string | undefined;
  /** Lower-case names. For the doors of vendors other than Segment. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  /** Looked at only where an adapter wants the address. */
  readonly socket?: { readonly remoteAddress?: string | undefined };
}

export interface IntakeOptions {
  readonly clock: Clock;
  readonly makeId: () => string;
  readonly limits: SegmentLimits;
  readonly observer: IntakeObserver;
  /** How long the caller of an exchange waits for the vendor's answer. */
  readonly exchangeDeadlineMs: number;
  /** In place of what each protocol has by itself. */
  readonly intakeLimits?: Partial<IntakeLimits>;
  /** Large bodies are worked on in several turns of the event loop. */
  readonly turns?: Turns;
}

export interface IntakeObserver {
  requestRefused(environment: string, source: string, code: string, repeated: boolean): void;
  requestRetried(environment: string, source: string): void;
}

/** A request whose path and, where its head has one, key are known; its body may be read. */
export interface Opened {
  readonly route: SegmentRoute;
  /** Who pays for the body: the source whose key the head has, or one that takes requests without. Else the body has to name the key. */
  readonly payer: Source | undefined;
  /** The source that the path or the host names: the key in the body must be its own. */
  readonly named: Source | undefined;
  readonly idempotencyKey: string | undefined;
  readonly bodyMaxBytes: number;
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
/** Of a refused body, by which it is recognised. */
const REMEMBERED_BYTES = 16 * 1024;
const RETRY_AFTER_SECONDS = "1";

const BODY_REFUSALS: Readonly<Record<BodyRefusal, readonly [status: number, message: string]>> = {
  body_too_large: [413, "The body is larger than this relay takes."],
  unsupported_encoding: [415, "The Content-Encoding is not one of gzip, deflate, br."],
  damaged_encoding: [400, "The body does not decode as its Content-Encoding says; it may be truncated."],
  overloaded: [503, "The relay holds as many bodies as it may; try again."],
  share_exceeded: [429, "You have as many bodies here as you may at once; try again."],
  too_slow: [408, "The body did not come on."],
  aborted: [400, "The request ended before its body did."],
};

export class Intake {
  readonly #options: IntakeOptions;
  readonly #refusedBodies = new Set<string>();
  /** Headers that were found right before: looking a key up by its digest costs as much as framing a small body. One or two for each key. */
  readonly #known = new Map<string, KnownKey>();
  readonly #doors: VendorIntake;
  readonly #bodyMaxBytes: number;
  #sources: SourceTable;
  #stopping = false;

  constructor(sources: SourceTable, options: IntakeOptions) {
    this.#sources = sources;
    this.#options = options;
    this.#bodyMaxBytes = options.intakeLimits?.bodyMaxBytes ?? segmentInbound.limits.bodyMaxBytes;
    this.#doors = new VendorIntake(sources, { ...options, strict: options.limits.strict });
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
  open(request: IntakeRequest): Answer | Opened | OpenedRequest {
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
      return problem(404, "unknown_route", `There is no ${shown(fullPath)} on this relay.`, ALLOW_ORIGIN);
    if (request.method === "OPTIONS") return { status: 204, headers: PREFLIGHT, body: "" };
    if (request.method !== "POST")
      return problem(405, "method_not_allowed", `${shown(fullPath)} takes POST.`, {
        ...ALLOW_ORIGIN,
        allow: "POST, OPTIONS",
      });
    if (this.#stopping) return this.#unavailable("stopping", "The relay is stopping; try again.");
    const { authorization } = request;
    const named = prefixed?.source;
    const known = authorization === undefined || authorization === "" ? "none" : this.#authenticate(authorization);
    if (known === undefined || (typeof known === "object" && named !== undefined && known.source !== named))
      return this.#refuse(undefined, 401, "unauthorized", "The write key is not known here.");
    if (typeof known === "object") {
      if (request.retryCount !== undefined && request.retryCount !== "0")
        this.#options.observer.requestRetried(known.source.environment.name, known.source.config.name);
      return this.#limited(known.source, known.key) ?? this.#opened(route, request, known.source, undefined);
    }
    // An OAuth token of the vendor's is none of ours; the body then names the key.
    const isOpen = known === "none" && named?.config.keyless === true;
    return this.#opened(route, request, isOpen ? named : undefined, named);
  }

  #opened(
    route: SegmentRoute,
    { idempotencyKey }: IntakeRequest,
    payer: Source | undefined,
    named: Source | undefined,
  ): Opened {
    return { route, payer, named, idempotencyKey, bodyMaxBytes: this.#bodyMaxBytes };
  }

  /** The request of nearly every Segment client, without looking at any door: its path, a key that was seen right before, nothing else. */
  #ordinary(request: IntakeRequest, path: string): Opened | undefined {
    const { method, authorization, retryCount } = request;
    if (authorization === undefined || method !== "POST" || retryCount !== undefined || this.#stopping)
      return undefined;
    const known = this.#known.get(authorization);
    const route = known === undefined ? undefined : matchSegmentPath(path);
    if (known === undefined || route === undefined) return undefined;
    const { source } = known;
    if (source.limiter !== undefined || !this.#sources.isValid(known)) return undefined;
    const host = this.#sources.byHost(request.headers?.["host"]);
    if (host !== undefined && host !== source) return undefined;
    return this.#opened(route, request, source, undefined);
  }

  /** The refusal of a key that came too often. */
  #limited(source: Source, key: string): Answer | undefined {
    const waitS = source.limiter?.take(key) ?? 0;
    if (waitS === 0) return undefined;
    const { observer } = this.#options;
    observer.requestRefused(source.environment.name, source.config.name, "rate_limited", false);
    const message = `This key may send ${source.config.rateLimit?.perSecond} requests a second.`;
    return segmentAnswer(segmentRefusal(429, "rate_limited", message), { "retry-after": String(waitS) });
  }

  /** `undefined` for a key that is none of a source of this protocol. */
  #authenticate(authorization: string): KnownKey | "bearer" | undefined {
    const remembered = this.#known.get(authorization);
    if (remembered !== undefined && this.#sources.isValid(remembered)) return remembered;
    const credentials = parseAuthorization(authorization);
    const known = credentials === undefined ? undefined : this.#sourceOf(credentials.key);
    if (known === undefined) return credentials?.kind === "bearer" ? "bearer" : undefined;
    // In the spellings of real clients alone: there are many others.
    if (authorization === `Basic ${btoa(`${known.key}:`)}` || authorization === `Basic ${btoa(known.key)}`)
      this.#known.set(authorization, known);
    return known;
  }

  #sourceOf(key: string): KnownKey | undefined {
    const known = this.#sources.byKey(key);
    return known?.source.config.protocol === "segment" ? known : undefined;
  }

  /** Answers a request whose body could not be read. */
  refuseBody(opened: Opened | OpenedRequest, refusal: BodyRefusal): Answer {
    const [status, message] = BODY_REFUSALS[refusal];
    if ("adapter" in opened) return this.#doors.refuseBody(opened, refusal, message);
    return this.#refuse(opened.payer, status, refusal, message);
  }

  /** Frames, stores, answers. Resolves after the fsync; rejects for a defect. `charge`: of the body. */
  accept(opened: Opened | OpenedRequest, body: Buffer, charge?: Charge): Promise<Answer> {
    try {
      if ("adapter" in opened) return this.#doors.accept(opened, body, charge);
      return this.#accept(opened, body, charge);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #accept(opened: Opened, body: Buffer, charge: Charge | undefined): Promise<Answer> {
    const { route, payer } = opened;
    if (body.length === 0 && route.kind !== "ignore")
      return Promise.resolve(this.#refuse(payer, 400, "empty_body", "The body is empty."));
    if (route.kind === "ignore") return Promise.resolve(segmentAnswer(ACCEPTED));
    const scan = scanSegment(body, route, this.#options.limits);
    if ("refusal" in scan) {
      const { status, code, message } = scan.refusal;
      return Promise.resolve(this.#refuse(payer, status, code, message, body));
    }
    const source = this.#payerIn(opened, scan);
    if ("status" in source) return Promise.resolve(source);
    if (charge !== undefined && charge.share !== source.share) charge.moveTo(source.share);
    const pause = this.#options.turns?.pause(source.share, body.length);
    if (pause === undefined) return this.#store(source, scan, body, opened.idempotencyKey);
    return pause.then(() => this.#store(source, scan, body, opened.idempotencyKey));
  }

  /** Whose events they are; or why they are nobody's. */
  #payerIn({ payer, named }: Opened, { writeKey = "" }: SegmentScan): Source | Answer {
    // A key in the head wins over one in the body.
    if (payer !== undefined && payer !== named) return payer;
    if (payer !== undefined && writeKey === "") return this.#limited(payer, "") ?? payer;
    const known = writeKey === "" ? undefined : this.#sourceOf(writeKey);
    if (known === undefined || (named !== undefined && known.source !== named))
      return this.#refuse(
        undefined,
        401,
        "unauthorized",
        writeKey === ""
          ? "There is no write key: send it as Basic authorization or as writeKey in the body."
          : "The write key is not known here.",
      );
    return this.#limited(known.source, known.key) ?? known.source;
  }

  async #store(source: Source, scan: SegmentScan, body: Buffer, key: string | undefined): Promise<Answer> {
    const receivedAtMs = this.#options.clock.now();
    const { counters } = source;
    for (const [code, count] of scan.refusedByCode)
      counters.refusedByCode.set(code, (counters.refusedByCode.get(code) ?? 0) + count);
    const [firstRefused] = scan.refused;
    if (scan.events.length === 0 && firstRefused !== undefined && !this.#options.limits.strict)
      return this.#refuse(source, 400, firstRefused.code, firstRefused.message, body);
    const makeId = key === undefined ? this.#options.makeId : (index: number): string => idFromKey(key, index);
    const answer = segmentAccepted(scan);
    if (scan.events.length === 0) return segmentAnswer(answer);
    try {
      const { receipt } = await storeNew({
        source,
        receivedAtMs,
        count: scan.events.length,
        hashes: this.#hashIds(source, scan, body, key === undefined ? undefined : makeId),
        entry: (keep) =>
          assemble(scan, {
            keep: keep === undefined ? undefined : (index) => keep[index] === true,
            makeId,
            receivedAtMs,
          }),
      });
      counters.replacedNumbers += scan.nonFinite.length / 2;
      return receipt === undefined ? segmentAnswer(answer) : segmentAnswer(answer, { [RECEIPT_HEADER]: receipt });
    } catch (error) {
      return this.#notStored(source, error);
    }
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
      status === 503 || status === 429 ? { "retry-after": RETRY_AFTER_SECONDS } : {},
    );
  }

  #seenBefore(body: Buffer): boolean {
    const hash = createHash("sha1").update(body.subarray(0, REMEMBERED_BYTES)).update(`${body.length}`);
    const digest = hash.digest("base64");
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

/** The same key and place give the same id: a UUID of version 8 from their SHA-256. */
function idFromKey(key: string, index: number): string {
  const hex = createHash("sha256").update(`${index}:${key}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const ACCEPTED = segmentAccepted({ refused: [], refusedMore: [] });
const ACCEPTED_HEADERS = { "content-type": "application/json", ...ALLOW_ORIGIN };

function segmentAnswer(
  answer: { readonly status: number; readonly body: string },
  headers?: Readonly<Record<string, string>>,
): Answer {
  return { ...answer, headers: headers === undefined ? ACCEPTED_HEADERS : { ...ACCEPTED_HEADERS, ...headers } };
}
