/**
 * The path of a request: route -> authenticate -> frame -> leave out duplicates -> append -> fsync
 * -> the vendor's success, with a receipt.
 *
 * Its vendor's inbound adapter decides what is stored and answered (@waybill/vendors), {@link
 * Router} whose it is, {@link ingestAll} stores it. Segment has a faster way ({@link
 * SegmentIntake}).
 *
 * Works on values, not sockets: the HTTP server and the simulation both call {@link Intake.accept}.
 */
import { isUtf8 } from "node:buffer";
import {
  type InboundPart,
  type InboundRequest,
  type InboundRefusal as Refusal,
  type StoredEvents,
  storedSome,
  type Taken,
} from "@waybill/vendors";
import type { RequestSpan } from "../tracing/tracing.ts";
import type { Answer } from "./answers.ts";
import type { BodyRefusal, Charge } from "./body.ts";
import { HASH_WORDS, type IdHashes } from "./id-window.ts";
import { ingest, ingestAll, type NewEvents, RECEIPT_HEADER } from "./ingest.ts";
import { idFromSeed } from "./made-ids.ts";
import { answerOf, bodyRefusal, keyRefusal, Refusals, rateRefusal, storeRefusal } from "./refusals.ts";
import { Router, requestOf } from "./router.ts";
import { isSegment, SegmentIntake } from "./segment/segment-intake.ts";
import type { Stored } from "./source-environment.ts";
import { countRefused, type Source, type SourceTable } from "./sources.ts";
import type { IntakeOptions, IntakeRequest, Opened } from "./types.ts";
import { exchanged, NO_ANSWER, passedThrough } from "./vendor-answers.ts";

/** Events that memory mode had no room for. */
const MEMORY_FULL = "memory_full";
const NONE_REFUSED: ReadonlyMap<string, number> = new Map();

/** Where ids are hashed: nothing waits between writing one and hashing it. Longer ones are few. */
const ID_BYTES = Buffer.allocUnsafeSlow(1_024);
/** UTF-8 has at most this many bytes for a unit of a string. */
const BYTES_PER_UNIT_MAX = 3;

/** Events of one record, and whose they are. */
interface OwnedPart extends InboundPart {
  readonly source: Source;
}

/** A request whose body was read. */
interface Whole {
  readonly opened: Opened;
  readonly request: InboundRequest;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What its vendor made of it. */
interface TakenRequest {
  readonly whole: Whole;
  readonly taken: Taken;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #router: Router;
  readonly #refusals: Refusals;
  readonly #segment: SegmentIntake;

  constructor(sources: SourceTable, options: IntakeOptions) {
    this.#options = options;
    this.#refusals = new Refusals(options.observer);
    this.#router = new Router(sources, options, this.#refusals);
    this.#segment = new SegmentIntake(options, this.#router, this.#refusals);
  }

  get sources(): SourceTable {
    return this.#router.sources;
  }

  /** From now on requests are looked up in `sources`. */
  replaceSources(sources: SourceTable): void {
    this.#router.replaceSources(sources);
    this.#segment.forget();
  }

  /** What comes from now on is refused with 503; its senders keep it. */
  stop(): void {
    this.#router.stop();
  }

  /** Decides what can be decided without the body: an answer, or leave to read it. */
  open(asked: IntakeRequest): Answer | Opened {
    const ordinary = this.#segment.ordinary(asked);
    if (ordinary !== undefined) return ordinary;
    const opened = this.#router.open(asked);
    if (!("status" in opened) && isSegment(opened)) this.#segment.remember(opened);
    return opened;
  }

  /** Answers a request whose body could not be read. */
  refuseBody(opened: Opened, code: BodyRefusal): Answer {
    const { adapter, source, request, headers } = this.#refusedOf(opened);
    return this.#refusals.answer(bodyRefusal(code), { adapter, source, request, headers });
  }

  /**
   * Frames, stores, answers. Resolves after the fsync; rejects for a defect. `charge`: of the body.
   */
  accept(opened: Opened, body: Buffer, charge?: Charge): Promise<Answer> {
    try {
      return isSegment(opened) ? this.#segment.accept(opened, body, charge) : this.#accept(opened, body, charge);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #accept(opened: Opened, body: Buffer, charge: Charge | undefined): Promise<Answer> {
    const first = this.#taken(opened, body);
    // Several vendors may have the path: whose key it is takes the request, else the first refuses.
    for (let one = first, at = opened; isUnknown(one.taken) && at.next !== undefined; at = at.next) {
      one = this.#taken(at.next, body);
      if (!isUnknown(one.taken)) return this.#acceptTaken(one, charge);
    }
    return this.#acceptTaken(first, charge);
  }

  #taken(opened: Opened, body: Buffer): TakenRequest {
    const { adapter, source, route, asked, path } = opened;
    const request = opened.request ?? requestOf(asked, path);
    const options = this.#router.optionsFor(adapter, source, this.#makeId);
    const whole: Whole = { opened, request, headers: route.headers?.(request, options) ?? {}, body };
    if (!isUtf8(body)) return { whole, taken: { refusal: { kind: "invalid", message: "The body is not UTF-8." } } };
    return { whole, taken: route.take(body, request, options) };
  }

  #acceptTaken({ whole, taken }: TakenRequest, charge: Charge | undefined): Promise<Answer> {
    return "parts" in taken ? this.#acceptParts(whole, taken, charge) : this.#answerUnstored(whole, taken);
  }

  /** A refusal, an answer of the adapter's own, or a passthrough request. */
  async #answerUnstored(
    whole: Whole,
    taken: Exclude<Taken, { readonly parts: readonly InboundPart[] }>,
  ): Promise<Answer> {
    const { opened, request, headers, body } = whole;
    const { adapter, source } = opened;
    if ("refusal" in taken) return this.#refuse(whole, taken.refusal);
    if (source === undefined) return this.#refuse(whole, keyRefusal(true, adapter.inbound.keyPlace, undefined));
    if (!("passthrough" in taken)) return answerOf(taken.answer, headers);
    const { path } = taken.passthrough;
    const answer = await passedThrough({ source, adapter, request, headers }, path, body, this.#options);
    return answer ?? this.#refuse(whole, NO_ANSWER);
  }

  async #acceptParts(
    whole: Whole,
    taken: Extract<Taken, { readonly parts: unknown }>,
    charge: Charge | undefined,
  ): Promise<Answer> {
    const { opened, headers, request, body } = whole;
    const owned = this.#ownersOf(opened, taken.parts);
    if ("refusal" in owned) return this.#refuse(whole, owned.refusal, owned.source);
    const parts = owned.parts.filter(({ events }) => events.ends.length > 0);
    const [first] = parts;
    if (first === undefined) return answerOf(taken.answer(0), headers);
    if (opened.payer === undefined) charge?.moveTo(first.source.share);
    const pause = this.#options.turns?.pause(first.source.share, body.length);
    if (pause !== undefined) await pause;
    try {
      const durable = parts.filter((part) => !publishedInMemory(part));
      const stored = await this.#store(durable, opened.asked.trace);
      for (const { source, refusedByCode = NONE_REFUSED } of durable)
        for (const [code, count] of refusedByCode) countRefused(source, code, count);
      const { duplicates = 0, receipt } = stored ?? {};
      const answered = receipt === undefined ? headers : { ...headers, [RECEIPT_HEADER]: receipt };
      if (taken.exchange !== true || stored === undefined) return answerOf(taken.answer(duplicates), answered);
      const caller = { source: first.source, adapter: opened.adapter, request, headers: answered };
      return await exchanged(caller, stored, taken.answer(0), this.#options);
    } catch (error) {
      const refusal = storeRefusal(error);
      if (refusal === undefined) throw error;
      return this.#refuse(whole, refusal, first.source);
    }
  }

  /**
   * Whose events the parts are: of the source that the head names, or of the key in each. One part
   * that is nobody's, or over its rate, refuses all.
   */
  #ownersOf(
    opened: Opened,
    parts: readonly InboundPart[],
  ): { readonly parts: readonly OwnedPart[] } | { readonly refusal: Refusal; readonly source: Source | undefined } {
    const owned: OwnedPart[] = [];
    const counted = new Set<string>();
    for (const part of parts) {
      const { key = "" } = part;
      const source =
        opened.key !== undefined ? opened.source : key === "" ? opened.payer : this.#router.sourceInBody(opened, key);
      if (source === undefined)
        return {
          refusal: keyRefusal(part.key === undefined, opened.adapter.inbound.keyPlace, opened.source?.config.name),
          source: opened.source,
        };
      opened.asked.owner ??= source;
      opened.asked.route = opened.route.pattern;
      if (opened.key === undefined && !counted.has(key)) {
        counted.add(key);
        const limited = rateRefusal(source, key);
        if (limited !== undefined) return { refusal: limited, source };
      }
      owned.push({ ...part, source });
    }
    return { parts: owned };
  }

  /** All parts or none. `undefined` when there is none. */
  #store(parts: readonly OwnedPart[], trace: RequestSpan | undefined): Promise<Stored> | undefined {
    const [first] = parts;
    if (first === undefined) return undefined;
    const receivedAtMs = this.#options.clock.now();
    return parts.length === 1
      ? ingest(newEvents(first, receivedAtMs, trace))
      : ingestAll(parts.map((part) => newEvents(part, receivedAtMs, trace)));
  }

  #refuse({ opened, request, headers, body }: Whole, refusal: Refusal, source = opened.source): Answer {
    return this.#refusals.answer(refusal, { adapter: opened.adapter, source, request, headers, body });
  }

  #refusedOf(opened: Opened): Pick<Whole, "request" | "headers"> & Pick<Opened, "adapter" | "source"> {
    const { adapter, source, route, asked, path } = opened;
    const request = opened.request ?? requestOf(asked, path);
    const headers = route.headers?.(request, this.#router.optionsFor(adapter, source, this.#makeId)) ?? {};
    return { adapter, source, request, headers };
  }

  readonly #makeId = (seed?: string): string => (seed === undefined ? this.#options.makeId() : idFromSeed(seed));
}

function isUnknown(taken: Taken): boolean {
  return "refusal" in taken && taken.refusal.kind === "unauthorized";
}

function newEvents(
  { source, events, ids, idPrefix, metadata }: OwnedPart,
  receivedAtMs: number,
  trace: RequestSpan | undefined,
): NewEvents {
  const count = events.ends.length;
  const hashes = idPrefix === undefined ? hashIds(source, ids, count) : hashNumbered(source, idPrefix, count);
  return {
    source,
    receivedAtMs,
    count,
    hashes,
    idPrefix,
    trace,
    entry: (keep) => ({ metadata, ...(keep === undefined ? events : storedSome(events, keep)) }),
  };
}

/** Whether its source keeps events in memory, and has taken these. */
function publishedInMemory({ source, metadata, events }: OwnedPart): boolean {
  const memory = source.environment.memoryOf(source.config);
  if (memory === undefined) return false;
  const dropped = memory.publish(metadata, textsOf(events));
  if (dropped > 0) countRefused(source, MEMORY_FULL, dropped);
  return true;
}

function textsOf({ body, ends }: StoredEvents): string[] {
  const bytes = Buffer.concat(body);
  return Array.from(ends, (end, index) =>
    bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] as number) + 1, end).trim(),
  );
}

/**
 * The hashes of ids, zeros for those that are ""; `undefined` where there are none, or the log
 * finds duplicates by itself.
 */
function hashIds({ environment, scope }: Source, ids: readonly string[], count: number): IdHashes | undefined {
  const window = environment.ids?.window;
  if (ids.length === 0 || window === undefined) return undefined;
  const hashes: IdHashes = { scope, words: new Uint32Array(count * HASH_WORDS) };
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index] as string;
    if (id === "") continue;
    const fits = id.length * BYTES_PER_UNIT_MAX <= ID_BYTES.length;
    const bytes = fits ? ID_BYTES : Buffer.from(id);
    const idEnd = fits ? ID_BYTES.write(id) : bytes.length;
    window.hash(bytes, { idStart: 0, idEnd }, hashes, index);
  }
  return hashes;
}

/** The hashes of "prefix 0", "prefix 1" and so on. */
function hashNumbered({ environment, scope }: Source, prefix: string, count: number): IdHashes | undefined {
  const window = environment.ids?.window;
  if (window === undefined) return undefined;
  const hashes: IdHashes = { scope, words: new Uint32Array(count * HASH_WORDS) };
  const bytes = Buffer.from(`${prefix} ${count}`);
  const numberAt = bytes.length - String(count).length;
  for (let index = 0; index < count; index++) {
    const number = String(index);
    for (let digit = 0; digit < number.length; digit++) bytes[numberAt + digit] = number.charCodeAt(digit);
    window.hash(bytes, { idStart: 0, idEnd: numberAt + number.length }, hashes, index);
  }
  return hashes;
}
