/** Why a request got no answer for a proxy's sake. They end up in logs and have no credentials. */
import { messageOf, WaybillError } from "@waybill/core";
import type { Proxy } from "./proxy-rules.ts";

const AUTHENTICATION_REQUIRED = 407;
const FORBIDDEN = 403;
/** Its `reason` halts a lane: the next attempt is no better until somebody acts. */
const NEEDS_SOMEBODY = "invalid_request";
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses connections",
  ENOTFOUND: "has a name that cannot be found",
  EAI_AGAIN: "has a name that cannot be found",
  ECONNRESET: "closed the connection without an answer",
  EPIPE: "closed the connection without an answer",
  ETIMEDOUT: "cannot be reached",
  EHOSTUNREACH: "cannot be reached",
  ENETUNREACH: "cannot be reached",
};
const NOT_HTTP = "HPE_";

/** The proxy answered, and not with a connection. */
export function refusedBy(proxy: Proxy, to: string, status: number): WaybillError {
  const isCredentials = status === AUTHENTICATION_REQUIRED;
  return proxyError(proxy, to, `answered ${status} (${meaningOf(status, to)})`, {
    reason: isCredentials ? NEEDS_SOMEBODY : "proxy",
    retryable: !isCredentials,
  });
}

/** No connection to the proxy, or no answer of HTTP. */
export function failedAt(proxy: Proxy, to: string, error: unknown): WaybillError {
  const { code = "" } = error as NodeJS.ErrnoException;
  const isGarbage = code.startsWith(NOT_HTTP);
  const detail =
    REASONS[code] ?? (isGarbage ? "answered with something that is not HTTP" : `failed: ${messageOf(error)}`);
  return proxyError(proxy, to, detail, { reason: "proxy", retryable: true, cause: error });
}

/** `to` is the origin that the request is for. */
export function proxyError(
  proxy: Proxy,
  to: string,
  detail: string,
  about: { readonly reason: string; readonly retryable: boolean; readonly cause?: unknown },
): WaybillError {
  return new WaybillError("WAYBILL_TRANSPORT", `no answer from ${to}: the proxy ${proxy.shown} ${detail}`, about);
}

function meaningOf(status: number, to: string): string {
  if (status === AUTHENTICATION_REQUIRED) return "it wants other credentials: correct the user and password in its URL";
  if (status === FORBIDDEN) return `it does not allow connections to ${to}`;
  return status >= 500 ? `it has no connection to ${to}` : "it opens no connection";
}
