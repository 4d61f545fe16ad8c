/** Codes of the client itself; those of the server pass through as they are. */
export type GetFluxlyErrorCode =
  | "validation_error"
  | "queue_overflow"
  | "invalid_response"
  | "transport_error"
  | "client_closed"
  | "exit"
  | "server_key_in_browser"
  | "server_error"
  | (string & {});

export interface GetFluxlyErrorOptions {
  readonly code: GetFluxlyErrorCode;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly details?: unknown;
  readonly status?: number | undefined;
}

/**
 * `retryable`: the same call may succeed later. `details`: what the answer has beside code and
 * message.
 */
export class GetFluxlyError extends Error {
  override readonly name = "GetFluxlyError";
  readonly code: GetFluxlyErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: unknown;
  readonly status: number | undefined;

  constructor(message: string, { code, retryable = false, retryAfterMs, details, status }: GetFluxlyErrorOptions) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
    this.details = details;
    this.status = status;
  }
}
