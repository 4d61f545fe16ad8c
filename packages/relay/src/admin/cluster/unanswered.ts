/** Relays that did not answer, or do not have any more what they were asked about. */
import type { ServerResponse } from "node:http";
import { printable } from "@waybill/core";
import { type Answer, problem } from "../../intake/answers.ts";
import { Refusal } from "../refusal.ts";

/** Which relays did not answer, and why, where the others' answers are one. */
const UNANSWERED_HEADER = "waybill-unanswered";
const HEADER_MAX_CHARACTERS = 1_000;

/** Beside an answer that lacks what they have. */
export function nameUnanswered(response: ServerResponse, faults: readonly string[]): void {
  if (faults.length === 0) return;
  const text = printable(faults.join("; ")).replaceAll(/[^ -~]/g, "?");
  response.setHeader(UNANSWERED_HEADER, text.slice(0, HEADER_MAX_CHARACTERS));
}

/** What was not found where others did not answer may be there. */
export function unanswered(faults: readonly string[]): Refusal {
  return new Refusal(problem(502, "relay_unanswered", `The relay ${faults.join("; the relay ")}.`));
}

/** Whether a relay that was asked about a lane does not have it any more. */
export function isElsewhere({ status, body }: Pick<Answer, "status" | "body">): boolean {
  return status === 404 && /"code":"unknown_(?:lane|environment)"/.test(body);
}
