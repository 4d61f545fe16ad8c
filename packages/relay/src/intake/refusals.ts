/**
 * Refusals of requests: each vendor's own answer, counted by code, and distinguished from those of
 * a client that sends the same again and again.
 */
import { createHash } from "node:crypto";
import { WaybillError } from "@waybill/core";
import type { InboundAnswer, InboundRequest, InboundRefusal as Refusal } from "@waybill/vendors";
import type { Answer } from "./answers.ts";
import type { BodyRefusal } from "./body.ts";
import type { Source } from "./sources.ts";
import type { IntakeObserver, Opened } from "./types.ts";

/** Refused bodies remembered, to tell one client that repeats itself from many clients. */
const REMEMBERED = 256;
/** Of a refused body, by which it is recognised. */
const REMEMBERED_BYTES = 16 * 1024;
export const RETRY_AFTER_S = 1;

export const STOPPING: Refusal = {
  kind: "unavailable",
  code: "stopping",
  message: "The relay is stopping; try again.",
  retryAfterS: RETRY_AFTER_S,
};

const BODY_REFUSALS: Readonly<Record<BodyRefusal, Refusal>> = {
  body_too_large: { kind: "too_large", message: "The body is larger than this relay takes." },
  unsupported_encoding: {
    kind: "unsupported_encoding",
    message: "The Content-Encoding is not one of gzip, deflate, br.",
  },
  damaged_encoding: {
    kind: "invalid",
    message: "The body does not decode as its Content-Encoding says; it may be truncated.",
  },
  overloaded: {
    kind: "unavailable",
    message: "The relay holds as many bodies as it may; try again.",
    retryAfterS: RETRY_AFTER_S,
  },
  share_exceeded: {
    kind: "rate_limited",
    message: "You have as many bodies here as you may at once; try again.",
    retryAfterS: RETRY_AFTER_S,
  },
  too_slow: { kind: "invalid", status: 408, message: "The body did not come on." },
  aborted: { kind: "invalid", message: "The request ended before its body did." },
};

/** Of a body that could not be read. */
export function bodyRefusal(code: BodyRefusal): Refusal {
  return { ...BODY_REFUSALS[code], code };
}

/** Of events that could not be stored; `undefined` for a defect. */
export function storeRefusal(error: unknown): Refusal | undefined {
  if (!(error instanceof WaybillError)) return undefined;
  const { code, message } = error;
  if (error.retryable)
    return {
      kind: "unavailable",
      code: code.replace(/^WAYBILL_/, "").toLowerCase(),
      message,
      retryAfterS: RETRY_AFTER_S,
    };
  if (code === "WAYBILL_EVENT") return { kind: "too_large", code: "event_too_large", message };
  return code === "WAYBILL_CLOSED" ? STOPPING : undefined;
}

/**
 * Of a request without a key, or with one that is not known. `place`: where it was looked for.
 * `source`: the name of the one that the path or the host names.
 */
export function keyRefusal(isKeyless: boolean, place: string, source: string | undefined): Refusal {
  const whose = source === undefined ? "No source has this key." : `The source ${source} does not have this key.`;
  const message = isKeyless ? `There is no key: send it ${place}.` : `${whose} It was looked for ${place}.`;
  return { kind: "unauthorized", message, isKeyless };
}

/** Of a key that came too often; `undefined` when it may. */
export function rateRefusal({ limiter, config }: Source, key: string): Refusal | undefined {
  const waitS = limiter?.take(key) ?? 0;
  if (waitS === 0) return undefined;
  const message = `This key may send ${config.rateLimit?.perSecond} requests a second.`;
  return { kind: "rate_limited", message, retryAfterS: waitS };
}

/** What refuses: the request, and whose it is as far as that is known. */
export interface Refused {
  readonly adapter: Opened["adapter"];
  readonly source: Source | undefined;
  readonly request: InboundRequest;
  /** Added to the answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For what is wrong with the body. */
  readonly body?: Buffer;
}

export class Refusals {
  readonly #observer: IntakeObserver;
  readonly #bodies = new Set<string>();

  constructor(observer: IntakeObserver) {
    this.#observer = observer;
  }

  answer(refusal: Refusal, { adapter, source, request, headers = {}, body }: Refused): Answer {
    const isDuplicate = body !== undefined && this.#seenBefore(body);
    const { kind, code = kind } = refusal;
    const name = { environment: source?.environment.name ?? "", source: source?.config.name ?? "" };
    this.#observer.requestRefused({ ...name, vendor: adapter.name, code, isDuplicate });
    const retryAfter = "retryAfterS" in refusal ? { "retry-after": String(refusal.retryAfterS) } : {};
    return answerOf(adapter.inbound.refuse(refusal, request), { ...headers, ...retryAfter });
  }

  #seenBefore(body: Buffer): boolean {
    const hash = createHash("sha1").update(body.subarray(0, REMEMBERED_BYTES)).update(`${body.length}`);
    const digest = hash.digest("base64");
    if (this.#bodies.has(digest)) return true;
    this.#bodies.add(digest);
    if (this.#bodies.size > REMEMBERED)
      for (const oldest of this.#bodies) {
        this.#bodies.delete(oldest);
        break;
      }
    return false;
  }
}

/** An adapter's answer as one of the intake's. */
export function answerOf(
  { status, headers, body, bytes }: InboundAnswer,
  more: Readonly<Record<string, string>> = {},
): Answer {
  return { status, headers: { ...headers, ...more }, body, ...(bytes === undefined ? {} : { bytes }) };
}
