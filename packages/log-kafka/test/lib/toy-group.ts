/** A simulated cluster with one topic and toy relays. */
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { SESSION_MS, TOPIC, ToyRelay, Watcher } from "./toy-relay.ts";

const PARTITIONS = 4;
export const HEARTBEAT_MS = 1_000;
const TURNS = 60;

export class ToyGroup {
  readonly clock = new VirtualClock(undefined, TURNS);
  readonly random: SeededRandom;
  readonly cluster: SimCluster;
  readonly watcher = new Watcher();
  readonly relays: ToyRelay[] = [];
  #names = 0;

  constructor(seed = 1) {
    this.random = new SeededRandom(seed);
    this.cluster = new SimCluster({
      clock: this.clock,
      random: this.random,
      heartbeatIntervalMs: HEARTBEAT_MS,
      sessionTimeoutMs: SESSION_MS,
    });
  }

  async create(): Promise<void> {
    const topic = { topic: TOPIC, partitions: PARTITIONS, replicationFactor: 3, configs: {}, deadlineMs: 1_000 };
    const created = this.cluster.connect("admin").create(topic);
    await this.clock.advance(100);
    await created;
  }

  add(sendMs = 200): ToyRelay {
    const name = `relay-${this.#names++}`;
    const { clock, random, watcher, cluster } = this;
    const relay = new ToyRelay({ name, broker: cluster.connect(name), world: clock, random, watcher, sendMs });
    this.relays.push(relay);
    relay.member.start();
    return relay;
  }

  /** The partitions of all of them, in order. */
  owned(...relays: readonly ToyRelay[]): readonly number[] {
    return sorted(relays.flatMap(({ member }) => member.view.owned.map(({ partition }) => partition)));
  }
}

export async function newToyGroup(seed = 1): Promise<ToyGroup> {
  const made = new ToyGroup(seed);
  await made.create();
  return made;
}

export const ALL = Array.from({ length: PARTITIONS }, (_, partition) => partition);

export function sorted(numbers: Iterable<number>): readonly number[] {
  return [...numbers].toSorted((one, other) => one - other);
}
