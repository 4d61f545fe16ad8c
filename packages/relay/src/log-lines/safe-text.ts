/**
 * What may be in a line of the log. Answers of vendors quote events and keys, and so do messages of
 * errors that the language itself makes (`JSON.parse` quotes its input). So only texts of our own
 * pass, and of an answer its status.
 */
import { messageOf, WaybillError } from "@waybill/core";
import { BrokerError } from "@waybill/log-kafka/broker";
import type { LineFields } from "./line-fields.ts";

/** Begins what our own transports and our operators' actions say. */
const OWN_REASONS = [
  "no answer ",
  "Cannot append to ",
  "cannot record the outcomes: ",
  "cannot read the next events: ",
  "cannot write the batch down: ",
];
const STATUS = /^\d{3}(?=\s|:|$)/;
/** Errors whose messages quote what they are about. */
const QUOTING: readonly string[] = ["WAYBILL_EVENT", "WAYBILL_INPUT", "WAYBILL_OPTIONS"];
const INVARIANT = "broken invariant: ";
const FRAMES_MAX = 5;

/** Why a lane does not deliver: a status or our own text; `undefined` for any other. */
export function safeReason(reason: string | undefined): string | undefined {
  if (reason === undefined) return undefined;
  if (OWN_REASONS.some((own) => reason.startsWith(own))) return reason;
  return reason.startsWith(INVARIANT) ? reason : STATUS.exec(reason)?.[0];
}

/** By what our own texts begin with. */
const REASON_CLASSES: readonly (readonly [string, string])[] = [
  ["too_old: ", "too_old"],
  ["poison: ", "poison"],
  ["event of ", "too_large"],
  ["cannot be encoded for the vendor", "unencodable"],
  ["unknown, may have been applied", "unknown_outcome"],
  ["its order key cannot be read", "order_key"],
  ["too large for one step", "too_large"],
];

/** What kind of dead letter: of few, as lines count by it. */
export function reasonClass(reason: string): string {
  const own = REASON_CLASSES.find(([text]) => reason.startsWith(text));
  return own?.[1] ?? STATUS.exec(reason)?.[0] ?? "refused";
}

/** What is wrong with a source in memory: its texts quote answers and events. */
export function memoryProblem(text: string): LineFields["memory_source"]["problem"] {
  if (text.startsWith("Exceeded event queue capacity")) return "queue full";
  if (text.startsWith("Received ")) return "credential refused";
  return text.includes("dropped") ? "events dropped" : "event refused";
}

/** What of an error may be in a line. */
export function safeError(error: unknown): string {
  if (error instanceof WaybillError && !QUOTING.includes(error.code)) return error.message;
  if (isInvariant(error) || isOfSystem(error) || error instanceof BrokerError) return messageOf(error);
  return error instanceof Error ? nameOf(error) : "something else than an error was thrown";
}

/** Where it was thrown, without its message. */
export function framesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error) || typeof error.stack !== "string") return [];
  return error.stack
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => /^at .*:\d+:\d+\)?$/.test(line))
    .slice(0, FRAMES_MAX);
}

function isInvariant(error: unknown): boolean {
  return error instanceof Error && error.name === "InvariantError" && messageOf(error).startsWith(INVARIANT);
}

/** Of the operating system: it names a call and a path. */
function isOfSystem(error: unknown): boolean {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return error instanceof Error && typeof code === "string" && typeof syscall === "string";
}

/** A name may be anything that was put there. */
function nameOf({ name }: Error): string {
  return typeof name === "string" && /^[A-Za-z]{1,40}$/.test(name) ? name : "Error";
}
