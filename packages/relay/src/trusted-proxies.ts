/**
 * Whose `X-Forwarded-*` headers are believed. Anyone can send them: they say something only when
 * the connection comes from a proxy that the configuration names.
 */
import type { IncomingMessage } from "node:http";
import { BlockList, isIP, isIPv6 } from "node:net";

/** Of what a request says it is by way of proxies. */
export interface Forwarded {
  /** Of the client; that of the connection where nobody is believed. */
  readonly address: string | undefined;
  /** Whether the client spoke TLS. */
  readonly isSecure: boolean;
  /** That the client asked for; `undefined`: as the request has it. */
  readonly host: string | undefined;
}

type Request = Pick<IncomingMessage, "headers" | "socket">;

const V4_BITS = 32;
const V6_BITS = 128;

/** `10.0.0.0/8`, `192.168.1.7`, `fd00::/8`. */
export function isNetwork(text: string): boolean {
  return networkOf(text) !== undefined;
}

export class TrustedProxies {
  readonly #networks = new BlockList();
  /** Nobody is believed. */
  readonly isEmpty: boolean;

  constructor(networks: readonly string[] = []) {
    this.isEmpty = networks.length === 0;
    for (const text of networks) {
      const network = networkOf(text);
      if (network !== undefined) this.#networks.addSubnet(network.address, network.bits, network.family);
    }
  }

  /** Whether `address` is one of them. */
  has(address: string | undefined): boolean {
    if (this.isEmpty || address === undefined) return false;
    const plain = plainAddress(address);
    return isIP(plain) !== 0 && this.#networks.check(plain, isIPv6(plain) ? "ipv6" : "ipv4");
  }

  of({ headers, socket }: Request): Forwarded {
    const isEncrypted = (socket as { readonly encrypted?: boolean }).encrypted === true;
    const { remoteAddress } = socket;
    if (!this.has(remoteAddress)) return { address: remoteAddress, isSecure: isEncrypted, host: undefined };
    const proto = last(headers["x-forwarded-proto"]);
    return {
      address: this.#clientOf(headers["x-forwarded-for"] ?? headers["x-real-ip"]) ?? remoteAddress,
      isSecure: proto === undefined ? isEncrypted : proto.toLowerCase() === "https",
      host: last(headers["x-forwarded-host"]),
    };
  }

  /**
   * The nearest that is not one of ours: what is before it, the client may have written itself.
   * `undefined`: there is none.
   */
  #clientOf(header: string | string[] | undefined): string | undefined {
    let nearest: string | undefined;
    for (const text of valuesOf(header).toReversed()) {
      const address = plainAddress(text);
      if (isIP(address) === 0) return nearest;
      nearest = address;
      if (!this.has(address)) return nearest;
    }
    return nearest;
  }
}

const NOBODY = new TrustedProxies();

/** `proxies`: absent, nobody is believed. */
export function forwardedOf(request: Request, proxies: TrustedProxies | undefined): Forwarded {
  return (proxies ?? NOBODY).of(request);
}

/** The nearest proxy wrote it. */
function last(header: string | string[] | undefined): string | undefined {
  return valuesOf(header).at(-1);
}

function valuesOf(header: string | string[] | undefined): readonly string[] {
  return String(header ?? "")
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

/** Without port, brackets and zone; IPv4 that is written as IPv6 in its own way. */
function plainAddress(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1];
  const bare = bracketed ?? (/^\d+\.\d+\.\d+\.\d+:\d+$/.test(text) ? text.replace(/:\d+$/, "") : text);
  return bare.replace(/%.*$/, "").replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}

function networkOf(
  text: string,
): { readonly address: string; readonly bits: number; readonly family: "ipv4" | "ipv6" } | undefined {
  const [, address = "", bitsText] = /^([0-9a-f.:]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0) return undefined;
  const most = version === 4 ? V4_BITS : V6_BITS;
  const bits = bitsText === undefined ? most : Number(bitsText);
  return bits > most ? undefined : { address, bits, family: version === 4 ? "ipv4" : "ipv6" };
}
