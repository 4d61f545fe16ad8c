/**
 * How a relay shows another one that a request comes from a relay of the same cluster: by the admin
 * token, which all of them have, without sending it. Addresses of relays come out of a topic that
 * others may write to, and an address may belong to somebody else by now: who gets a signed request
 * there can repeat it nowhere else, and not here a second time.
 *
 *   authorization: Waybill-Relay <time, epoch ms>.<nonce>.<SHA-256 of the body>.<HMAC-SHA-256>
 *
 * The HMAC is over these, the relay that is meant, the method and the path with its query.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Clock, Random } from "@waybill/core";

const RELAY_SCHEME = "Waybill-Relay ";
/** Names the relay that is meant: it answers by itself, and passes nothing on. */
export const RELAY_HEADER = "waybill-relay";

/** Clocks may differ by this, and no request takes as long to arrive. */
const FRESH_MS = 60_000;
const NONCE_BYTES = 16;
const PARTS = /^(\d{1,15})\.([0-9a-f]{32})\.([0-9a-f]{64})\.([0-9a-f]{64})$/;

export interface SignedRequest {
  /** Id of the relay that is meant. */
  readonly to: string;
  readonly method: string;
  /** With its query. */
  readonly path: string;
}

interface Signed extends SignedRequest {
  readonly atMs: number;
  readonly nonce: string;
  readonly bodyDigest: string;
}

/** The value of the header `authorization`. */
export function signatureOf(
  request: SignedRequest,
  body: string,
  { token, clock, random }: { readonly token: string; readonly clock: Clock; readonly random: Random },
): string {
  const nonce = new Uint8Array(NONCE_BYTES);
  random.fill(nonce);
  const signed = {
    ...request,
    atMs: clock.now(),
    nonce: Buffer.from(nonce).toString("hex"),
    bodyDigest: digestOf(body),
  };
  const { atMs, bodyDigest } = signed;
  return `${RELAY_SCHEME}${[atMs, signed.nonce, bodyDigest, macOf(signed, token).toString("hex")].join(".")}`;
}

/** Those that were taken lately: each is taken once. */
export class Signatures {
  readonly #clock: Clock;
  /** Nonces, with when they are too old anyway; as many as relays sign requests meanwhile. */
  readonly #taken = new Map<string, number>();
  /** A request is looked at more than once. */
  readonly #looked = new WeakMap<IncomingMessage, { readonly bodyDigest: string | undefined }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The digest that the body must have; `undefined` for a request that is not signed for us. */
  of(request: IncomingMessage, self: string | undefined, token: string): string | undefined {
    const known = this.#looked.get(request);
    if (known !== undefined) return known.bodyDigest;
    const { authorization = "" } = request.headers;
    const { method = "", url: path = "" } = request;
    const isOurs = self !== undefined && authorization.startsWith(RELAY_SCHEME);
    const bodyDigest = isOurs ? this.#take(authorization, { to: self, method, path }, token) : undefined;
    this.#looked.set(request, { bodyDigest });
    return bodyDigest;
  }

  #take(given: string, request: SignedRequest, token: string): string | undefined {
    const [, time, nonce = "", bodyDigest = "", mac = ""] = PARTS.exec(given.slice(RELAY_SCHEME.length)) ?? [];
    const atMs = Number(time);
    const nowMs = this.#clock.now();
    if (time === undefined || Math.abs(nowMs - atMs) > FRESH_MS) return undefined;
    if (!timingSafeEqual(Buffer.from(mac, "hex"), macOf({ ...request, atMs, nonce, bodyDigest }, token)))
      return undefined;
    for (const [old, untilMs] of this.#taken) {
      if (untilMs > nowMs) break;
      this.#taken.delete(old);
    }
    if (this.#taken.has(nonce)) return undefined;
    // One from a clock that is ahead is fresh for longer.
    this.#taken.set(nonce, nowMs + 2 * FRESH_MS);
    return bodyDigest;
  }
}

interface SignedFor {
  readonly signatures: Signatures;
  readonly relayId: string | undefined;
  readonly token?: string | undefined;
}

/** Whether a relay has sent it: where there is no token, all that asks is on this machine. */
export function comesFromRelay(request: IncomingMessage, { signatures, relayId, token }: SignedFor): boolean {
  if (token === undefined) return Object.hasOwn(request.headers, RELAY_HEADER);
  return signatures.of(request, relayId, token) !== undefined;
}

export function digestOf(body: string | Uint8Array): string {
  return createHash("sha256").update(body).digest("hex");
}

function macOf({ to, method, path, atMs, nonce, bodyDigest }: Signed, token: string): Buffer {
  const text = JSON.stringify([RELAY_SCHEME, to, method, path, atMs, nonce, bodyDigest]);
  return createHmac("sha256", token).update(text).digest();
}
