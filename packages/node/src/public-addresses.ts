/** Keeps connections to addresses that the public reaches too: a destination's name must not lead into the network that the relay stands in. */
import { type LookupAddress, type LookupOptions, lookup } from "node:dns";
import { BlockList, isIP } from "node:net";

/** Not routed in public: RFC 6890 and RFC 4193, with the metadata services of clouds among the link-local ones. */
const NOT_PUBLIC = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const)
  NOT_PUBLIC.addSubnet(network, bits, "ipv4");
for (const [network, bits] of [
  ["::", 127],
  ["64:ff9b:1::", 48],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const)
  NOT_PUBLIC.addSubnet(network, bits, "ipv6");

const MAPPED_V4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

function isNotPublic(address: string): boolean {
  const plain = MAPPED_V4.exec(address)?.[1] ?? address;
  return NOT_PUBLIC.check(plain, isIP(plain) === 6 ? "ipv6" : "ipv4");
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
    return isIP(host) !== 0 && isNotPublic(host);
  },

  /** The connection is made to what was checked, so a name cannot change in between. */
  lookup(hostname, options, done) {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, []);
      const allowed = addresses.filter(({ address }) => !isNotPublic(address));
      const [first] = allowed;
      if (first === undefined)
        return done(Object.assign(new Error(`${hostname} is at a private address`), { code: "EPRIVATE" }), []);
      if (options.all === true) done(null, allowed);
      else done(null, first.address, first.family);
    });
  },
};
