/**
 * Mixpanel as a destination. Events go through `POST /import?strict=1`, which answers for each of
 * them and takes any age; profile updates through `/engage` and `/groups`, one a request, since the
 * answer there is about the request as a whole. Source: protocol sections 2, 4, 5 and 8.
 */
import {
  type Attempt,
  type Batch,
  type Chunk,
  DELIVERED,
  type HttpRequest,
  type HttpResponse,
  isFinal,
  type Outcome,
  outcomesOf,
  type Protocol,
  type Sender,
  type Stage,
  singly,
  type Verdict,
} from "@waybill/core";
import { classifyRefusal, isSuccess, objectIn, reasonOf } from "../answers.ts";
import { textOf, withoutTrailingSlashes } from "../values.ts";

export interface MixpanelSettings {
  /**
   * Default `https://api.mixpanel.com`; `https://api-eu.mixpanel.com` and
   * `https://api-in.mixpanel.com` for data kept there.
   */
  readonly url?: string | undefined;
  /** The project's token. */
  readonly token: string;
  /** Default: the token alone. */
  readonly serviceAccount?: MixpanelServiceAccount | undefined;
  readonly version: string;
}

/**
 * What `/import` takes in the place of the token: an account of the organisation, for one project.
 */
export interface MixpanelServiceAccount {
  readonly username: string;
  readonly secret: string;
  readonly projectId: string;
}

const MIXPANEL_URL = "https://api.mixpanel.com";
/** Section 4: 2,000 events; the vendor's sample error says 2,097,152 bytes. */
const LIMITS = { maxEvents: 2_000, maxBytes: 2_000_000 };
/** Section 4: 1 MB. */
const EVENT_MAX_BYTES = 1_048_576;
/** Profile updates in flight at once. Those of one profile keep their order. */
const PROFILES_CONCURRENCY = 8;
/** Metadata of profile updates, and of events whose time is that of their batch. */
export const ENGAGE = "mixpanel engage";
export const GROUPS = "mixpanel groups";
export const UNTIMED = "mixpanel untimed";
/** The reasons of a transport that has sent nothing. */
const UNSENT = /\b(?:refused|dns|private_address)$/;
/** Operations that count twice when they come twice. */
const ADDING: readonly string[] = ["$add", "$append"];
const OPEN_BRACE = 0x7b;
const decoder = new TextDecoder();

export function mixpanelProtocol({ url = MIXPANEL_URL, token, serviceAccount, version }: MixpanelSettings): Protocol {
  const origin = withoutTrailingSlashes(url);
  const headers = { "content-type": "application/json", "user-agent": `waybill/${version}` };
  const credential = serviceAccount === undefined ? `${token}:` : `${serviceAccount.username}:${serviceAccount.secret}`;
  const project = serviceAccount === undefined ? "" : `&project_id=${encodeURIComponent(serviceAccount.projectId)}`;
  const importing = {
    method: "POST",
    url: `${origin}/import?strict=1${project}`,
    headers: { ...headers, authorization: `Basic ${base64(credential)}` },
  } as const;
  // Of the relay's own address the vendor must not make the user's.
  const update = (path: string): Omit<HttpRequest, "body"> => ({
    method: "POST",
    url: `${origin}/${path}?verbose=1&ip=0`,
    headers,
  });
  const start = `[{"$token":${JSON.stringify(token)},`;
  return {
    limits: LIMITS,
    maxEventBytes: EVENT_MAX_BYTES,
    singly: profilesSingly,
    request: (batch) => {
      if (batch.metadata === ENGAGE || batch.metadata === GROUPS)
        return { ...update(batch.metadata === ENGAGE ? "engage" : "groups"), body: [start, ...members(batch), "]"] };
      return { ...importing, body: ["[", ...(batch.metadata === UNTIMED ? timed(batch) : batch.body), "]"] };
    },
    classify: (response, batch, nowMs) =>
      isProfile(batch) ? classifyProfile(response, batch, nowMs) : classifyImport(response, batch, nowMs),
  };
}

function isProfile({ metadata }: Batch): boolean {
  return metadata === ENGAGE || metadata === GROUPS;
}

/** Of the only update of a batch: what follows its opening brace. */
function members(batch: Batch): readonly Chunk[] {
  const event = batch.event(0);
  if (typeof event === "string") return [event.slice(event.indexOf("{") + 1)];
  return [event.subarray(event.indexOf(OPEN_BRACE) + 1)];
}

/**
 * Events of ours that end with their properties, with the time of the oldest, which stays the same
 * at every attempt.
 */
function timed(batch: Batch): readonly string[] {
  const time = `,"time":${batch.oldestAtMs}}}`;
  return Array.from({ length: batch.count }, (_, index) => {
    const event = batch.event(index);
    const text = typeof event === "string" ? event : decoder.decode(event);
    return `${index === 0 ? "" : ","}${text.slice(0, -2)}${time}`;
  });
}

/** Section 8. */
function classifyImport(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  // Also one that counts fewer events than were sent: it refuses none of them.
  if (isSuccess(response)) return outcomesOf(batch.count, DELIVERED);
  if (response.status === 400 && response.body.includes('"failed_records"')) return failedRecords(response, batch);
  // 429 has no Retry-After that is documented: then the lane's own backoff is what waits. 400, 413:
  // halves.
  return classifyRefusal(response, batch, nowMs);
}

/** Section 5: the events that this 400 does not name are stored. */
function failedRecords(response: HttpResponse, batch: Batch): Verdict {
  const answer = objectIn(response);
  const failed = answer?.["failed_records"];
  const reason = reasonOf(response);
  // A list that cannot be read, or is too long to be: halves have shorter ones, and the ids make
  // their repetition harmless.
  if (response.cut === true || !Array.isArray(failed)) return { split: true, reason };
  const places = new Map<number, string>();
  let byId: Map<string, number> | undefined;
  for (const item of failed) {
    const record = (item ?? {}) as Readonly<Record<string, unknown>>;
    let index = record["index"] as number;
    if (!Number.isInteger(index)) {
      byId ??= placesById(batch);
      index = byId.get(textOf(record["$insert_id"] ?? record["insert_id"]) ?? "") ?? -1;
    }
    // A record that is not one of ours: which event is meant cannot be known.
    if (index < 0 || index >= batch.count) return { split: true, reason };
    places.set(index, `${textOf(record["field"]) ?? ""}: ${textOf(record["message"]) ?? "refused"}`);
  }
  const imported = answer?.["num_records_imported"];
  const isWhole = typeof imported !== "number" || imported + places.size === batch.count;
  // Sent again on their own they are not refused for somebody else's fault; those that were stored
  // are known by their ids.
  const other: Outcome = isWhole
    ? DELIVERED
    : { status: "retryable", reason: `${response.status}: ${imported} of ${batch.count - places.size} are stored` };
  return Array.from({ length: batch.count }, (_, index): Outcome => {
    const fault = places.get(index);
    return fault === undefined ? other : { status: "rejected", reason: fault };
  });
}

function placesById(batch: Batch): Map<string, number> {
  const places = new Map<string, number>();
  for (let index = 0; index < batch.count; index++) {
    const id = textOf(objectOf(objectOf(parsed(batch.event(index)))["properties"])["$insert_id"]);
    if (id !== undefined) places.set(id, index);
  }
  return places;
}

/** Section 8: the answer is about the only update of the request. */
function classifyProfile(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  if (!isSuccess(response)) return classifyRefusal(response, batch, nowMs, "rejected");
  const isRefused = response.body.trim() === "0" || objectIn(response)?.["status"] === 0;
  return outcomesOf(batch.count, isRefused ? { status: "rejected", reason: reasonOf(response) } : DELIVERED);
}

/** Events pass in whole batches, profile updates one by one. */
const profilesSingly: Stage = (next, protocol, clock) => {
  const single = singly({ concurrency: PROFILES_CONCURRENCY, orderKey: profileOf })(adding(next), protocol, clock);
  const one = adding(next);
  return {
    send: (batch, context) =>
      isProfile(batch) ? (batch.count === 1 ? one : single).send(batch, context) : next.send(batch, context),
  };
};

/**
 * An addition that was sent and not answered may have happened: it is not made again by itself, or
 * it could count twice. As a dead letter it is counted, and can be retried by who knows better.
 */
function adding(next: Sender): Sender {
  return {
    async send(batch, context) {
      let last: Attempt | undefined;
      const attempted = (attempt: Attempt, sent: Batch): void => {
        last = attempt;
        context.watch.attempted(attempt, sent);
      };
      const outcomes = await next.send(batch, { ...context, watch: { ...context.watch, attempted } });
      const isUnknown = last !== undefined && last.status === undefined && !UNSENT.test(last.reason ?? "");
      if (!isUnknown || outcomes.every(isFinal) || !isAdding(batch.event(0))) return outcomes;
      return outcomesOf(batch.count, { status: "rejected", reason: `unknown, may have been applied: ${last?.reason}` });
    },
  };
}

function isAdding(event: Chunk): boolean {
  const update = objectOf(parsed(event));
  return ADDING.some((name) => Object.hasOwn(update, name));
}

/** Updates of one profile go one after another. */
function profileOf(event: Chunk): string {
  const update = objectOf(parsed(event));
  return JSON.stringify([update["$distinct_id"], update["$group_key"], update["$group_id"]]);
}

/** `undefined` for what is not JSON: the vendor will say so. */
function parsed(event: Chunk): unknown {
  try {
    return JSON.parse(typeof event === "string" ? event : decoder.decode(event));
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/**
 * Of the text's UTF-8 (RFC 7617 2.1): a key may be anything, and nothing may throw when a
 * destination is made.
 */
function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
