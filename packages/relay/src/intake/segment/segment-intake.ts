/**
 * Segment's fast path, with the same interface as every vendor's intake: the head of an ordinary
 * request is known by its Authorization alone, ids are hashed in the body's own bytes, and the
 * events are copied only where something of them changes. {@link Intake} chooses it by the identity
 * of the adapter.
 *
 * What it finds is stored by {@link ingest}, as for all. Events without an id get one made from the
 * request's `Idempotency-Key` (or `X-Idempotency-Key`) and their place, if it has one, so that a
 * duplicate of theirs is known too.
 */
import {
  assemble,
  type SegmentInboundRoute,
  type SegmentScan,
  scanSegment,
  segmentAccepted,
  segmentAnswer,
  segmentInbound,
  segmentRefusalOf,
} from "@waybill/vendors";
import { adapterOf, type VendorAdapter } from "@waybill/vendors/registry";
import type { Answer } from "../answers.ts";
import type { Charge } from "../body.ts";
import { HASH_WORDS, type IdHashes } from "../id-window.ts";
import { ingest, RECEIPT_HEADER } from "../ingest.ts";
import { idFromSeed } from "../made-ids.ts";
import { keyRefusal, type Refusals, rateRefusal, storeRefusal } from "../refusals.ts";
import { type Router, requestOf } from "../router.ts";
import { countRefused, type KnownKey, type Source } from "../sources.ts";
import type { IntakeOptions, IntakeRequest, Opened } from "../types.ts";

const ACCEPTED = segmentAccepted({ refused: [], refusedMore: [] });
const ADAPTER: VendorAdapter = adapterOf("segment");

/** Whether a request is one of this path's. */
export function isSegment({ adapter }: Pick<Opened, "adapter">): boolean {
  return adapter === ADAPTER;
}

export class SegmentIntake {
  readonly #options: IntakeOptions;
  readonly #router: Router;
  readonly #refusals: Refusals;
  readonly #bodyMaxBytes: number;
  /**
   * Headers that were found right before: looking a key up by its digest costs as much as framing a
   * small body. One or two for each key.
   */
  readonly #known = new Map<string, KnownKey>();

  constructor(options: IntakeOptions, router: Router, refusals: Refusals) {
    this.#options = options;
    this.#router = router;
    this.#refusals = refusals;
    this.#bodyMaxBytes = options.intakeLimits?.bodyMaxBytes ?? segmentInbound.limits.bodyMaxBytes;
  }

  /** The sources have changed. */
  forget(): void {
    this.#known.clear();
  }

  /**
   * The request of nearly every client, without looking at any adapter: its path, a key that was
   * seen right before, nothing else.
   */
  ordinary(asked: IntakeRequest): Opened | undefined {
    const { method, authorization, retryCount, path: whole } = asked;
    if (authorization === undefined || method !== "POST" || retryCount !== undefined || this.#router.isStopping)
      return undefined;
    const known = this.#known.get(authorization);
    if (known === undefined) return undefined;
    const queryAt = whole.indexOf("?");
    const path = queryAt === -1 ? whole : whole.slice(0, queryAt);
    const route = segmentInbound.match(path);
    if (route === undefined) return undefined;
    const { source, key } = known;
    const { sources } = this.#router;
    if (source.limiter !== undefined || !sources.isValid(known)) return undefined;
    const host = sources.byHost(asked.headers?.["host"]);
    if (host !== undefined && host !== source) return undefined;
    asked.route = route.pattern;
    asked.owner = source;
    return { adapter: ADAPTER, route, source, key, payer: source, asked, path, bodyMaxBytes: this.#bodyMaxBytes };
  }

  /** Notes by which header a request's key was found. */
  remember({ source, key, asked: { authorization } }: Opened): void {
    if (source === undefined || key === undefined || authorization === undefined) return;
    // In the spellings of real clients alone: there are many others.
    if (authorization !== `Basic ${btoa(`${key}:`)}` && authorization !== `Basic ${btoa(key)}`) return;
    const known = this.#router.sources.byKey(key);
    if (known?.source === source) this.#known.set(authorization, known);
  }

  /** Frames, stores, answers. Resolves after the fsync; rejects for a defect. */
  accept(opened: Opened, body: Buffer, charge: Charge | undefined): Promise<Answer> {
    const { route } = opened.route as SegmentInboundRoute;
    if (route.kind === "ignore") return Promise.resolve(segmentAnswer(ACCEPTED) as Answer);
    if (body.length === 0)
      return Promise.resolve(this.#refuse(opened, { kind: "empty", message: "The body is empty." }));
    const scan = scanSegment(body, route, this.#options.limits);
    if ("refusal" in scan) return Promise.resolve(this.#refuse(opened, segmentRefusalOf(scan.refusal), body));
    const source = opened.key === undefined ? this.#sourceIn(opened, scan) : (opened.source as Source);
    if ("status" in source) return Promise.resolve(source);
    if (charge !== undefined && charge.share !== source.share) charge.moveTo(source.share);
    const pause = this.#options.turns?.pause(source.share, body.length);
    if (pause === undefined) return this.#store(opened, source, scan, body);
    return pause.then(() => this.#store(opened, source, scan, body));
  }

  /** Whose events they are, where the head has no key; or why they are nobody's. */
  #sourceIn(opened: Opened, { writeKey = "" }: SegmentScan): Source | Answer {
    const source = writeKey === "" ? opened.payer : this.#router.sourceInBody(opened, writeKey);
    if (source === undefined) {
      const { keyPlace } = segmentInbound;
      return this.#refuse(opened, keyRefusal(writeKey === "", keyPlace, opened.source?.config.name));
    }
    opened.asked.owner = source;
    const limited = rateRefusal(source, writeKey);
    return limited === undefined ? source : this.#refuse({ ...opened, source }, limited);
  }

  async #store(opened: Opened, source: Source, scan: SegmentScan, body: Buffer): Promise<Answer> {
    const receivedAtMs = this.#options.clock.now();
    for (const [code, count] of scan.refusedByCode) countRefused(source, code, count);
    const [refused] = scan.refused;
    if (scan.events.length === 0 && refused !== undefined && !this.#options.limits.strict)
      return this.#refuse({ ...opened, source }, { kind: "invalid", ...refused }, body);
    const seed = opened.asked.idempotencyKey;
    const makeId =
      seed === undefined
        ? (): string => this.#options.makeId(receivedAtMs)
        : (index: number): string => idFromSeed(`${index}:${seed}`);
    const answer = segmentAccepted(scan);
    if (scan.events.length === 0) return segmentAnswer(answer) as Answer;
    try {
      const { receipt } = await ingest({
        source,
        receivedAtMs,
        count: scan.events.length,
        trace: opened.asked.trace,
        hashes: hashIds(source, scan, body, seed === undefined ? undefined : makeId),
        entry: (keep) =>
          assemble(scan, {
            keep: keep === undefined ? undefined : (index) => keep[index] === true,
            makeId,
            receivedAtMs,
          }),
      });
      source.counters.replacedNumbers += scan.nonFinite.length / 2;
      return segmentAnswer(answer, receipt === undefined ? undefined : { [RECEIPT_HEADER]: receipt }) as Answer;
    } catch (error) {
      const refusal = storeRefusal(error);
      if (refusal === undefined) throw error;
      return this.#refuse({ ...opened, source }, refusal);
    }
  }

  #refuse({ adapter, source, asked, path }: Opened, refusal: Parameters<Refusals["answer"]>[0], body?: Buffer): Answer {
    const request = requestOf(asked, path);
    return this.#refusals.answer(refusal, { adapter, source, request, ...(body === undefined ? {} : { body }) });
  }
}

/**
 * The hashes of the events' ids; zeros where there is none. `makeId` when ids that are missing can
 * come again.
 */
function hashIds(
  source: Source,
  { events }: SegmentScan,
  body: Buffer,
  makeId: ((index: number) => string) | undefined,
): IdHashes | undefined {
  const window = source.environment.ids?.window;
  if (window === undefined) return undefined;
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
