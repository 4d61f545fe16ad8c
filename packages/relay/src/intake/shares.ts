/**
 * Who holds how many bytes of request bodies in memory.
 *
 * There are two pools: one for requests whose key is known from their head, with a share per
 * source, and a small one for those whose key is known only once the body was read, with a share
 * per address. So strangers can make each other wait, and nobody else.
 *
 * A share may grow as long as it is no larger than what is left of its pool. One alone gets half,
 * two get a third each, n get 1/(n+1): there is always room for another one, and what is not used
 * is not kept from anybody.
 */

export type ShareRefusal = "overloaded" | "share_exceeded";

export class Share {
  readonly pool: Pool;
  readonly name: string;
  heldBytes = 0;
  /** Bodies of it that wait for their turn. */
  waiting = 0;
  /** Requests that pay with it. */
  #users = 0;

  constructor(pool: Pool, name: string) {
    this.pool = pool;
    this.name = name;
  }

  /** Takes the bytes, or says why not. */
  take(bytes: number): ShareRefusal | undefined {
    const { pool } = this;
    const wanted = this.heldBytes + bytes;
    const roomBytes = pool.maxBytes - pool.heldBytes;
    // Who holds more than all others together is the cause.
    if (wanted > roomBytes) return wanted > pool.heldBytes - this.heldBytes ? "share_exceeded" : "overloaded";
    this.heldBytes = wanted;
    pool.heldBytes += bytes;
    return undefined;
  }

  /** Takes them in any case: they were let in elsewhere. */
  adopt(bytes: number): void {
    this.heldBytes += bytes;
    this.pool.heldBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.heldBytes -= bytes;
    this.pool.heldBytes -= bytes;
  }

  /** A request begins to pay with it; {@link leave} follows. */
  enter(): void {
    this.#users += 1;
  }

  leave(): void {
    this.#users -= 1;
    if (this.#users === 0) this.pool.forget(this);
  }
}

export interface PoolOptions {
  readonly maxBytes: number;
  /** Bodies that are decompressed at once: each may need a window of 16 MiB. */
  readonly decoders: number;
  /** Its shares are of strangers: they are known only while they are used. */
  readonly isKeyless?: boolean;
}

export class Pool {
  readonly maxBytes: number;
  readonly decoders: number;
  readonly isKeyless: boolean;
  heldBytes = 0;
  readonly #shares = new Map<string, Share>();

  constructor({ maxBytes, decoders, isKeyless = false }: PoolOptions) {
    this.maxBytes = maxBytes;
    this.decoders = decoders;
    this.isKeyless = isKeyless;
  }

  get shares(): number {
    return this.#shares.size;
  }

  share(name: string): Share {
    let share = this.#shares.get(name);
    if (share === undefined) {
      share = new Share(this, name);
      this.#shares.set(name, share);
    }
    return share;
  }

  forget(share: Share): void {
    if (this.isKeyless) this.#shares.delete(share.name);
  }
}

const IPV6_NETWORK_GROUPS = 4;

/**
 * Whom an address stands for: an IPv4 address for itself, one of IPv6 for its network of 64 bits,
 * which one customer has as a rule.
 */
export function peerOf(address: string | undefined): string {
  if (address === undefined) return "";
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [before = "", after = ""] = (address.split("%")[0] as string).split("::");
  const head = before === "" ? [] : before.split(":");
  const tail = after === "" ? [] : after.split(":");
  const zeros = new Array<string>(Math.max(0, 8 - head.length - tail.length)).fill("0");
  return [...head, ...zeros, ...tail].slice(0, IPV6_NETWORK_GROUPS).join(":");
}
