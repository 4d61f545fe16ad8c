import {
  type Batch,
  DELIVERED,
  type HttpResponse,
  headerFromEvent,
  outcomesOf,
  type Protocol,
  type Verdict,
} from "@waybill/core";
import { isRetryable, isSuccess, later, reasonOf } from "../answers.ts";
import { stableUuid } from "../canonical/stable-uuid.ts";

/** What a payload carries beside its events; events of different metadata never share one. */
export interface EventMetadata {
  /**
   * `X-LaunchDarkly-Event-Schema`: a whole number from 1. Without one, and for any other number, 3
   * is sent, as the original does; such events have a queue of their own all the same.
   */
  readonly schemaVersion?: number | undefined;
  /** `X-LaunchDarkly-Tags`; may be empty. */
  readonly tags?: string | undefined;
}

/**
 * A credential is used for its own kind only; an environment id is in the URL and sends no
 * header.
 */
export interface LaunchDarklyCredential {
  readonly kind: "sdkKey" | "mobileKey" | "environmentId";
  readonly value: string;
}

export interface LaunchDarklySettings {
  /** The complete URL. */
  readonly url: string;
  readonly credential: LaunchDarklyCredential;
  readonly userAgent: string;
}

export const LAUNCHDARKLY_EVENTS_URL = "https://events.launchdarkly.com";
/** Section 12: one payload of a real SDK has 10,000 events, 1.14 MB. */
const LIMITS = { maxEvents: 10_000, maxBytes: 10 * 1024 * 1024 };

/** What the original says of every payload. */
const SCHEMA_SENT = 3;
/** Stands for a version that is missing or is none. */
const UNKNOWN = 0;

/** The metadata as text; equal texts are one queue. */
export function encodeLaunchDarkly({ schemaVersion = UNKNOWN, tags = "" }: EventMetadata): string {
  return `${Number.isSafeInteger(schemaVersion) && schemaVersion > 0 ? schemaVersion : UNKNOWN}:${tags}`;
}

export function decodeLaunchDarkly(metadata: string): { readonly schemaVersion: number; readonly tags: string } {
  const at = metadata.indexOf(":");
  return { schemaVersion: Number(metadata.slice(0, at)), tags: metadata.slice(at + 1) };
}

/** The path of analytics events for a credential of this kind (section 1). */
export function eventsPath({ kind, value }: LaunchDarklyCredential): string {
  if (kind === "environmentId") return `/events/bulk/${encodeURIComponent(value)}`;
  return kind === "mobileKey" ? "/mobile" : "/bulk";
}

/** LaunchDarkly's events service: one JSON array per value of the metadata. */
export function launchdarklyProtocol({ url, credential, userAgent }: LaunchDarklySettings): Protocol {
  return {
    limits: LIMITS,
    maxEventBytes: LIMITS.maxBytes,
    request: ({ key, metadata, body }) => {
      const { schemaVersion, tags } = decodeLaunchDarkly(metadata);
      return {
        method: "POST",
        url,
        headers: {
          "content-type": "application/json",
          "user-agent": userAgent,
          "x-launchdarkly-event-schema": String(schemaVersion === UNKNOWN ? SCHEMA_SENT : schemaVersion),
          // The same at each attempt (section 3).
          "x-launchdarkly-payload-id": stableUuid(key),
          ...(credential.kind === "environmentId" ? {} : { authorization: credential.value }),
          ...(tags === "" ? {} : { "x-launchdarkly-tags": headerFromEvent("x-launchdarkly-tags", tags) }),
        },
        body: ["[", ...body, "]"],
      };
    },
    classify: classifyLaunchDarkly,
  };
}

/**
 * Section 3, table "Sender", but for 400: the original sends it once more and gives up ({@link
 * retryMalformed}); a destination that does not give up looks for the event at fault.
 */
function classifyLaunchDarkly(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  const { status } = response;
  if (isSuccess(response)) return outcomesOf(batch.count, DELIVERED);
  if (status < 400 || isRetryable(response)) return outcomesOf(batch.count, later(response, nowMs));
  const reason = reasonOf(response);
  // Later versions: this payload is lost, those after it are sent.
  if (status === 413 || status === 400) return { split: true, reason };
  return outcomesOf(batch.count, { status: "halted", reason });
}

/** As the original: 400 is worth another attempt. */
export function retryMalformed(protocol: Protocol): Protocol {
  return {
    ...protocol,
    classify: (response, batch, nowMs) =>
      response.status === 400
        ? outcomesOf(batch.count, later(response, nowMs))
        : protocol.classify(response, batch, nowMs),
  };
}
