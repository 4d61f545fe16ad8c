/** Amplitude as a destination: `/2/httpapi` or `/batch`. Sections 1 to 6 of the protocol. */
import type { Batch, Chunk, HttpRequest, Protocol } from "@waybill/core";
import { withoutTrailingSlashes } from "../values.ts";
import { classifyAmplitude } from "./answers.ts";
import { decodeAmplitude } from "./metadata.ts";
import { sendingOn } from "./remainder.ts";

/**
 * Which endpoint takes the events: `v2` shows them at once, `batch` takes far more of one user, for
 * replays.
 */
export type AmplitudeApi = "v2" | "batch";

export interface AmplitudeSettings {
  /**
   * Default `https://api2.amplitude.com`; the paths are appended. In the EU
   * `https://api.eu.amplitude.com`.
   */
  readonly url?: string | undefined;
  /** Of the project. */
  readonly apiKey: string;
  /** Default `v2`. */
  readonly api?: AmplitudeApi | undefined;
  readonly version: string;
}

const DEFAULT_URL = "https://api2.amplitude.com";
const PATHS: Readonly<Record<AmplitudeApi, string>> = { v2: "/2/httpapi", batch: "/batch" };
/**
 * Section 4: 1 MB and 2,000 events, 20 MB for `/batch`. One user may send 30 events a second there,
 * so a request of 500 is well within what one of them may send in half a minute.
 */
const EVENTS_MAX: Readonly<Record<AmplitudeApi, number>> = { v2: 500, batch: 2_000 };
const BODY_MAX_BYTES: Readonly<Record<AmplitudeApi, number>> = { v2: 1_000_000, batch: 20_000_000 };
/** Smaller requests are cheaper to send again. */
const BATCH_MAX_BYTES: Readonly<Record<AmplitudeApi, number>> = { v2: BODY_MAX_BYTES.v2, batch: 4_000_000 };
/**
 * Room for what is around the events beside the key. Options that take more may lead to a 413,
 * which halves the batch.
 */
const ENVELOPE_BYTES = 128;
/** Section 1: items of one request to the identify endpoints, of which there are 1,024 at most. */
const ENCODED_TYPE = "application/x-www-form-urlencoded";

export function amplitudeProtocol({ url = DEFAULT_URL, apiKey, api = "v2", version }: AmplitudeSettings): Protocol {
  const origin = withoutTrailingSlashes(url);
  const agent = `waybill/${version}`;
  const key = JSON.stringify(apiKey);
  const room = (bytes: number): number => bytes - ENVELOPE_BYTES - key.length;
  return {
    limits: { maxEvents: EVENTS_MAX[api], maxBytes: room(BATCH_MAX_BYTES[api]) },
    maxEventBytes: room(BODY_MAX_BYTES[api]),
    singly: sendingOn,
    request(batch, nowMs): HttpRequest {
      const { kind, options = "{}", skewMs = 0 } = decodeAmplitude(batch.metadata);
      if (kind !== "events")
        return {
          method: "POST",
          url: `${origin}/${kind}`,
          headers: { "content-type": ENCODED_TYPE, "user-agent": agent },
          body: [`api_key=${encodeURIComponent(apiKey)}&identification=${encodeURIComponent(`[${textOf(batch)}]`)}`],
        };
      // In the sender's clock, so that the vendor corrects its times rightly after hours in a log.
      const uploadTime = new Date(nowMs - skewMs).toISOString();
      return {
        method: "POST",
        url: `${origin}${PATHS[api]}`,
        headers: { "content-type": "application/json", "user-agent": agent },
        body: [
          `{"api_key":${key},"events":[`,
          ...batch.body,
          `],"options":${options},"client_upload_time":"${uploadTime}"}`,
        ],
      };
    },
    classify: classifyAmplitude,
  };
}

function textOf({ body }: Batch): string {
  const decoder = new TextDecoder();
  const decode = (chunk: Chunk): string =>
    typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
  return body.map(decode).join("") + decoder.decode();
}
