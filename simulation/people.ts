/** What the users of the clients do. */
import type { SeededRandom } from "@waybill/testing";
import type { Client } from "../packages/client/src/client.ts";
import { REDACTED_PROPERTY, SKIPPED_EVENT } from "./sim-relay.ts";
import { INVALID_PROPERTY, POISON_PROPERTY, SICK_PROPERTY } from "./vendors.ts";

const EVENTS_MAX = 12;
const BURST_MAX = 80;
const INVALID_MAX = 6;
const USERS = 8;
/** Of its events one user has this share; others are nobody's yet, or tie such a one to a user. */
const HOT_SHARE = 0.3;
const ANONYMOUS_SHARE = 0.15;
const TIE_SHARE = 0.05;
/** A share of what clients track is not for every destination. */
const SKIPPED_SHARE = 0.1;

interface Make {
  readonly client?: number;
  readonly userId?: string;
  readonly isPoison?: boolean;
  /** Vendors answer it with 500 until they recover. */
  readonly isSick?: boolean;
  /** Vendors refuse it for good. */
  readonly isInvalid?: boolean;
}

export class People {
  readonly #random: SeededRandom;
  readonly #clients: readonly Client[];
  /** How many events each client has made: they carry their number. */
  readonly #made: number[];

  readonly #tieShare: number;

  /** Default of `ties`: true. */
  constructor(random: SeededRandom, clients: readonly Client[], { ties = true } = {}) {
    this.#tieShare = ties ? TIE_SHARE : 0;
    this.#random = random;
    this.#clients = clients;
    this.#made = clients.map(() => 0);
  }

  /** Events of all clients. */
  get made(): number {
    return this.#made.reduce((total, count) => total + count, 0);
  }

  track(): void {
    for (let count = 1 + this.#random.below(EVENTS_MAX); count > 0; count--) this.make({});
  }

  /** More than a batch at once. */
  burst(): void {
    for (let count = this.#random.below(BURST_MAX); count > 0; count--) this.make({});
  }

  /** An event that vendors answer with 500 for ever, and what its user does next. */
  trackPoison(): void {
    const client = this.#random.below(this.#clients.length);
    const userId = this.#userOf(client);
    this.make({ client, userId, isPoison: true });
    for (let count = this.#random.below(3); count > 0; count--) this.make({ client, userId });
  }

  /** Events that vendors refuse, and what their users do next. */
  trackInvalid(): void {
    for (let count = 1 + this.#random.below(INVALID_MAX); count > 0; count--) {
      const client = this.#random.below(this.#clients.length);
      const userId = this.#userOf(client);
      this.make({ client, userId, isInvalid: true });
      this.make({ client, userId });
    }
  }

  #userOf(client: number): string {
    return `u${client}-${this.#random.chance(HOT_SHARE) ? 0 : this.#random.below(USERS)}`;
  }

  make({
    client = this.#random.below(this.#clients.length),
    userId = this.#userOf(client),
    isPoison = false,
    isSick = false,
    isInvalid = false,
  }: Make): void {
    const random = this.#random;
    const number = this.#made[client] as number;
    this.#made[client] = number + 1;
    const anonymousId = `a${client}-${random.below(USERS)}`;
    const marks = { ...(isSick ? { [SICK_PROPERTY]: true } : {}), ...(isInvalid ? { [INVALID_PROPERTY]: true } : {}) };
    const held = { client, number, ...marks, [REDACTED_PROPERTY]: "s", pad: "x".repeat(random.below(300)) };
    const isPlain = !isPoison && !isSick && !isInvalid;
    const roll = isPlain ? random.next() : 1;
    if (roll < this.#tieShare) this.#clients[client]?.identify({ userId, anonymousId, traits: held });
    else
      this.#clients[client]?.track({
        ...(roll < this.#tieShare + ANONYMOUS_SHARE ? { anonymousId } : { userId }),
        event: isPlain && random.chance(SKIPPED_SHARE) ? SKIPPED_EVENT : "E",
        properties: isPoison ? { ...held, [POISON_PROPERTY]: true } : held,
      });
  }
}
