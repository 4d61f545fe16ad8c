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
 * - The token, where one is configured, is compared in constant time, and wrong ones are limited
 *   (tries.ts). The cookie of a session does as well; a browser sends that by itself, so what
 *   changes something needs our own `Origin` too.
 * - The read-only token reads, and changes nothing.
 * - Other relays of the cluster sign their requests with the token (cluster/relay-signature.ts):
 *   they have seen to it that who asked them may.
 *
 * The page's files hold no data: a link to them may be on any site, so a navigation of a browser
 * tab is answered wherever it comes from.
 *
 * Probes (health, ready, metrics) are asked by load balancers under any name: they are answered for
 * any host.
 */
import type { IncomingMessage } from "node:http";
import { isIP, isIPv6 } from "node:net";
import { type Answer, problem } from "../intake/answers.ts";
import { forwardedOf, type TrustedProxies } from "../trusted-proxies.ts";
import type { Signatures } from "./cluster/relay-signature.ts";
import { quoted } from "./refusal.ts";
import { hasSessionCookie, type Sessions } from "./sessions.ts";
import type { Role, Tokens } from "./tokens.ts";
import type { TokenTries } from "./tries.ts";

export interface GuardOptions extends Tokens {
  /**
   * Names and addresses beside loopback under which the admin API may be reached; lower-case,
   * without port.
   */
  readonly hosts: readonly string[];
  /** Whose `X-Forwarded-Host` is believed. Default: nobody's. */
  readonly proxies?: TrustedProxies;
}

/** With those who are signed in. */
export interface Guard extends GuardOptions {
  readonly sessions: Sessions;
  readonly tries: TokenTries;
  /** Of requests that other relays pass on. */
  readonly signatures: Signatures;
  /** Id of this relay in its cluster; `undefined` on the disk. */
  readonly relayId: string | undefined;
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
  | "metrics"
  /** As `open`; a navigation of a browser tab may come from anywhere. */
  | "page";

/** Why a request is not answered, or nothing. */
export function refusalOf(request: IncomingMessage, access: Access, guard: Guard): Answer | undefined {
  if (access === "probe") return undefined;
  if (access !== "metrics") {
    const foreign = foreignTo(request, guard, access === "page" && isNavigation(request));
    if (foreign !== undefined) return foreign;
    if (changes(request) && hasSessionCookie(request) && !hasBearer(request) && request.headers.origin === undefined)
      return problem(403, "foreign_origin", "With a cookie, a request that changes something needs an Origin.");
  }
  if (access === "page") return undefined;
  if (access !== "open") {
    // Before this try is counted.
    const waitMs = hasBearer(request) ? guard.tries.waitMs(request) : 0;
    const role = roleOf(request, guard);
    if (role === undefined && waitMs > 0) return tooManyTries(waitMs);
    if (role === undefined)
      return problem(401, "unauthorized", "The admin token is missing or wrong.", { "www-authenticate": "Bearer" });
    if (role === "readOnly" && changes(request))
      return problem(403, "read_only", "The read-only token changes nothing; it takes the admin token.");
  }
  return isJsonOrNothing(request)
    ? undefined
    : problem(415, "json_required", "A body is JSON, with content-type: application/json.");
}

/** Whether a request would be answered as `guarded`: it may see what probes may not. */
export function isTrusted(request: IncomingMessage, guard: Guard): boolean {
  return foreignTo(request, guard) === undefined && roleOf(request, guard) !== undefined;
}

const SECOND_MS = 1_000;

export function tooManyTries(waitMs: number): Answer {
  const headers = { "retry-after": String(Math.ceil(waitMs / SECOND_MS)) };
  const message = "Too many wrong tokens came from this address; wait a minute.";
  return problem(429, "too_many_attempts", message, headers);
}

/** What a request may do: by its token, or else by its session. */
export function roleOf(request: IncomingMessage, guard: Guard): Role | undefined {
  if (guard.token === undefined) return "full";
  if (guard.signatures.of(request, guard.relayId, guard.token) !== undefined) return "full";
  const { authorization } = request.headers;
  if (authorization !== undefined)
    return authorization.startsWith(BEARER)
      ? guard.tries.roleOf(request, authorization.slice(BEARER.length), guard)
      : undefined;
  return guard.sessions.roleOf(request, guard);
}

const BEARER = "Bearer ";

function hasBearer({ headers }: IncomingMessage): boolean {
  return headers.authorization !== undefined;
}

function changes({ method }: IncomingMessage): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** Of a tab, by a link or by hand: not of a frame, a script, or an HTML form that posts. */
function isNavigation({ method, headers }: IncomingMessage): boolean {
  return (
    method === "GET" &&
    headers.origin === undefined &&
    headers["sec-fetch-mode"] === "navigate" &&
    headers["sec-fetch-dest"] === "document"
  );
}

function foreignTo(request: IncomingMessage, guard: GuardOptions, isLink = false): Answer | undefined {
  const { hosts, proxies } = guard;
  const host = forwardedOf(request, proxies).host ?? request.headers.host ?? "";
  const { origin, "sec-fetch-site": site } = request.headers;
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
  if (isOwn && (isSameSite || isLink)) return undefined;
  return problem(403, "foreign_origin", "Requests of web pages of other origins are refused.");
}

/** Without port, brackets and final dot, in lower case. */
export function hostnameOf(host: string): string {
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

function isJsonOrNothing({ headers }: IncomingMessage): boolean {
  const type = headers["content-type"];
  if (type !== undefined) return /^application\/json\s*(?:;|$)/i.test(type);
  return headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0;
}
