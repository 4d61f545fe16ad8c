import { type Batch, type HttpResponse, type Protocol, type Verdict } from "@waybill/core";
import { classifyRefusal, deliveredBut, isSuccess } from "../answers.ts";
import type { Properties } from "../canonical/events.ts";
import { withoutTrailingSlashes } from "../values.ts";

/** One event as Letter has it on the wire; `type` is left out where the path names it. */
export interface LetterItem {
  readonly type: "identify" | "group" | "track";
  readonly userId: string;
  readonly email?: string | undefined;
  readonly accountId?: string | undefined;
  readonly name?: string | undefined;
  readonly event?: string | undefined;
  readonly traits?: Properties | undefined;
  readonly properties?: Properties | undefined;
  /** An IANA name. */
  readonly timezone?: string | undefined;
  /** ISO 8601. */
  readonly timestamp?: string | undefined;
  readonly messageId: string;
}

export interface LetterSettings {
  /** Default `https://api.letter.app`. */
  readonly url?: string | undefined;
  readonly apiKey: string;
  readonly version: string;
}

const DEFAULT_URL = "https://api.letter.app";
/** Section 3: the Python client never sends more items; what the server takes is not known. */
const ITEMS_MAX = 100;
/** Section 3, proposed. */
const BODY_MAX_BYTES = 512 * 1024;
const ENVELOPE_BYTES = 16;

/** Letter as a destination: `POST /v1/batch`. `path` is for requests with one item: `/v1/track`. */
export function letterProtocol(settings: LetterSettings, path: "batch" | LetterItem["type"] = "batch"): Protocol {
  const url = `${withoutTrailingSlashes(settings.url ?? DEFAULT_URL)}/v1/${path}`;
  const headers = {
    authorization: `Bearer ${settings.apiKey}`,
    "content-type": "application/json",
    "user-agent": `letter-ts/${settings.version}`,
  };
  const maxBytes = BODY_MAX_BYTES - ENVELOPE_BYTES;
  return {
    limits: { maxEvents: path === "batch" ? ITEMS_MAX : 1, maxBytes },
    maxEventBytes: maxBytes,
    request: ({ body }) => ({
      method: "POST",
      url,
      headers,
      body: path === "batch" ? ['{"batch":[', ...body, "]}"] : body,
    }),
    classify: classifyLetter,
  };
}

function classifyLetter(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  // Section 3: any 2xx. Items that a server of ours refuses are named (proposed).
  if (isSuccess(response)) return deliveredBut(batch, response, "rejected", ["code", "message"]);
  // Section 6: retries on 5xx and 429; 3xx is an error. Section 3: unauthorized, forbidden.
  return classifyRefusal(response, batch, nowMs);
}

/** `LetterItem` as text; `type` first, members without a value left out. */
export function writeLetter(item: LetterItem, withType = true): string {
  const { type, ...fields } = item;
  return JSON.stringify(withType ? { type, ...fields } : fields);
}
