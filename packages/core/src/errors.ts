/**
 * Every code a `WaybillError` can carry, and what it means. `docs/errors.md` is generated from this
 * table.
 */
export const ERROR_CODES = {
  WAYBILL_OPTIONS: "An option is unknown, missing or out of range.",
  WAYBILL_CONFIG: "The configuration file is wrong; the error lists every fault with file, line, path and hint.",
  WAYBILL_CLOSED: "The client, log or lane was closed before the call.",
  WAYBILL_EVENT: "The event is invalid: a required field is missing, or it cannot be serialised.",
  WAYBILL_QUEUE_FULL: "The queue is at its limit and the overflow policy is to throw.",
  WAYBILL_TRANSPORT: "The request got no answer: refused, reset, timed out or aborted.",
  WAYBILL_DISK: "A disk operation failed; `reason` has the POSIX code.",
  WAYBILL_LOG_FULL:
    "The disk has no room for the log; nothing was stored. Storing resumes by itself when there is room.",
  WAYBILL_LOG_BUSY:
    "More bytes wait for the disk than the log may hold in memory; nothing was stored. Try again shortly.",
  WAYBILL_LOG_UNAVAILABLE:
    "The Kafka cluster did not acknowledge, or not in time; `reason` has why. Storing resumes by itself.",
  WAYBILL_LOG_TOPIC:
    "A topic of Kafka would lose events, or could not be created; the error has every reason and the command for it.",
  WAYBILL_LOG_COPY:
    "A log is being copied, was copied elsewhere, or cannot be copied as it is; the error tells which, and what to do.",
  WAYBILL_LOG_DAMAGED: "A record of the log does not match its checksum.",
  WAYBILL_DATA_FORMAT: "A newer version of Waybill wrote this data directory; nothing was changed in it.",
  WAYBILL_LOG_LOCKED: "Another process is using this data directory.",
  WAYBILL_LISTEN: "The relay could not listen on an address.",
  WAYBILL_DEFECT: "A defect stopped one destination; its events are kept, and the others go on.",
  WAYBILL_DESTINATION: "A destination takes no events for now (no answer, a refusal, a wrong key); they are kept.",
  WAYBILL_INPUT: "The input of a command is wrong: a file is missing or a line is not an event.",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface WaybillErrorDetails {
  /** Whether the same call may succeed later, unchanged. */
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  /** A short machine-readable cause within the code, such as `ENOSPC` or `timeout`. */
  readonly reason?: string;
  /** What a human should do. */
  readonly hint?: string;
  readonly cause?: unknown;
}

const BRAND = Symbol.for("waybill.error");

/** The one error class. `instanceof` also holds across two installed copies of the package. */
export class WaybillError extends Error {
  override readonly name: string = "WaybillError";
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly reason: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: WaybillErrorDetails = {}) {
    super(message, details);
    const { retryable = false, retryAfterMs, reason, hint } = details;
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
    this.reason = reason;
    this.hint = hint;
    Object.defineProperty(this, BRAND, { value: true });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    try {
      return BRAND in (value as object);
    } catch {
      // Not an object, or one that throws at every look.
      return false;
    }
  }
}

/**
 * Throws when an invariant of our own is broken. Stays on in production: a wrong ledger is worse
 * than a stopped one.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw Object.assign(new Error(`broken invariant: ${message}`), { name: "InvariantError" });
}

/**
 * Whether it is what only a mistake in a program throws: no better at the next try, unlike a disk
 * or a network that fails.
 */
export function isDefect(error: unknown): boolean {
  return error instanceof Error && /^(Invariant|Type|Range|Reference|Syntax)Error/.test(error.name);
}

/** The message of anything that was thrown. Never throws itself, whatever it is given. */
export function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "(none)";
  }
}
