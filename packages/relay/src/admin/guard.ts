/**
 * Which requests the admin API answers at all. It often listens on loopback without a token, where
 * any web page in the operator's browser can send requests to it:
 *
 * - `Host` must be one of ours. A page whose name was made to lead to this address (DNS rebinding)
 *   sends its own.
 * - `Origin`, where there is one, must be that host; `Sec-Fetch-Site` must not name another site.
 *   Browsers set both, pages cannot.
 * - A body must be JSON by its content type, which no HTML form and no simple request of a page can
 *   send.
 * - The token, where one is configured, is compared in constant time.
 *
 * Probes (health, ready, metrics) are asked by load balancers under any name: they are answered for
 * any host.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIP, isIPv6 } from "node:net";
import { type Answer, problem } from "../intake/answers.ts";
import { quoted } from "./refusal.ts";

export interface GuardOptions {
  /**
   * Names and addresses beside loopback under which the admin API may be reached; lower-case,
   * without port.
   */
  readonly hosts: readonly string[];
  readonly token: string | undefined;
}

/** What a route is answered for. */
export type Access =
  /** A known host, no foreign page, the token. */
  | "guarded"
  /** As `guarded`, but without the token. */
  | "open"
  /** Any host, no token. */
  | "probe"
  /** Any host, the token. */
  | "metrics";

/** Why a request is not answered, or nothing. */
export function refusalOf(request: IncomingMessage, access: Access, options: GuardOptions): Answer | undefined {
  if (access === "probe") return undefined;
  if (access !== "metrics") {
    const foreign = foreignTo(request, options.hosts);
    if (foreign !== undefined) return foreign;
  }
  if (access !== "open" && !hasToken(request, options.token))
    return problem(401, "unauthorized", "The admin token is missing or wrong.", { "www-authenticate": "Bearer" });
  return isJsonOrNothing(request)
    ? undefined
    : problem(415, "json_required", "A body is JSON, with content-type: application/json.");
}

/** Whether a request would be answered as `guarded`: it may see what probes may not. */
export function isTrusted(request: IncomingMessage, options: GuardOptions): boolean {
  return foreignTo(request, options.hosts) === undefined && hasToken(request, options.token);
}

function foreignTo(request: IncomingMessage, hosts: readonly string[]): Answer | undefined {
  const { host = "", origin, "sec-fetch-site": site } = request.headers;
  const name = hostnameOf(host);
  if (!(isLoopback(name) || hosts.includes(name) || name === localAddressOf(request)))
    return problem(
      403,
      "unknown_host",
      `This admin API is not known as ${quoted(name) || "nothing"}; if it should be, name the host in admin.hosts.`,
    );
  // A proxy before us may speak TLS.
  const own = [`http://${host}`, `https://${host}`].map((text) => text.toLowerCase());
  const isOwn = origin === undefined || own.includes(origin.toLowerCase());
  const isSameSite = site === undefined || site === "same-origin" || site === "none";
  if (isOwn && isSameSite) return undefined;
  return problem(403, "foreign_origin", "Requests of web pages of other origins are refused.");
}

/** Without port, brackets and final dot, in lower case. */
function hostnameOf(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host)?.[1];
  return (bracketed ?? host.replace(/:\d*$/, "").replace(/\.$/, "")).toLowerCase();
}

/** Whether a host or an address to listen on is this machine alone. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  if (isIP(host) === 4) return host.startsWith("127.");
  return isIPv6(host) && /^(?:::1|(?:0{1,4}:){7}0{0,3}1|::ffff:127\.\d+\.\d+\.\d+)$/i.test(host);
}

/** The address the connection came in at: a relay that listens on all is known by each. */
function localAddressOf(request: IncomingMessage): string | undefined {
  return request.socket.localAddress?.toLowerCase().replace(/^::ffff:(?=\d+\.)/, "");
}

function hasToken(request: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return true;
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ""), digest(`Bearer ${token}`));
}

function isJsonOrNothing({ headers }: IncomingMessage): boolean {
  const type = headers["content-type"];
  if (type !== undefined) return /^application\/json\s*(?:;|$)/i.test(type);
  return headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0;
}
