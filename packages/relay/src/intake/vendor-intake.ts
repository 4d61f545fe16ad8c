/**
 * The intake of every vendor but Segment: finds the door by key and path, lets it read the body, stores what it found, and answers as the vendor does.
 *
 * A key names its source and the source its protocol, so vendors may share a path. Where no key is known, the path alone decides who refuses, in which form.
 * An exchange is stored like the rest, and its caller waits for the outcome at the destination of the same vendor.
 */
import { isUtf8 } from "node:buffer";
import { type Clock, type HttpRequest, type HttpResponse, WaybillError } from "@waybill/core";
import {
  type InboundAnswer,
  type InboundOptions,
  type InboundPart,
  type InboundRequest,
  type InboundRoute,
  type IntakeLimits,
  type InboundRefusal as Refusal,
  type StoredEvents,
  segmentInbound,
  shown,
  storedSome,
  type Taken,
} from "@waybill/vendors";
import { ADAPTERS, adapterOf, type Vendor, type VendorAdapter } from "@waybill/vendors/registry";
import type { Answer } from "./answers.ts";
import type { BodyRefusal, Charge } from "./body.ts";
import { HASH_WORDS, type IdHashes } from "./id-window.ts";
import type { IntakeObserver, IntakeRequest } from "./segment-intake.ts";
import type { KnownKey, Source, SourceTable } from "./sources.ts";
import { RECEIPT_HEADER, storeNew } from "./stored-events.ts";
import type { Turns } from "./turns.ts";

export interface VendorIntakeOptions {
  readonly clock: Clock;
  readonly makeId: () => string;
  readonly strict: boolean;
  readonly observer: IntakeObserver;
  readonly exchangeDeadlineMs: number;
  readonly intakeLimits?: Partial<IntakeLimits>;
  readonly turns?: Turns;
}

/** A request whose body may be read. */
export interface OpenedRequest {
  readonly adapter: VendorAdapter;
  readonly route: InboundRoute;
  /** `undefined`: the key in the body names it. */
  readonly source: Source | undefined;
  /** Who pays for the body: the source, unless its key is in there. */
  readonly payer: Source | undefined;
  readonly request: InboundRequest;
  readonly options: InboundOptions;
  readonly bodyMaxBytes: number;
}

/** Whose request it is, and by which key; without one it may have none, or has it in the body. */
interface Found {
  readonly source: Source | undefined;
  readonly key: string | undefined;
}

type OfSource = Pick<OpenedRequest, "adapter" | "request"> & { readonly source: Source };

interface Prefixed {
  readonly source: Source;
  readonly path: string;
}

const BODY_KINDS: Readonly<
  Record<BodyRefusal, "too_large" | "unsupported_encoding" | "invalid" | "unavailable" | "rate_limited">
> = {
  body_too_large: "too_large",
  unsupported_encoding: "unsupported_encoding",
  damaged_encoding: "invalid",
  overloaded: "unavailable",
  share_exceeded: "rate_limited",
  too_slow: "invalid",
  aborted: "invalid",
};
const RETRY_AFTER_S = 1;
/** Events that memory mode had no room for. */
const MEMORY_FULL = "memory_full";
/** Statuses that an answer may have; a vendor's own may be anything. */
const STATUS_MIN = 200;
const STATUS_MAX = 599;

export class VendorIntake {
  readonly #options: VendorIntakeOptions;
  /** Keys that were found right before: a digest costs as much as framing a small body. One entry for each valid key. */
  readonly #known = new Map<string, KnownKey>();
  readonly #limits: ReadonlyMap<string, IntakeLimits>;
  #sources: SourceTable;
  #adapters: readonly VendorAdapter[];
  #stopping = false;

  constructor(sources: SourceTable, options: VendorIntakeOptions) {
    this.#options = options;
    this.#limits = new Map(ADAPTERS.map(({ name, inbound }) => [name, { ...inbound.limits, ...options.intakeLimits }]));
    this.#sources = sources;
    this.#adapters = inboundsOf(sources);
  }

  replaceSources(sources: SourceTable): void {
    this.#sources = sources;
    this.#adapters = inboundsOf(sources);
    this.#known.clear();
  }

  stop(): void {
    this.#stopping = true;
  }

  /** `undefined`: not for any of these vendors. */
  open(
    asked: IntakeRequest,
    path: string,
    query: string,
    prefixed: Prefixed | undefined,
  ): Answer | OpenedRequest | undefined {
    if (prefixed === undefined && this.#adapters.length === 0) return undefined;
    const request: InboundRequest = {
      method: asked.method,
      path: prefixed?.path ?? path,
      query,
      headers: (asked.headers ?? { authorization: asked.authorization }) as InboundRequest["headers"],
      address: asked.socket?.remoteAddress,
    };
    let refusing: Pick<OpenedRequest, "adapter" | "route"> | undefined;
    let keyInBody: typeof refusing;
    for (const adapter of prefixed === undefined ? this.#adapters : inboundOf(prefixed.source)) {
      const route = adapter.inbound.match(request.path);
      if (route === undefined) continue;
      const found = this.#find(adapter, route, request, prefixed?.source);
      if (found !== undefined) return this.#openRoute({ adapter, route, request, ...found });
      refusing ??= { adapter, route };
      if (prefixed === undefined && adapter.inbound.keyInBody?.(request) === true) keyInBody ??= { adapter, route };
    }
    if (keyInBody !== undefined) return this.#openRoute({ ...keyInBody, request, source: undefined, key: undefined });
    if (prefixed !== undefined && prefixed.source.config.protocol !== "segment" && refusing === undefined)
      return answerOf(
        adapterOf(prefixed.source.config.protocol).inbound.refuse(
          { kind: "not_found", message: `There is no ${shown(path)}.` },
          request,
        ),
      );
    // A path of Segment's too, without a key that we know: Segment's door refuses it, unless there is none.
    if (
      refusing === undefined ||
      (prefixed === undefined && this.#sources.protocols.has("segment") && isSegmentPath(path))
    )
      return undefined;
    const { adapter, route } = refusing;
    // A browser asks without its key.
    if (request.method === "OPTIONS" && route.key === undefined && route.preflight !== undefined)
      return answerOf(route.preflight(request, this.#inboundOptions(undefined, this.#limitsOf(adapter))));
    const isKeyless = adapter.inbound.key(request) === undefined && route.key === undefined;
    const message = isKeyless ? `There is no key: send it ${adapter.inbound.keyPlace}.` : "The key is not known here.";
    return this.#refuse(undefined, adapter, { kind: "unauthorized", message, isKeyless }, request, {});
  }

  #find(
    { name, inbound }: VendorAdapter,
    route: InboundRoute,
    request: InboundRequest,
    prefixed: Source | undefined,
  ): Found | undefined {
    const key = route.key ?? inbound.key(request);
    if (key === undefined)
      return prefixed !== undefined && (inbound.keyInBody?.(request) === true || prefixed.config.keyless)
        ? { source: prefixed, key: undefined }
        : undefined;
    const known = this.#lookUp(name, key, (route.keyKind ?? "") as KnownKey["kind"]);
    // Under a prefix or at a host the source is known; a key that is there must be its own all the same.
    if (known === undefined || (prefixed !== undefined && known.source !== prefixed)) return undefined;
    return { source: known.source, key: known.key };
  }

  #lookUp(vendor: string, key: string, kind: KnownKey["kind"]): KnownKey | undefined {
    const name = `${vendor} ${kind} ${key}`;
    const remembered = this.#known.get(name);
    if (remembered !== undefined && this.#sources.isValid(remembered)) return remembered;
    const known = this.#sources.byKey(key, kind);
    if (known?.source.config.protocol !== vendor) return undefined;
    this.#known.set(name, known);
    return known;
  }

  /** Whose the key in a body is. */
  #sourceIn({ name }: VendorAdapter, taken: Taken): Source | undefined {
    const key = "parts" in taken ? taken.parts[0]?.key : undefined;
    return key === undefined ? undefined : this.#lookUp(name, key, "")?.source;
  }

  #openRoute({
    adapter,
    route,
    request,
    source,
    key,
  }: Pick<OpenedRequest, "adapter" | "route" | "request"> & Found): Answer | OpenedRequest {
    const options = this.#inboundOptions(source, this.#limitsOf(adapter));
    const headers = route.headers?.(request, options) ?? {};
    if (request.method === "OPTIONS" && route.preflight !== undefined)
      return answerOf(route.preflight(request, options));
    const refuse = (refusal: Refusal): Answer => this.#refuse(source, adapter, refusal, request, headers);
    if (!route.methods.includes(request.method))
      return {
        ...refuse({ kind: "method_not_allowed", message: `${shown(request.path)} takes ${route.methods.join(", ")}.` }),
      };
    if (this.#stopping)
      return refuse({ kind: "unavailable", message: "The relay is stopping; try again.", retryAfterS: RETRY_AFTER_S });
    // A key in the body is counted when it is known.
    const payer = source !== undefined && (key !== undefined || source.config.keyless) ? source : undefined;
    const limited = payer === undefined ? undefined : limitedBy(payer, key ?? "");
    if (limited !== undefined) return refuse(limited);
    const { bodyMaxBytes } = this.#limitsOf(adapter);
    return { adapter, route, source, payer, request, options, bodyMaxBytes };
  }

  #limitsOf({ name }: VendorAdapter): IntakeLimits {
    return this.#limits.get(name) as IntakeLimits;
  }

  refuseBody(
    { adapter, source, request, route, options }: OpenedRequest,
    refusal: BodyRefusal,
    message: string,
  ): Answer {
    const kind = BODY_KINDS[refusal];
    const headers = route.headers?.(request, options) ?? {};
    const again = kind === "unavailable" || kind === "rate_limited" ? { retryAfterS: RETRY_AFTER_S } : {};
    return this.#refuse(source, adapter, { kind, message, ...again } as Refusal, request, headers);
  }

  /** Frames, stores, answers. Resolves after the fsync; rejects for a defect. */
  async accept(opened: OpenedRequest, body: Buffer, charge?: Charge): Promise<Answer> {
    const { adapter, route, request, options } = opened;
    const headers = route.headers?.(request, options) ?? {};
    if (!isUtf8(body))
      return this.#refuse(
        opened.source,
        adapter,
        { kind: "invalid", message: "The body is not UTF-8." },
        request,
        headers,
      );
    const taken = route.take(body, request, options);
    const source = opened.source ?? this.#sourceIn(adapter, taken);
    const refuse = (refusal: Refusal): Answer => this.#refuse(source, adapter, refusal, request, headers);
    if ("refusal" in taken) return refuse(taken.refusal);
    if (source === undefined) return refuse({ kind: "unauthorized", message: "The key is not known here." });
    if ("passthrough" in taken)
      return this.#passThrough({ source, adapter, request }, taken.passthrough.path, body, headers);
    if (!("parts" in taken)) return answerOf(taken.answer, headers);
    if (opened.payer === undefined) {
      const limited = limitedBy(source, taken.parts[0]?.key ?? "");
      if (limited !== undefined) return refuse(limited);
      charge?.moveTo(source.share);
    }
    const [part] = taken.parts;
    if (part === undefined || part.events.ends.length === 0) return answerOf(taken.answer(0), headers);
    const memory = source.config.memory === undefined ? undefined : source.environment.memoryOf(source.config);
    if (memory !== undefined) {
      const dropped = memory.publish(part.metadata, textsOf(part.events));
      const { refusedByCode } = source.counters;
      if (dropped > 0) refusedByCode.set(MEMORY_FULL, (refusedByCode.get(MEMORY_FULL) ?? 0) + dropped);
      return answerOf(taken.answer(0), headers);
    }
    const pause = this.#options.turns?.pause(source.share, body.length);
    if (pause !== undefined) await pause;
    try {
      const { duplicates, first, receipt } = await this.#store(source, part);
      const answered = receipt === undefined ? headers : { ...headers, [RECEIPT_HEADER]: receipt };
      if (taken.exchange === true && first !== undefined)
        return await this.#exchange({ source, adapter, request }, taken, first, answered);
      return answerOf(taken.answer(duplicates), answered);
    } catch (error) {
      if (error instanceof WaybillError && error.code === "WAYBILL_EVENT")
        return refuse({ kind: "too_large", message: error.message });
      if (error instanceof WaybillError && (error.retryable || error.code === "WAYBILL_CLOSED"))
        return refuse({ kind: "unavailable", message: error.message, retryAfterS: RETRY_AFTER_S });
      throw error;
    }
  }

  #store(source: Source, { events, ids, metadata }: InboundPart): ReturnType<typeof storeNew> {
    const count = events.ends.length;
    return storeNew({
      source,
      receivedAtMs: this.#options.clock.now(),
      count,
      hashes: ids.length === 0 ? undefined : hashIds(source, ids, count),
      entry: (keep) => ({ metadata, ...(keep === undefined ? events : storedSome(events, keep)) }),
    });
  }

  /** Waits for the vendor's own answer; what is not answered in time is sent all the same. */
  async #exchange(
    { source, adapter, request }: OfSource,
    taken: Extract<Taken, { readonly parts: unknown }>,
    position: number,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const { environment } = source;
    const { exchangeDeadlineMs, clock } = this.#options;
    const answered = await environment.exchanges.answerTo(adapter.name as Vendor, position, exchangeDeadlineMs, clock);
    if (answered === "nobody") return answerOf(taken.answer(0), headers);
    if (answered === undefined) {
      const message = "The event is stored and will be sent; the vendor has not answered yet.";
      const { body, ...refused } = adapter.inbound.refuse(
        { kind: "unavailable", message, retryAfterS: RETRY_AFTER_S },
        request,
      );
      const told = JSON.stringify({ ...(JSON.parse(body) as object), stored: true });
      return answerOf({ ...refused, body: told }, { ...headers, "retry-after": String(RETRY_AFTER_S) });
    }
    return passedOn(answered, headers);
  }

  /** Not stored: the caller needs the answer now, or to know that there is none. */
  async #passThrough(
    { source, adapter, request }: OfSource,
    path: string,
    body: Buffer,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const { method, query, headers: sent } = request;
    const asked = {
      method: method as HttpRequest["method"],
      path: `${path}${query === "" ? "" : `?${query}`}`,
      body,
      type: sent["content-type"],
    };
    const answered = await source.environment.passThrough(
      adapter.name as Vendor,
      asked,
      this.#options.exchangeDeadlineMs,
    );
    if (answered === undefined)
      return this.#refuse(
        source,
        adapter,
        { kind: "unavailable", message: "The vendor does not answer.", retryAfterS: RETRY_AFTER_S },
        request,
        headers,
      );
    return passedOn(answered, headers);
  }

  #refuse(
    source: Source | undefined,
    adapter: VendorAdapter,
    refusal: Refusal,
    request: InboundRequest,
    headers: Readonly<Record<string, string>>,
  ): Answer {
    this.#options.observer.requestRefused(
      source?.environment.name ?? "",
      source?.config.name ?? "",
      refusal.kind,
      false,
    );
    const retryAfter = "retryAfterS" in refusal ? { "retry-after": String(refusal.retryAfterS) } : {};
    return answerOf(adapter.inbound.refuse(refusal, request), { ...headers, ...retryAfter });
  }

  #inboundOptions(source: Source | undefined, { maxEvents }: IntakeLimits): InboundOptions {
    const { strict, makeId } = this.#options;
    // Where the key in the body names the source it is looked up once more.
    const isKey = (key: string): boolean => {
      const known = this.#sources.byKey(key)?.source;
      return known !== undefined && (source === undefined || known === source);
    };
    const now = (): number => this.#options.clock.now();
    const own = source === undefined ? {} : { own: source.config, keyless: source.config.keyless };
    return { strict, makeId: () => makeId(), isKey, now, maxEvents, ...own };
  }
}

function inboundsOf({ protocols }: SourceTable): readonly VendorAdapter[] {
  return ADAPTERS.filter(({ name, inbound }) => inbound !== segmentInbound && protocols.has(name));
}

function inboundOf({ config }: Source): readonly VendorAdapter[] {
  const adapter = adapterOf(config.protocol);
  return adapter.inbound === segmentInbound ? [] : [adapter];
}

/** Paths that Segment and Letter share. */
function isSegmentPath(path: string): boolean {
  return /^\/+v1\/+(batch|identify|group|track)\/?$/.test(path);
}

function answerOf(
  { status, headers, body, bytes }: InboundAnswer,
  more: Readonly<Record<string, string>> = {},
): Answer {
  return { status, headers: { ...headers, ...more }, body, ...(bytes === undefined ? {} : { bytes }) };
}

function textsOf({ body, ends }: StoredEvents): string[] {
  const bytes = Buffer.concat(body);
  return Array.from(ends, (end, index) =>
    bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] as number) + 1, end).trim(),
  );
}

/** The hashes of ids; zeros for those that are "". */
function hashIds({ environment, scope }: Source, ids: readonly string[], count: number): IdHashes {
  const hashes: IdHashes = { scope, words: new Uint32Array(count * HASH_WORDS) };
  for (const [index, id] of ids.entries()) {
    if (id === "") continue;
    const bytes = Buffer.from(id);
    environment.ids.window.hash(bytes, { idStart: 0, idEnd: bytes.length }, hashes, index);
  }
  return hashes;
}

/** The refusal of a key that came too often. */
function limitedBy({ limiter, config }: Source, key: string): Refusal | undefined {
  const waitS = limiter?.take(key) ?? 0;
  if (waitS === 0) return undefined;
  const message = `This key may send ${config.rateLimit?.perSecond} requests a second.`;
  return { kind: "rate_limited", message, retryAfterS: waitS };
}

/** What a vendor said, as far as it can be said on: its statuses and headers may be anything. */
function passedOn({ status, headers: sent, body }: HttpResponse, headers: Readonly<Record<string, string>>): Answer {
  const { "content-type": type = "application/json" } = sent;
  const isStatus = Number.isInteger(status) && status >= STATUS_MIN && status <= STATUS_MAX;
  const isType = /^[\x20-\x7e]{1,200}$/.test(type);
  return {
    status: isStatus ? status : 502,
    headers: { ...headers, "content-type": isType ? type : "application/json" },
    body,
  };
}
