/**
 * Tries with a wrong token, by address: ten a minute, then no token of that address is looked at,
 * so that guessing is slow.
 *
 * With `Authorization` the right token still gets in from an address that it came from before. Else
 * any process on the operator's machine, or anybody behind his proxy, could keep the command and
 * the scraper of metrics out with ten wrong tries a minute. From any other address a right guess
 * is refused like a wrong one: it tells nothing.
 */
import type { IncomingMessage } from "node:http";
import type { Clock } from "@waybill/core";
import { peerOf } from "../intake/shares.ts";
import { forwardedOf, type TrustedProxies } from "../trusted-proxies.ts";
import { type Role, roleOfToken, type Tokens } from "./tokens.ts";

const FAILURES_MAX = 10;
const FAILURES_WINDOW_MS = 60_000;
/** Addresses that are remembered; then the oldest is forgotten. */
const ADDRESSES_MAX = 10_000;

interface Failures {
  readonly beganAt: number;
  count: number;
}

export class TokenTries {
  readonly #clock: Clock;
  readonly #proxies: () => TrustedProxies | undefined;
  readonly #failures = new Map<string, Failures>();
  /** Address and role of those who had the right token. */
  readonly #known = new Set<string>();
  /** A request is looked at more than once. */
  readonly #counted = new WeakSet<IncomingMessage>();

  constructor(clock: Clock, proxies: () => TrustedProxies | undefined = () => undefined) {
    this.#clock = clock;
    this.#proxies = proxies;
  }

  /** Whose token it is; nobody's for an address that has to wait, unless it is known. */
  roleOf(request: IncomingMessage, given: string, tokens: Tokens): Role | undefined {
    const role = roleOfToken(given, tokens);
    if (role === undefined) this.failed(request);
    else if (this.waitMs(request) > 0 && !this.#known.has(this.#nameOf(request, role))) return undefined;
    else this.succeeded(request, role);
    return role;
  }

  /** How long this address has to wait before it may try a token again, in ms; 0: it may. */
  waitMs(request: IncomingMessage): number {
    const failures = this.#failures.get(this.#peerOf(request));
    if (failures === undefined || failures.count < FAILURES_MAX) return 0;
    return Math.max(0, failures.beganAt + FAILURES_WINDOW_MS - this.#clock.monotonic());
  }

  succeeded(request: IncomingMessage, role: Role): void {
    const name = this.#nameOf(request, role);
    if (this.#known.has(name)) return;
    makeRoomIn(this.#known);
    this.#known.add(name);
  }

  failed(request: IncomingMessage): void {
    if (this.#counted.has(request)) return;
    this.#counted.add(request);
    const now = this.#clock.monotonic();
    const peer = this.#peerOf(request);
    const known = this.#failures.get(peer);
    if (known !== undefined && now - known.beganAt < FAILURES_WINDOW_MS) {
      known.count += 1;
      return;
    }
    this.#failures.delete(peer);
    makeRoomIn(this.#failures);
    this.#failures.set(peer, { beganAt: now, count: 1 });
  }

  #nameOf(request: IncomingMessage, role: Role): string {
    return `${role} ${this.#peerOf(request)}`;
  }

  #peerOf(request: IncomingMessage): string {
    return peerOf(forwardedOf(request, this.#proxies()).address);
  }
}

function makeRoomIn(addresses: Map<string, unknown> | Set<string>): void {
  for (const oldest of addresses.keys()) {
    if (addresses.size < ADDRESSES_MAX) break;
    addresses.delete(oldest);
  }
}
