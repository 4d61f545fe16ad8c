/** What the parts of the intake share: a request on its way in, and what they are reported. */
import type { Clock } from "@waybill/core";
import type { InboundOptions, InboundRequest, InboundRoute, IntakeLimits } from "@waybill/vendors";
import type { VendorAdapter } from "@waybill/vendors/registry";
import type { RequestSpan } from "../tracing/tracing.ts";
import type { SegmentLimits } from "./segment/segment-limits.ts";
import type { Source } from "./sources.ts";
import type { Turns } from "./turns.ts";

/** A request's head. */
export interface IntakeRequest {
  readonly method: string;
  /** With or without a query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly retryCount: string | undefined;
  readonly idempotencyKey: string | undefined;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  /** Looked at only where an adapter wants the address. */
  readonly socket?: { readonly remoteAddress?: string | undefined };
  /**
   * Where it is counted, noted as soon as it is known: the pattern of its path, and whose it is.
   */
  route?: string | undefined;
  owner?: Source | undefined;
  /** On the monotonic clock. */
  cameAtMs?: number;
  /** Its span, where requests are traced. */
  readonly trace?: RequestSpan | undefined;
}

export interface IntakeOptions {
  readonly clock: Clock;
  /** A new id. A caller that knows the time passes it, epoch ms: that is faster. */
  readonly makeId: (nowMs?: number) => string;
  readonly limits: SegmentLimits;
  /** For the ordinary bodies of vendors that send arrays. */
  readonly scanArray?: InboundOptions["scanArray"];
  readonly observer: IntakeObserver;
  /** How long the caller of an exchange waits for the vendor's answer. */
  readonly exchangeDeadlineMs: number;
  /** In place of what each protocol has by itself. */
  readonly intakeLimits?: Partial<IntakeLimits>;
  /** Large bodies are worked on in several turns of the event loop. */
  readonly turns?: Turns;
}

export interface IntakeObserver {
  /** `vendor`: whose path it is. `isDuplicate`: the same body was refused before. */
  requestRefused(
    of: SourceName & { readonly vendor: string; readonly code: string; readonly isDuplicate: boolean },
  ): void;
  requestRetried(of: SourceName): void;
}

/** Whose request it was; both are empty when no source is known. */
export interface SourceName {
  readonly environment: string;
  readonly source: string;
}

/** A request whose vendor and, where its head has one, key are known; its body may be read. */
export interface Opened {
  readonly adapter: VendorAdapter;
  readonly route: InboundRoute;
  /** Whose it is by its head, its path or its host; `undefined`: the body has to name the key. */
  readonly source: Source | undefined;
  /**
   * The key in its head, valid and a key of `source`. Without one the body may have it, and must
   * where the source does not take requests without.
   */
  readonly key: string | undefined;
  /** Who pays for the body: the source, unless its key is in there. */
  readonly payer: Source | undefined;
  readonly asked: IntakeRequest;
  /** As adapters know it; absent where none was looked at. */
  readonly request?: InboundRequest;
  /** Without a prefix, without the query. */
  readonly path: string;
  readonly bodyMaxBytes: number;
  /**
   * Another vendor that has the path and the key in the body: asked when this one does not know the
   * key.
   */
  readonly next?: Opened;
}
