import {
  type Batch,
  DELIVERED,
  type HttpResponse,
  outcomesOf,
  type Protocol,
  singly,
  type Verdict,
} from "@waybill/core";
import { classifyRefusal, isSuccess } from "../answers.ts";
import type { Properties } from "../canonical/events.ts";

/** One event as Valued has it on the wire. */
export interface ValuedEvent {
  readonly category: string;
  /** Of an action. */
  readonly key?: string | undefined;
  readonly user?: Properties | undefined;
  readonly customer?: Properties | undefined;
  readonly attributes?: Properties | undefined;
  /** ISO 8601 with seconds and offset; the vendor's spelling. */
  readonly occured_at?: string | undefined;
  readonly [field: string]: unknown;
}

export interface ValuedSettings {
  /** Used exactly as it is. Default `https://ingest.valued.app/events`. */
  readonly endpoint?: string | undefined;
  readonly token: string;
  /** `Node/20.20.2`. */
  readonly platform: string;
  readonly version: string;
}

export const VALUED_ENDPOINT = "https://ingest.valued.app/events";
/** Each event has a request of its own; a sender that is given several sends them singly. */
const LEASE = { maxEvents: 1, maxBytes: 1024 * 1024 };
/** Section 1, proposed. */
const EVENT_MAX_BYTES = 256 * 1024;
/** Section 6: a pool of ten; no order is promised. */
const CONCURRENCY = 10;

/**
 * Valued as a destination: one event per request. There is no id on the wire, so an event whose
 * answer was lost may be counted twice.
 */
export function valuedProtocol({ endpoint = VALUED_ENDPOINT, token, platform, version }: ValuedSettings): Protocol {
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    "user-agent": `valued-client/${version} (${platform})`,
  };
  return {
    limits: LEASE,
    maxEventBytes: EVENT_MAX_BYTES,
    singly: singly({ concurrency: CONCURRENCY }),
    request: ({ body }) => ({ method: "POST", url: endpoint, headers, body }),
    classify: classifyValued,
  };
}

function classifyValued(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  if (isSuccess(response)) return outcomesOf(batch.count, DELIVERED);
  // Section 7, proposed: what comes again; redirects are not followed. Section 1, proposed: 401.
  return classifyRefusal(response, batch, nowMs, "rejected");
}
