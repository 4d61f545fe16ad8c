/** What is stored of dead letters beside their events, and of what became of them. */
import type { Position } from "../types.ts";
import { isCount, isObject } from "./lane-value.ts";

/** What is stored beside a dead letter's raw bytes. */
export interface DeadLetterMetadata {
  /** The event's position in the log it came from. */
  readonly position: Position;
  readonly source: string;
  readonly receivedAtMs: number;
  readonly rejectedAtMs: number;
  readonly reason: string;
  /** The metadata of the request the event came with. */
  readonly metadata: string;
}

export type DeadLetterState = "waiting" | "retried" | "discarded";

/** As stored: the key `letter` stays as earlier versions wrote it. */
export interface Mark {
  readonly letter: Position;
  readonly state: DeadLetterState;
  readonly atMs: number;
}

/**
 * Of each event of a record: one of a single dead letter has its metadata as it is, one of several
 * has what they share beside them.
 */
export function parseMetadata(text: string): readonly (DeadLetterMetadata | undefined)[] {
  const value = parseObject(text);
  if (value === undefined) return [];
  const { letters, metadata } = value;
  if (!Array.isArray(letters)) return [metadataIn(value)];
  return letters.map((head: unknown) => (isObject(head) ? metadataIn({ ...head, metadata }) : undefined));
}

function metadataIn(value: Readonly<Record<string, unknown>>): DeadLetterMetadata | undefined {
  const { position, source, receivedAtMs, rejectedAtMs, reason, metadata } = value;
  const isDeadLetter =
    [position, receivedAtMs, rejectedAtMs].every(isCount) &&
    [source, reason, metadata].every((field) => typeof field === "string");
  return isDeadLetter ? (value as unknown as DeadLetterMetadata) : undefined;
}

export function parseMark(text: string): Mark | undefined {
  const value = parseObject(text);
  if (value === undefined || !isCount(value["letter"]) || !STATES.has(value["state"] as DeadLetterState))
    return undefined;
  // The time is informative only.
  const { letter, state, atMs } = value as unknown as Mark;
  return { letter, state, atMs: isCount(atMs) ? atMs : 0 };
}

const STATES: ReadonlySet<DeadLetterState> = new Set(["waiting", "retried", "discarded"] as const);

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
