import { WaybillError } from "@waybill/core";

/** As of a log with one writer at a time, where another one came first: nothing was appended. */
export function overtaken(what: string): WaybillError {
  const message = `Another writer of ${what} came first; nothing was appended`;
  return new WaybillError("WAYBILL_LOG_UNAVAILABLE", message, { retryable: true, reason: "overtaken" });
}

export function isOvertaken(error: unknown): boolean {
  return error instanceof WaybillError && error.reason === "overtaken";
}
