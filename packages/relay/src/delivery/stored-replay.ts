/** What is in a replay's state file, and what is believed of it. */
import type { BatchLimits } from "@waybill/core";
import {
  type DeadLetterState,
  isCount,
  isDropped,
  isFateTail,
  isObject,
  type Position,
  type ReplayState,
} from "@waybill/log";
import type { LogChoice } from "./chosen-events.ts";
import type { DeadLetterChoice } from "./dead-letter-choice.ts";

export type ReplayChoice = { readonly log: LogChoice } | { readonly deadLetters: DeadLetterChoice };

export interface StoredReplay extends ReplayState {
  readonly id: string;
  readonly destination: string;
  readonly choice: ReplayChoice;
  readonly eventsPerSecond?: number;
  readonly createdAtMs: number;
  readonly cancelled: boolean;
  /**
   * Of dead letters: those that are rejected later have this position or one after it. Absent in
   * states of before it was noted.
   */
  readonly to?: Position;
}

/**
 * A state that cannot be read says neither what to send nor where to: the replay is over, and shown
 * as such.
 */
export function abandoned(id: string, nowMs: number): StoredReplay {
  return {
    id,
    destination: "",
    choice: { deadLetters: {} },
    createdAtMs: nowMs,
    cancelled: true,
    total: 0,
    cursor: 0,
    leased: 0,
    delivered: 0,
    rejected: 0,
    expired: 0,
    done: false,
  };
}

/** `undefined` for anything that we have not written for the replay `id`. */
export function parseReplay(value: unknown, id: string): StoredReplay | undefined {
  if (!isObject(value) || value["id"] !== id) return undefined;
  const { destination, choice, eventsPerSecond, createdAtMs, cancelled, done, dropped } = value;
  const { total, cursor, leased, leasedTo, marks, delivered, rejected, expired, fates, to } = value;
  const fits =
    typeof destination === "string" &&
    typeof cancelled === "boolean" &&
    typeof done === "boolean" &&
    [createdAtMs, total, cursor, leased, delivered, rejected, expired].every(isCount) &&
    (dropped === undefined || isDropped(dropped)) &&
    (eventsPerSecond === undefined || isPositive(eventsPerSecond)) &&
    (fates === undefined || isFateTail(fates)) &&
    [to, leasedTo, marks].every((given) => given === undefined || isCount(given)) &&
    isChoice(choice);
  return fits ? withIds(value as unknown as StoredReplay) : undefined;
}

/** Earlier versions wrote the ids of chosen dead letters as `letters`. */
function withIds(replay: StoredReplay): StoredReplay {
  if ("log" in replay.choice) return replay;
  const { letters, ...filter } = replay.choice.deadLetters as DeadLetterChoice & {
    readonly letters?: readonly number[];
  };
  return letters === undefined ? replay : { ...replay, choice: { deadLetters: { ...filter, deadLetterIds: letters } } };
}

function isChoice(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { log, deadLetters } = value;
  return log === undefined ? isFilter(deadLetters) : deadLetters === undefined && isLogChoice(log);
}

function isLogChoice(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { from, to, sinceMs, untilMs, source, type, event, userId } = value;
  return (
    [from, to].every(isCount) &&
    [sinceMs, untilMs].every(isNumberIfGiven) &&
    [source, type, event, userId].every(isTextIfGiven)
  );
}

function isFilter(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { letters, deadLetterIds, state, source, reason, sinceMs, untilMs, name, user } = value;
  return (
    [letters, deadLetterIds].every((ids) => ids === undefined || (Array.isArray(ids) && ids.every(isCount))) &&
    [sinceMs, untilMs].every(isNumberIfGiven) &&
    [state, source, reason, name, user].every(isTextIfGiven)
  );
}

function isPositive(value: unknown): boolean {
  return typeof value === "number" && value > 0;
}

function isNumberIfGiven(value: unknown): boolean {
  return value === undefined || typeof value === "number";
}

function isTextIfGiven(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

/** The state of the dead letters that a replay sends. */
export function stateChosen({ state = "waiting" }: DeadLetterChoice): DeadLetterState {
  return state;
}

/** With a rate a batch has at most the events of a second: a larger one would be a burst. */
export function pacedLimits(limits: BatchLimits, eventsPerSecond: number | undefined): BatchLimits {
  if (eventsPerSecond === undefined) return limits;
  return { ...limits, maxEvents: Math.min(limits.maxEvents, Math.max(1, Math.floor(eventsPerSecond))) };
}
