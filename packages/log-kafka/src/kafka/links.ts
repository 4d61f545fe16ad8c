import { BrokerError } from "../broker.ts";
import { type Address, Link, type LinkSetting } from "./link.ts";

/**
 * What a connection is for. A broker answers a connection's requests one after another: what may
 * wait long (a fetch for records, a record for its replicas) must not hold up the rest.
 */
export type Use = "metadata" | "admin" | "produce" | "fetch" | "commit" | "heartbeat";

/** Connections to one broker. One alone keeps the order of its calls. */
const MOST: Readonly<Record<Use, number>> = {
  metadata: 1,
  admin: 1,
  produce: 4,
  // As many as wait at once: each for records of one partition.
  fetch: Number.POSITIVE_INFINITY,
  commit: 1,
  heartbeat: 1,
};

/** All connections of a client. */
export class Links {
  readonly #setting: LinkSetting;
  readonly #links = new Map<string, Link[]>();
  #isClosed = false;

  constructor(setting: LinkSetting) {
    this.#setting = setting;
  }

  /** One without calls, else a new one, else that with the fewest. **Errors**: after `close`. */
  to(address: Address, use: Use): Link {
    if (this.#isClosed) throw new BrokerError("unreachable", "the client was closed");
    const key = `${use} ${address.host} ${address.port}`;
    const links = (this.#links.get(key) ?? []).filter((link) => !link.isBroken);
    this.#links.set(key, links);
    const fewest = links.reduce<Link | undefined>(
      (least, link) => (least === undefined || link.inFlight < least.inFlight ? link : least),
      undefined,
    );
    if (fewest !== undefined && (fewest.inFlight === 0 || links.length >= MOST[use])) return fewest;
    const link = new Link(this.#setting, address);
    links.push(link);
    return link;
  }

  close(): void {
    this.#isClosed = true;
    for (const links of this.#links.values()) for (const link of links) link.close();
    this.#links.clear();
  }
}
