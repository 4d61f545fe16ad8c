/**
 * Allows connections to public addresses only: the name of a destination must not lead into the
 * relay's own network.
 */
import { type LookupAddress, type LookupOptions, lookup } from "node:dns";
import { BlockList, isIP } from "node:net";
import { type HttpRequest, WaybillError } from "@waybill/core";

/**
 * Not routed in public: IANA's special-purpose registry (RFC 6890), multicast and reserved, and
 * Azure's host agent.
 */
const NOT_PUBLIC_V4 = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["168.63.129.16", 32],
  // Link-local, with the metadata services of clouds.
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const)
  NOT_PUBLIC_V4.addSubnet(network, bits, "ipv4");

/**
 * All that is assigned as global unicast so far. Everything else (`::/96`, `fc00::/7`, `fe80::/10`,
 * `fec0::/10`, …) is refused.
 */
const GLOBAL_V6 = new BlockList();
GLOBAL_V6.addSubnet("2000::", 3, "ipv6");
/** Exceptions within it: protocol assignments with Teredo, documentation, 6to4. */
const NOT_PUBLIC_V6 = new BlockList();
for (const [network, bits] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const)
  NOT_PUBLIC_V6.addSubnet(network, bits, "ipv6");

/**
 * The first 96 bits of addresses that embed an IPv4 address: mapped ones, and those of NAT64 (a
 * network without IPv4 reaches all of it so).
 */
const EMBEDDING_V4 = ["0:0:0:0:0:ffff", "64:ff9b:0:0:0:0"];
const GROUPS = 8;

/** Whether the public reaches an IP address too. Not for anything that is not one. */
export function isPublicAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, "");
  const family = isIP(plain);
  if (family === 4) return !NOT_PUBLIC_V4.check(plain, "ipv4");
  if (family !== 6) return false;
  const groups = groupsOf(plain);
  const [high = 0, low = 0] = groups.slice(-2);
  if (EMBEDDING_V4.includes(hexOf(groups.slice(0, -2))))
    return isPublicAddress(`${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`);
  // As plain groups: a tail in IPv4 notation and a compressed middle are other spellings of the
  // same.
  const normal = hexOf(groups);
  return GLOBAL_V6.check(normal, "ipv6") && !NOT_PUBLIC_V6.check(normal, "ipv6");
}

/** The eight numbers of a valid IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const [head = "", tail] = address.split("::");
  const before = numbersOf(head);
  const after = numbersOf(tail ?? "");
  return [...before, ...new Array<number>(GROUPS - before.length - after.length).fill(0), ...after];
}

function numbersOf(part: string): readonly number[] {
  if (part === "") return [];
  return part.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [a * 0x100 + b, c * 0x100 + d];
  });
}

function hexOf(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(":");
}

type Done = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** Decides where a transport may connect to. */
export interface AddressGuard {
  /** A URL whose host is a refused address itself; names are looked at when they are looked up. */
  readonly isRefused: (url: string) => boolean;
  /** As `dns.lookup`, without the addresses that are refused. */
  readonly lookup: (hostname: string, options: LookupOptions, done: Done) => void;
}

export const publicAddresses: AddressGuard = {
  isRefused(url) {
    const host = URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, "") : "";
    return isIP(host) !== 0 && !isPublicAddress(host);
  },

  /** The connection is made to what was checked, so a name cannot change in between. */
  lookup(hostname, options, done) {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, []);
      const allowed = addresses.filter(({ address }) => isPublicAddress(address));
      const [first] = allowed;
      if (first === undefined) return done(privateAddressError(hostname), []);
      if (options.all === true) done(null, allowed);
      else done(null, first.address, first.family);
    });
  },
};

/** A transport's route to public addresses only. **Errors**: `WAYBILL_TRANSPORT`. */
export function publicRoute({ url }: Pick<HttpRequest, "url">): Pick<AddressGuard, "lookup"> {
  if (publicAddresses.isRefused(url)) throw privateUrlError(url);
  return { lookup: publicAddresses.lookup };
}

export function privateUrlError(url: string): WaybillError {
  const reason = "private_address";
  return new WaybillError("WAYBILL_TRANSPORT", `no answer from ${new URL(url).origin}: ${reason}`, {
    reason,
    retryable: true,
  });
}

export function privateAddressError(host: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${host} is at a private address`), { code: "EPRIVATE" });
}
