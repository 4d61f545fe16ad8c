/**
 * Who is signed in with the page. A session is a random value in a cookie; here is only its hash,
 * in memory: sessions end with the process, after twelve hours, when the token that began them
 * changes, and the oldest one when there are too many.
 *
 * A browser sends a cookie of a host to every port of that host, so the value alone proves nothing
 * about where a request comes from: guard.ts checks that as for all others.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Clock } from "@waybill/core";
import { forwardedOf, type TrustedProxies } from "../trusted-proxies.ts";
import { digestOf, type Role, type Tokens, tokenOf } from "./tokens.ts";

interface Session {
  readonly role: Role;
  /** Of the token that began it. */
  readonly token: Buffer;
  /** Monotonic. */
  readonly endsAt: number;
}

const SESSION_COOKIE = "waybill_session";
const SESSION_S = 12 * 3_600;
const SECOND_MS = 1_000;
const SESSIONS_MAX = 100;
const VALUE_BYTES = 32;
/** Of one name a request may have several cookies: those of other paths. */
const COOKIES_MAX = 4;

export class Sessions {
  readonly #clock: Clock;
  readonly #proxies: () => TrustedProxies | undefined;
  readonly #sessions = new Map<string, Session>();

  constructor(clock: Clock, proxies: () => TrustedProxies | undefined = () => undefined) {
    this.#clock = clock;
    this.#proxies = proxies;
  }

  /** Begins a session; the value of its `set-cookie`. */
  open(role: Role, tokens: Tokens, request: IncomingMessage): string {
    const value = randomBytes(VALUE_BYTES).toString("base64url");
    const token = digestOf(tokenOf(role, tokens) ?? "");
    for (const [oldest] of this.#sessions) {
      if (this.#sessions.size < SESSIONS_MAX) break;
      this.#sessions.delete(oldest);
    }
    this.#sessions.set(keyOf(value), { role, token, endsAt: this.#clock.monotonic() + SESSION_S * SECOND_MS });
    return cookieText(value, SESSION_S, this.#isSecure(request));
  }

  /** Ends the request's session, if it has one; the value of the `set-cookie` that removes it. */
  end(request: IncomingMessage): string {
    for (const value of valuesOf(request)) this.#sessions.delete(keyOf(value));
    return cookieText("", 0, this.#isSecure(request));
  }

  roleOf(request: IncomingMessage, tokens: Tokens): Role | undefined {
    for (const value of valuesOf(request)) {
      const key = keyOf(value);
      const session = this.#sessions.get(key);
      if (session === undefined) continue;
      const current = tokenOf(session.role, tokens);
      const holds = current !== undefined && timingSafeEqual(digestOf(current), session.token);
      if (holds && this.#clock.monotonic() < session.endsAt) return session.role;
      this.#sessions.delete(key);
    }
    return undefined;
  }

  /** Whether the browser speaks TLS, with us or with a proxy that we believe. */
  #isSecure(request: IncomingMessage): boolean {
    return forwardedOf(request, this.#proxies()).isSecure;
  }
}

/** Whether a request has a cookie of ours: a browser may have sent it by itself. */
export function hasSessionCookie(request: IncomingMessage): boolean {
  return valuesOf(request).length > 0;
}

function valuesOf({ headers }: IncomingMessage): readonly string[] {
  const values: string[] = [];
  for (const pair of (headers.cookie ?? "").split(";")) {
    const [name, value] = pair.trim().split("=");
    if (name === SESSION_COOKIE && value !== undefined && values.length < COOKIES_MAX) values.push(value);
  }
  return values;
}

function cookieText(value: string, maxAgeS: number, isSecure: boolean): string {
  const secure = isSecure ? "; Secure" : "";
  return `${SESSION_COOKIE}=${value}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${maxAgeS}${secure}`;
}

function keyOf(value: string): string {
  return digestOf(value).toString("base64");
}
