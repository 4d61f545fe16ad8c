import { messageOf, WaybillError } from "@waybill/core";

const RETRY_AFTER_MS = 1_000;
/** Of a refusal that ends by itself. */
export const RETRY: { readonly retryable: true; readonly retryAfterMs: number } = {
  retryable: true,
  retryAfterMs: RETRY_AFTER_MS,
};

/** Why nothing of a wave was stored. */
export function refusalOf(error: unknown): WaybillError {
  const full = error instanceof WaybillError && error.reason === "ENOSPC";
  return new WaybillError(
    full ? "WAYBILL_LOG_FULL" : "WAYBILL_DISK",
    full ? "The disk has no room for the log; nothing was stored" : `The log could not be written: ${messageOf(error)}`,
    {
      ...RETRY,
      cause: error,
      hint: "Free space or fix the disk; storing resumes by itself.",
      ...(error instanceof WaybillError && error.reason !== undefined ? { reason: error.reason } : {}),
    },
  );
}
