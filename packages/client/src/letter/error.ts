export interface LetterErrorDetails {
  /** Of the answer; absent when none came. */
  readonly status?: number | undefined;
  /** Of the answer, as it came. */
  readonly body?: string | undefined;
  /** What kind of failure. */
  readonly code?: string | undefined;
  /** For people. */
  readonly reason?: string | undefined;
  /** Events that were lost with it. */
  readonly events?: number | undefined;
  /** What was thrown. */
  readonly cause?: unknown;
}

/**
 * What Letter's client reports. `status` and `body` are those of the vendor's answer, `code` and
 * `reason` are in it. The client's own codes: `queue_overflow`, `exit`.
 */
export class LetterError extends Error {
  override readonly name = "LetterError";
  readonly status: number | undefined;
  readonly body: string | undefined;
  readonly code: string | undefined;
  readonly reason: string | undefined;
  readonly events: number | undefined;

  constructor(message: string, { status, body, code, reason, events, cause }: LetterErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.body = body;
    this.code = code;
    this.reason = reason;
    this.events = events;
  }
}
