/**
 * The one boundary through which the words of strangers become reasons: of dead letters, attempts, logs and screens. They cannot steer a terminal or forge
 * a line there, and they are cut.
 */
import type { Outcome, Verdict } from "../delivery.ts";
import { messageOf } from "../errors.ts";
import { printable } from "../printable.ts";

const REASON_MAX_CHARACTERS = 1_000;

export function safeReason(text: string): string {
  return printable(text.length > REASON_MAX_CHARACTERS ? text.slice(0, REASON_MAX_CHARACTERS) : text);
}

/** What was thrown, behind what could not be done. */
export function reasonOf(what: string, error: unknown): string {
  return safeReason(`${what}: ${messageOf(error)}`);
}

/** The same verdict when every reason is safe, which is nearly always. */
export function safeVerdict(verdict: Verdict): Verdict {
  if ("split" in verdict) {
    const reason = safeReason(verdict.reason);
    return reason === verdict.reason ? verdict : { split: true, reason };
  }
  let safe: Outcome[] | undefined;
  // The outcomes of one answer are mostly one and the same object.
  let last: Outcome | undefined;
  let lastSafe: Outcome | undefined;
  for (let index = 0; index < verdict.length; index++) {
    const outcome = verdict[index] as Outcome;
    if (outcome !== last) {
      last = outcome;
      lastSafe = safeOutcome(outcome);
    }
    if (lastSafe === outcome) continue;
    safe ??= [...verdict];
    safe[index] = lastSafe as Outcome;
  }
  return safe ?? verdict;
}

function safeOutcome(outcome: Outcome): Outcome {
  if (outcome.status === "delivered" || outcome.status === "dropped") return outcome;
  const reason = safeReason(outcome.reason);
  return reason === outcome.reason ? outcome : { ...outcome, reason };
}
