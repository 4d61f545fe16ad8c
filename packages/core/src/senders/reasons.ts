/**
 * The boundary through which text from vendors and events becomes a reason of dead letters,
 * attempts, logs and screens. It cannot steer a terminal or forge a line there, and it is cut.
 */
import type { Attempt, Outcome, SendContext, Sender } from "../delivery.ts";
import { printable } from "../printable.ts";

const REASON_MAX_CHARACTERS = 1_000;

/**
 * `sender` with every reason safe to keep and to print, in its outcomes and in what it reports to
 * its watcher.
 */
export function withSafeReasons(sender: Sender): Sender {
  return {
    send: (batch, context) => sender.send(batch, watched(context)).then(safeOutcomes),
  };
}

function safeReason(text: string): string {
  return printable(text.length > REASON_MAX_CHARACTERS ? text.slice(0, REASON_MAX_CHARACTERS) : text);
}

function watched(context: SendContext): SendContext {
  const { watch } = context;
  return {
    ...context,
    watch: {
      attempted: (attempt, batch) => watch.attempted(safe(attempt), batch),
      waiting: (waitMs, reason) => watch.waiting(waitMs, safeReason(reason)),
      resumed: () => watch.resumed(),
    },
  };
}

/** The same outcomes when every reason is safe, which is nearly always. */
function safeOutcomes(outcomes: readonly Outcome[]): readonly Outcome[] {
  let changed: Outcome[] | undefined;
  // The outcomes of one answer are mostly one and the same object.
  let last: Outcome | undefined;
  let lastSafe: Outcome | undefined;
  for (let index = 0; index < outcomes.length; index++) {
    const outcome = outcomes[index] as Outcome;
    if (outcome !== last) {
      last = outcome;
      lastSafe = safe(outcome);
    }
    if (lastSafe === outcome) continue;
    changed ??= [...outcomes];
    changed[index] = lastSafe as Outcome;
  }
  return changed ?? outcomes;
}

function safe<T extends Attempt | Outcome | undefined>(item: T): T {
  // A sender with a defect may leave an outcome out: that is for its lane to find.
  if (item === undefined || !("reason" in item) || item.reason === undefined) return item;
  const reason = safeReason(item.reason);
  return reason === item.reason ? item : { ...item, reason };
}
