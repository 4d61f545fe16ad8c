/**
 * The intake of every vendor but Segment: finds the door by key and path, lets it read the body, stores what it found, and answers as the vendor does.
 *
 * A key names its source and the source its protocol, so vendors may share a path. Where no key is known, the path alone decides who refuses, in which form.
 * An exchange is stored like the rest, and its caller waits for the outcome at the destination of the same vendor.
 */
import { isUtf8 } from "node:buffer";
import { type Clock, type HttpRequest, WaybillError } from "@waybill/core";
import {
  DOORS,
  type Door,
  type DoorAnswer,
  type DoorOptions,
  type DoorRequest,
  type DoorRoute,
  type DoorRefusal as Refusal,
  type StoredForm,
  type Taken,
} from "@waybill/vendors";
import type { Answer } from "./answers.ts";
import type { BodyRefusal } from "./body.ts";
import { HASH_WORDS, type IdHashes } from "./id-window.ts";
import type { IntakeObserver, IntakeRequest } from "./intake.ts";
import type { KnownKey, Source, SourceTable } from "./sources.ts";

export interface DoorIntakeOptions {
  readonly clock: Clock;
  readonly makeId: () => string;
  readonly strict: boolean;
  readonly observer: IntakeObserver;
  readonly exchangeDeadlineMs: number;
}

/** A request whose source is known; its body may be read. */
export interface DoorOpened {
  readonly door: Door;
  readonly route: DoorRoute;
  readonly source: Source;
  readonly request: DoorRequest;
  readonly options: DoorOptions;
}

interface Prefixed {
  readonly source: Source;
  readonly path: string;
}

const BODY_KINDS: Readonly<Record<BodyRefusal, "too_large" | "unsupported_encoding" | "invalid" | "unavailable">> = {
  body_too_large: "too_large",
  unsupported_encoding: "unsupported_encoding",
  damaged_encoding: "invalid",
  overloaded: "unavailable",
  aborted: "invalid",
};
const RETRY_AFTER_S = 1;
const KNOWN_MAX = 1_000;

export class DoorIntake {
  readonly #options: DoorIntakeOptions;
  /** Keys that were found right before: a digest costs as much as framing a small body. */
  readonly #known = new Map<string, KnownKey>();
  #sources: SourceTable;
  #doors: readonly Door[];
  #stopping = false;

  constructor(sources: SourceTable, options: DoorIntakeOptions) {
    this.#options = options;
    this.#sources = sources;
    this.#doors = doorsOf(sources);
  }

  replaceSources(sources: SourceTable): void {
    this.#sources = sources;
    this.#doors = doorsOf(sources);
    this.#known.clear();
  }

  stop(): void {
    this.#stopping = true;
  }

  /** `undefined`: not for any of these doors. */
  open(
    asked: IntakeRequest,
    path: string,
    query: string,
    prefixed: Prefixed | undefined,
  ): Answer | DoorOpened | undefined {
    if (prefixed === undefined && this.#doors.length === 0) return undefined;
    const request: DoorRequest = {
      method: asked.method,
      path: prefixed?.path ?? path,
      query,
      headers: (asked.headers ?? { authorization: asked.authorization }) as DoorRequest["headers"],
    };
    let refusing: { readonly door: Door; readonly route: DoorRoute } | undefined;
    for (const door of prefixed === undefined ? this.#doors : doorOf(prefixed.source)) {
      const route = door.match(request.path);
      if (route === undefined) continue;
      const found = this.#find(door, route, request, prefixed?.source);
      if (found !== undefined) return this.#openRoute({ door, route, request, ...found });
      refusing ??= { door, route };
    }
    if (prefixed !== undefined && prefixed.source.config.protocol !== "segment" && refusing === undefined)
      return answerOf(
        DOORS[prefixed.source.config.protocol].refuse({ kind: "not_found", message: `There is no ${path}.` }, request),
      );
    // A path of Segment's too, without a key that we know: Segment's door refuses it, unless there is none.
    if (
      refusing === undefined ||
      (prefixed === undefined && this.#sources.protocols.has("segment") && isSegmentPath(path))
    )
      return undefined;
    const { door, route } = refusing;
    // A browser asks without its key.
    if (request.method === "OPTIONS" && route.key === undefined && route.preflight !== undefined)
      return answerOf(route.preflight(request, this.#doorOptions(undefined)));
    const message = door.key(request) === undefined && route.key === undefined ? "" : "The key is not known here.";
    return this.#refuse(undefined, door, { kind: "unauthorized", message }, request, {});
  }

  #find(
    door: Door,
    route: DoorRoute,
    request: DoorRequest,
    prefixed: Source | undefined,
  ): { readonly source: Source; readonly key: string } | undefined {
    const key = route.key ?? door.key(request);
    const kind = route.keyKind ?? "";
    const known = key === undefined ? undefined : this.#lookUp(door.vendor, key, kind);
    if (known?.source.config.protocol === door.vendor) return { source: known.source, key: key as string };
    // Under a prefix the source is known; a key that is there must be its own all the same.
    return prefixed !== undefined && key === undefined && !requiresKey(door)
      ? { source: prefixed, key: "" }
      : undefined;
  }

  #lookUp(vendor: string, key: string, kind: KnownKey["kind"]): KnownKey | undefined {
    const name = `${vendor} ${kind} ${key}`;
    const remembered = this.#known.get(name);
    if (remembered !== undefined && this.#sources.isValid(remembered)) return remembered;
    const known = this.#sources.byKey(key, kind);
    if (known !== undefined && known.source.config.protocol === vendor && this.#known.size < KNOWN_MAX)
      this.#known.set(name, known);
    return known;
  }

  #openRoute({
    door,
    route,
    request,
    source,
    key,
  }: Omit<DoorOpened, "options"> & { readonly key: string }): Answer | DoorOpened {
    const options = this.#doorOptions(source);
    const headers = route.headers?.(request, options) ?? {};
    if (request.method === "OPTIONS" && route.preflight !== undefined)
      return answerOf(route.preflight(request, options));
    const refuse = (refusal: Refusal): Answer => this.#refuse(source, door, refusal, request, headers);
    if (!route.methods.includes(request.method))
      return {
        ...refuse({ kind: "method_not_allowed", message: `${request.path} takes ${route.methods.join(", ")}.` }),
      };
    if (this.#stopping)
      return refuse({ kind: "unavailable", message: "The relay is stopping; try again.", retryAfterS: RETRY_AFTER_S });
    const waitS = source.limiter?.take(key) ?? 0;
    if (waitS > 0)
      return refuse({
        kind: "rate_limited",
        message: `This key may send ${source.config.rateLimit?.perSecond} requests a second.`,
        retryAfterS: waitS,
      });
    return { door, route, source, request, options };
  }

  refuseBody({ door, source, request, route, options }: DoorOpened, refusal: BodyRefusal, message: string): Answer {
    const kind = BODY_KINDS[refusal];
    const headers = route.headers?.(request, options) ?? {};
    return this.#refuse(source, door, { kind, message, retryAfterS: RETRY_AFTER_S } as Refusal, request, headers);
  }

  /** Frames, stores, answers. Resolves after the fsync. Never rejects. */
  async accept(opened: DoorOpened, body: Buffer): Promise<Answer> {
    const { door, route, source, request, options } = opened;
    const headers = route.headers?.(request, options) ?? {};
    const refuse = (refusal: Refusal): Answer => this.#refuse(source, door, refusal, request, headers);
    if (!isUtf8(body)) return refuse({ kind: "invalid", message: "The body is not UTF-8." });
    const taken = route.take(body, request, options);
    if ("refusal" in taken) return refuse(taken.refusal);
    if ("ask" in taken) return this.#ask(opened, taken.ask.path, body, headers);
    if (!("stored" in taken)) return answerOf(taken.answer, headers);
    if (taken.stored === undefined) return answerOf(taken.answer(0), headers);
    const memory = source.config.memory === undefined ? undefined : source.environment.memoryOf(source.config);
    if (memory !== undefined) {
      memory.publish(taken.metadata, textsOf(taken.stored));
      return answerOf(taken.answer(0), headers);
    }
    try {
      const { duplicates, first, count } = await this.#store(source, taken.stored, taken);
      const at = first === undefined ? {} : { [RECEIPT_HEADER]: `${source.environment.name}/${first}+${count}` };
      const answered = { ...headers, ...at };
      if (taken.exchange !== undefined && first !== undefined)
        return await this.#exchange(opened, taken, first, answered);
      return answerOf(taken.answer(duplicates), answered);
    } catch (error) {
      if (error instanceof WaybillError && error.code === "WAYBILL_EVENT")
        return refuse({ kind: "too_large", message: error.message });
      if (error instanceof WaybillError && (error.retryable || error.code === "WAYBILL_CLOSED"))
        return refuse({ kind: "unavailable", message: error.message, retryAfterS: RETRY_AFTER_S });
      throw error;
    }
  }

  async #store(
    source: Source,
    form: StoredForm,
    { ids, metadata }: { readonly ids: readonly string[]; readonly metadata: string },
  ): Promise<{ readonly duplicates: number; readonly first: number | undefined; readonly count: number }> {
    const { environment, counters } = source;
    const nowMs = this.#options.clock.now();
    const { window } = environment.ids;
    const count = form.ends.length;
    const hashes: IdHashes = { scope: source.scope, words: new Uint32Array(count * HASH_WORDS) };
    const fresh = new Array<boolean>(count).fill(true);
    for (const [index, id] of ids.entries()) {
      if (id === "") continue;
      const bytes = Buffer.from(id);
      window.hash(bytes, { idStart: 0, idEnd: bytes.length }, hashes, index);
      fresh[index] = window.add(hashes, index, nowMs);
    }
    const kept = fresh.filter(Boolean).length;
    const duplicates = count - kept;
    const record = { source: source.config.name, receivedAtMs: nowMs, metadata };
    let first: number | undefined;
    try {
      const appended =
        kept === 0
          ? undefined
          : environment.log.append({ ...record, ...(duplicates === 0 ? form : without(form, fresh)) });
      // A repeat is answered only when what it repeats is durable.
      if (duplicates > 0) await Promise.all([appended, environment.log.barrier()]);
      first = await appended;
    } catch (error) {
      for (const [index, id] of ids.entries()) if (id !== "" && fresh[index]) window.remove(hashes, index);
      throw error;
    }
    if (first !== undefined && ids.length > 0)
      environment.ids.stored(
        first,
        {
          scope: hashes.scope,
          words: duplicates === 0 ? hashes.words : hashes.words.filter((_, at) => fresh[Math.floor(at / HASH_WORDS)]),
        },
        nowMs,
      );
    counters.accepted += kept;
    counters.duplicates += duplicates;
    return { duplicates, first, count: kept };
  }

  /** Waits for the vendor's own answer; what is not answered in time is sent all the same. */
  async #exchange(
    { source, door, request }: DoorOpened,
    taken: Extract<Taken, { readonly stored: unknown }>,
    position: number,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const { environment } = source;
    const { exchangeDeadlineMs, clock } = this.#options;
    const answered = await environment.exchanges.answerTo(
      taken.exchange ?? door.vendor,
      position,
      exchangeDeadlineMs,
      clock,
    );
    if (answered === "nobody") return answerOf(taken.answer(0), headers);
    if (answered === undefined) {
      const message = "The event is stored and will be sent; the vendor has not answered yet.";
      const { body, ...refused } = door.refuse({ kind: "unavailable", message, retryAfterS: RETRY_AFTER_S }, request);
      const said = JSON.stringify({ ...(JSON.parse(body) as object), stored: true });
      return answerOf({ ...refused, body: said }, { ...headers, "retry-after": String(RETRY_AFTER_S) });
    }
    const type = answered.headers["content-type"];
    return answerOf(
      { status: answered.status, body: answered.body },
      { ...headers, ...(type === undefined ? {} : { "content-type": type }) },
    );
  }

  /** Not stored: whoever asks needs the answer now, or to know that there is none. */
  async #ask(
    { source, door, request }: DoorOpened,
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
    const answered = await source.environment.ask(door.vendor, asked, this.#options.exchangeDeadlineMs);
    if (answered === undefined)
      return this.#refuse(
        source,
        door,
        { kind: "unavailable", message: "The vendor does not answer.", retryAfterS: RETRY_AFTER_S },
        request,
        headers,
      );
    const type = answered.headers["content-type"] ?? "application/json";
    return { status: answered.status, headers: { ...headers, "content-type": type }, body: answered.body };
  }

  #refuse(
    source: Source | undefined,
    door: Door,
    refusal: Refusal,
    request: DoorRequest,
    headers: Readonly<Record<string, string>>,
  ): Answer {
    this.#options.observer.requestRefused(
      source?.environment.name ?? "",
      source?.config.name ?? "",
      refusal.kind,
      false,
    );
    const retryAfter = "retryAfterS" in refusal ? { "retry-after": String(refusal.retryAfterS) } : {};
    return answerOf(door.refuse(refusal, request), { ...headers, ...retryAfter });
  }

  #doorOptions(source: Source | undefined): DoorOptions {
    const { strict, makeId } = this.#options;
    const { allowedOrigins = [], allowedHeaders = [], sendEvents = true } = source?.config ?? {};
    const isKey = (key: string): boolean => this.#sources.byKey(key)?.source === source;
    return { strict, makeId, isKey, allowedOrigins, allowedHeaders, sendEvents };
  }
}

const RECEIPT_HEADER = "waybill-receipt";

function doorsOf(sources: SourceTable): readonly Door[] {
  return Object.values(DOORS).filter(({ vendor }) => sources.protocols.has(vendor));
}

function doorOf({ config }: Source): readonly Door[] {
  return config.protocol === "segment" ? [] : [DOORS[config.protocol]];
}

/** A protocol whose every request carries its key. Under a prefix the others may leave it out. */
function requiresKey({ vendor }: Door): boolean {
  return vendor === "launchdarkly";
}

/** Paths that Segment and Letter share. */
function isSegmentPath(path: string): boolean {
  return /^\/+v1\/+(batch|identify|group|track)\/?$/.test(path);
}

function answerOf({ status, headers, body, bytes }: DoorAnswer, more: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { ...headers, ...more }, body, ...(bytes === undefined ? {} : { bytes }) };
}

function textsOf({ body, ends }: StoredForm): string[] {
  const bytes = Buffer.concat(body);
  return Array.from(ends, (end, index) =>
    bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] as number) + 1, end).trim(),
  );
}

/** The events that are kept, as a record of their own. */
function without({ body, ends }: StoredForm, keep: readonly boolean[]): StoredForm {
  const bytes = Buffer.concat(body);
  const pieces: Uint8Array[] = [];
  const keptEnds: number[] = [];
  let length = 0;
  for (const [index, end] of ends.entries()) {
    if (!keep[index]) continue;
    if (pieces.length > 0) {
      pieces.push(COMMA);
      length += 1;
    }
    const piece = bytes.subarray(index === 0 ? 0 : (ends[index - 1] as number) + 1, end);
    pieces.push(piece);
    length += piece.length;
    keptEnds.push(length);
  }
  return { body: pieces, ends: Uint32Array.from(keptEnds) };
}

const COMMA = Buffer.of(0x2c);
