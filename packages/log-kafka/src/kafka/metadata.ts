import type { Clock, Timer } from "@waybill/core";
import { BrokerError, type TopicPartition } from "../broker.ts";
import { failureFrom, failureOf } from "./failures.ts";
import type { Library } from "./library.ts";
import type { Address } from "./link.ts";
import type { Links } from "./links.ts";
import { type Call, callOf } from "./requests.ts";
import { Within } from "./within.ts";

/** One broker's time for an answer that any of them can give. */
const QUERY_MAX_MS = 5000;
/** So long one is waited for alone; then the next one is asked as well. */
const NEXT_AFTER_MS = 300;
const GROUP = 0;
const UNKNOWN_TOPIC = 3;
const NO_LEADER = -1;

export interface Node extends Address {
  readonly id: number;
}

export interface KnownTopic {
  readonly id: string;
  /** By partition. */
  readonly partitions: readonly {
    readonly leader: number | undefined;
    readonly replicas: readonly number[];
    readonly inSyncReplicas: readonly number[];
  }[];
}

/** Who leads which partition and coordinates which group, as far as it is known. */
export class Metadata {
  readonly #library: Library;
  readonly #clock: Clock;
  readonly #links: Links;
  readonly #bootstrap: readonly Address[];
  readonly #topics = new Map<string, KnownTopic | BrokerError>();
  readonly #stale = new Set<string>();
  readonly #names = new Map<string, string>();
  readonly #coordinators = new Map<string, Promise<Address>>();
  #nodes: ReadonlyMap<number, Node> = new Map();
  /** Who answered last. */
  #first: Address | undefined;
  #refreshing: { readonly topics: readonly string[]; readonly done: Promise<void> } | undefined;

  constructor(options: { library: Library; clock: Clock; links: Links; bootstrap: readonly Address[] }) {
    this.#library = options.library;
    this.#clock = options.clock;
    this.#links = options.links;
    this.#bootstrap = options.bootstrap;
  }

  async leaderOf({ topic, partition }: TopicPartition, within: Within): Promise<Address> {
    const known = (await this.topic(topic, within)).partitions[partition];
    if (known === undefined) throw new BrokerError("unknown_topic", `${topic} has no partition ${partition}`);
    const node = known.leader === undefined ? undefined : this.#nodes.get(known.leader);
    if (node !== undefined) return node;
    this.forgetTopic(topic);
    throw new BrokerError("not_leader", `${topic}-${partition} has no leader`);
  }

  /** **Errors**: `unknown_topic`. */
  async topic(name: string, within: Within): Promise<KnownTopic> {
    if (!this.#topics.has(name) || this.#stale.has(name)) await this.#refreshed([name], within);
    const known = this.#topics.get(name);
    if (known === undefined || known instanceof BrokerError) {
      this.#topics.delete(name);
      throw known ?? new BrokerError("unknown_topic", `there is no topic ${name}`);
    }
    return known;
  }

  /** As it is now; those that exist. */
  async topics(names: readonly string[], within: Within): Promise<ReadonlyMap<string, KnownTopic>> {
    for (const name of names) this.#stale.add(name);
    await this.#refreshed(names, within);
    const found = new Map<string, KnownTopic>();
    for (const name of names) {
      const known = this.#topics.get(name);
      if (known instanceof BrokerError) throw known;
      if (known !== undefined) found.set(name, known);
    }
    return found;
  }

  /** Of a topic that has been asked for. */
  nameOf(topicId: string): string | undefined {
    return this.#names.get(topicId);
  }

  /** It is asked for again before the next call that needs it. */
  forgetTopic(name: string): void {
    if (this.#topics.has(name)) this.#stale.add(name);
  }

  async coordinatorOf(group: string, within: Within): Promise<Address> {
    let found = this.#coordinators.get(group);
    if (found === undefined) {
      found = this.#findCoordinator(group);
      this.#coordinators.set(group, found);
      // Who waits for it learns it.
      found.catch(() => this.forgetCoordinator(group));
    }
    return within.wait(found);
  }

  forgetCoordinator(group: string): void {
    this.#coordinators.delete(group);
  }

  /** One that answered lately. */
  async anyNode(within: Within): Promise<Address> {
    if (this.#first === undefined) await this.#refreshed([], within);
    return this.#first as Address;
  }

  forgetNode(address: Address): void {
    if (this.#first === address) this.#first = undefined;
  }

  /**
   * Asks one broker, after a while or a failure the next one as well, and takes the first answer.
   * For what may be asked twice.
   */
  async query<R>(call: Call<R>, within: Within): Promise<R> {
    return within.wait(this.#query(call, within.what));
  }

  async #findCoordinator(group: string): Promise<Address> {
    const what = `find the coordinator of ${group}`;
    const { coordinators } = await this.#query(callOf(this.#library.findCoordinatorV6, GROUP, [group]), what);
    const [found] = coordinators;
    if (found === undefined) throw new BrokerError("invalid", `${what}: no answer`);
    if (found.errorCode !== 0) throw failureOf(found.errorCode, what);
    return { host: found.host, port: found.port };
  }

  /** Others may refresh already: theirs is enough when it has these topics. */
  async #refreshed(names: readonly string[], within: Within): Promise<void> {
    for (const name of names) if (!this.#topics.has(name)) this.#stale.add(name);
    for (;;) {
      const current = this.#refreshing ?? this.#refresh();
      await within.wait(current.done);
      if (names.every((name) => current.topics.includes(name))) return;
    }
  }

  #refresh(): { readonly topics: readonly string[]; readonly done: Promise<void> } {
    const topics = [...this.#stale];
    this.#stale.clear();
    const call = callOf(this.#library.metadataV12, topics, false, false);
    const done = this.#query(call, "metadata").then(
      (answer) => this.#take(topics, answer),
      (error: unknown) => {
        for (const name of topics) this.#stale.add(name);
        this.#refreshing = undefined;
        throw error;
      },
    );
    this.#refreshing = { topics, done };
    return this.#refreshing;
  }

  #take(asked: readonly string[], answer: ReturnType<Library["metadataV12"]["parseResponse"]>): void {
    this.#refreshing = undefined;
    this.#nodes = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { id: nodeId, host, port }]));
    for (const name of asked) this.#topics.delete(name);
    for (const { name, errorCode, topicId, partitions } of answer.topics) {
      if (name === null || name === undefined || errorCode === UNKNOWN_TOPIC) continue;
      if (errorCode !== 0) {
        this.#topics.set(name, failureOf(errorCode, `metadata of ${name}`));
        continue;
      }
      const sorted = partitions.toSorted((one, other) => one.partitionIndex - other.partitionIndex);
      this.#topics.set(name, {
        id: topicId,
        partitions: sorted.map(({ leaderId, replicaNodes, isrNodes }) => ({
          leader: leaderId === NO_LEADER ? undefined : leaderId,
          replicas: replicaNodes,
          inSyncReplicas: isrNodes,
        })),
      });
      this.#names.set(topicId, name);
    }
  }

  #query<R>(call: Call<R>, what: string): Promise<R> {
    const waiting = this.#candidates();
    return new Promise((resolve, reject) => {
      let asked = 0;
      let failure = new BrokerError("unreachable", `${what}: no broker is known`);
      let timer: Timer | undefined;
      const next = (): void => {
        timer?.cancel();
        const address = waiting.shift();
        if (address !== undefined) queryOne(address);
        else if (asked === 0) reject(failure);
      };
      const queryOne = (address: Address): void => {
        asked += 1;
        timer = this.#clock.after(NEXT_AFTER_MS, next);
        this.#queryOne(address, call, what).then(
          (answer) => {
            timer?.cancel();
            waiting.length = 0;
            this.#first = address;
            resolve(answer);
          },
          (error: unknown) => {
            asked -= 1;
            if (failure.code !== "unauthorized") failure = failureFrom(error, what);
            next();
          },
        );
      };
      next();
    });
  }

  async #queryOne<R>(address: Address, call: Call<R>, what: string): Promise<R> {
    return this.#links.to(address, "metadata").call(call, new Within(this.#clock, QUERY_MAX_MS, what));
  }

  /** Who answered last, then the brokers that are known, then those of the configuration. */
  #candidates(): Address[] {
    const all = [...(this.#first === undefined ? [] : [this.#first]), ...this.#nodes.values(), ...this.#bootstrap];
    return [...new Map(all.map((address) => [`${address.host}:${address.port}`, address])).values()];
  }
}
