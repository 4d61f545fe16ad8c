/**
 * PostHog's capture API, as its published Node SDK (5.70) speaks it: a batch of captured events
 * under one project key. Read November 2026.
 */
import { type Batch, DELIVERED, type HttpResponse, outcomesOf, type Protocol, type Verdict } from "@waybill/core";
import { classifyRefusal, isSuccess } from "../answers.ts";
import type { Properties } from "../canonical/events.ts";
import { withoutTrailingSlashes } from "../values.ts";

/** One event as PostHog has it on the wire. */
export interface PosthogEvent {
  readonly event: string;
  readonly distinct_id: string;
  readonly properties?: Properties | undefined;
  readonly timestamp?: string | undefined;
  /** By which duplicates are recognised. */
  readonly uuid?: string | undefined;
}

export interface PosthogSettings {
  /** Default `https://us.i.posthog.com`. */
  readonly url?: string | undefined;
  /** `phc_…`. */
  readonly apiKey: string;
  readonly version: string;
}

const DEFAULT_URL = "https://us.i.posthog.com";
/** The service takes 20 MB; smaller requests are cheaper to repeat. */
const LIMITS = { maxEvents: 1_000, maxBytes: 1024 * 1024 };

/** PostHog as a destination: `POST /batch/`. */
export function posthogProtocol({ url = DEFAULT_URL, apiKey, version }: PosthogSettings): Protocol {
  const endpoint = `${withoutTrailingSlashes(url)}/batch/`;
  const headers = { "content-type": "application/json", "user-agent": `waybill/${version}` };
  const start = `{"api_key":${JSON.stringify(apiKey)},"batch":[`;
  return {
    limits: LIMITS,
    maxEventBytes: LIMITS.maxBytes,
    request: ({ body }) => ({ method: "POST", url: endpoint, headers, body: [start, ...body, "]}"] }),
    classify,
  };
}

function classify(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  return isSuccess(response) ? outcomesOf(batch.count, DELIVERED) : classifyRefusal(response, batch, nowMs);
}
