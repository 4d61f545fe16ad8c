import {
  type Batch,
  type HttpRequest,
  type HttpResponse,
  outcomesOf,
  type Protocol,
  type Verdict,
} from "@waybill/core";
import { deliveredBut, isSuccess, later, reasonOf } from "../answers.ts";
import { withoutTrailingSlashes } from "../values.ts";
import { decodeMetadata } from "./metadata.ts";

export interface SegmentSettings {
  /** Default `https://api.segment.io`. `/v1/batch` is appended. */
  readonly url?: string;
  readonly writeKey: string;
  /** For the User-Agent. */
  readonly library: { readonly name: string; readonly version: string };
}

const DEFAULT_URL = "https://api.segment.io";
/** Section 4: batch body 500 KB, an event 32 KB, 2,500 events. */
const BODY_MAX_BYTES = 500_000;
const EVENT_MAX_BYTES = 32 * 1024;
const EVENTS_MAX = 2_500;
/**
 * Room for what is around the events. A larger `context` beside them may go over it; the
 * vendor's 400 then halves the batch.
 */
const ENVELOPE_BYTES = 2_000;

/** Segment as a destination: `POST /v1/batch`. */
export function segmentProtocol(settings: SegmentSettings): Protocol {
  const url = `${withoutTrailingSlashes(settings.url ?? DEFAULT_URL)}/v1/batch`;
  // Of its UTF-8 (RFC 7617 2.1): a key may be anything, and nothing may throw when a destination is
  // made.
  const key = new TextEncoder().encode(`${settings.writeKey}:`);
  const headers = {
    authorization: `Basic ${btoa(String.fromCharCode(...key))}`,
    "content-type": "application/json",
    "user-agent": `${settings.library.name}/${settings.library.version}`,
  };
  return {
    limits: { maxEvents: EVENTS_MAX, maxBytes: BODY_MAX_BYTES - ENVELOPE_BYTES },
    maxEventBytes: EVENT_MAX_BYTES,
    request: (batch, nowMs): HttpRequest => ({ method: "POST", url, headers, body: envelope(batch, nowMs) }),
    classify: classifySegment,
  };
}

/**
 * `sentAt` is in the sender's clock, so that the vendor's formula still finds the right time after
 * hours in a log.
 */
function envelope(batch: Batch, nowMs: number): HttpRequest["body"] {
  const { members, skewMs } = decodeMetadata(batch.metadata);
  const sentAt = new Date(nowMs - skewMs).toISOString();
  return ['{"batch":[', ...batch.body, `],"sentAt":"${sentAt}"${members}}`];
}

/** What an answer of Segment's, or of a Waybill relay, means. */
export function classifySegment(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  const { status } = response;
  // Section 4: success is 200; we take any 2xx. A Waybill relay names the events it refused;
  // everybody else took all of them.
  if (isSuccess(response)) return deliveredBut(batch, response, "rejected", ["code", "message"]);
  const reason = reasonOf(response);
  // Section 2, proposed: 401 and 403 for a key that is not known (any more). 404 and 405: no such
  // path, so the URL is wrong, and no event can be blamed for it.
  if ([401, 403, 404, 405].includes(status)) return outcomesOf(batch.count, { status: "halted", reason });
  // Section 4: 429 with Retry-After; section 5: the clients' common list of what is worth another
  // attempt.
  if ([408, 410, 429, 460].includes(status) || status >= 500)
    return outcomesOf(batch.count, later(response, nowMs, reason));
  // Never success (section 5: real clients lose data there): somebody has to correct the URL,
  // meanwhile nothing is lost.
  if (status < 400) return outcomesOf(batch.count, later(response, nowMs, `${reason}: an answer without effect`));
  // Section 4: 400 for invalid JSON, 413 for a body over its limit or an event over 32 KB. Halves
  // find the event at fault.
  return { split: true, reason };
}
