/** What all vendors' tables of answers share. */
import {
  type Batch,
  DELIVERED,
  type HttpResponse,
  type Outcome,
  outcomesOf,
  retryAfterMs,
  type Verdict,
} from "@waybill/core";
import { textOf } from "./values.ts";

const REASON_MAX_CHARACTERS = 300;

/** The answer's JSON object; `undefined` when its body is something else. */
export function objectIn({ body }: HttpResponse): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * `400 invalid_json: …` as far as the body says more than the status; in any of the shapes that
 * vendors use.
 */
export function reasonOf(response: HttpResponse): string {
  const answer = objectIn(response) ?? {};
  const { error } = answer;
  const details = typeof error === "object" && error !== null ? (error as Record<string, unknown>) : answer;
  const words = ["code", "reason", "error", "message", "detail"]
    .map((name) => details[name])
    .filter((part) => typeof part === "string" && part !== "");
  const text = words.join(": ") || response.body;
  return `${response.status} ${text.trim()}`.trimEnd().slice(0, REASON_MAX_CHARACTERS);
}

/** Later, and not before the answer's Retry-After. */
export function later(response: HttpResponse, nowMs: number, reason: string = reasonOf(response)): Outcome {
  return { status: "retryable", reason, retryAfterMs: retryAfterMs(response, nowMs) };
}

/** The request may come again as it is. */
export function isRetryable({ status }: HttpResponse): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/**
 * The common table of answers other than a success: some come again; a redirect (not followed),
 * 401, 403, 404 and 405 say that the URL or the key is wrong, and no event can be blamed for it;
 * any other blames an event, which is found by halving or is the only one.
 */
export function classifyRefusal(
  response: HttpResponse,
  batch: Batch,
  nowMs: number,
  blame: "split" | "rejected" = "split",
): Verdict {
  if (isRetryable(response)) return outcomesOf(batch.count, later(response, nowMs));
  const reason = reasonOf(response);
  if (response.status < 400 || [401, 403, 404, 405].includes(response.status))
    return outcomesOf(batch.count, { status: "halted", reason });
  return blame === "split" ? { split: true, reason } : outcomesOf(batch.count, { status: "rejected", reason });
}

/**
 * Every event was taken but those that the answer names in a list: objects with an `index`, a code
 * and a text under the given names. Of a list that was cut halves have shorter ones.
 */
export function deliveredBut(
  batch: Batch,
  response: HttpResponse,
  list: string,
  [code, message]: readonly [code: string, message: string],
): Verdict {
  const outcomes = new Array<Outcome>(batch.count).fill(DELIVERED);
  if (!response.body.includes(`"${list}"`)) return outcomes;
  if (response.cut === true) return { split: true, reason: `${response.status} with a cut answer` };
  const answer = objectIn(response);
  const refused = answer?.[list];
  if (!Array.isArray(refused)) return outcomes;
  for (const item of refused) {
    const entry = (item ?? {}) as Readonly<Record<string, unknown>>;
    const index = entry["index"] as number;
    if (Number.isInteger(index) && outcomes[index] !== undefined)
      outcomes[index] = { status: "rejected", reason: `${textOf(entry[code])}: ${textOf(entry[message])}` };
  }
  // Those that the answer has no room to name: their places as ranges, `100+3,107+1`. Each place is
  // looked at once, whatever the ranges are.
  let next = 0;
  const more = textOf(answer?.[`${list}More`]) ?? "";
  for (const range of more.split(",")) {
    const [from = 0, length = 0] = range.split("+").map(Number);
    for (next = Math.max(next, Math.ceil(from) || 0); next < Math.min(from + length, batch.count); next++)
      outcomes[next] = { status: "rejected", reason: "rejected" };
  }
  return outcomes;
}

export function isSuccess({ status }: HttpResponse): boolean {
  return status >= 200 && status < 300;
}
