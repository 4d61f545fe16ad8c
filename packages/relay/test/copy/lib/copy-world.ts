/**
 * An environment on a disk and on Kafka, both in memory, and what its destinations have got: who
 * works on a lane takes, settles and parks events at random, and notes what must be true.
 */
import type { BatchLimits, Outcome, Transport } from "@waybill/core";
import {
  DeadLetters,
  type DurableState,
  Fates,
  fatesOf,
  type LaneRuntime,
  LaneState,
  type LaneStateValue,
  type Log,
  type LogBatch,
  LogStore,
  newLaneState,
  openLog,
  parseLaneState,
} from "@waybill/log";
import type { Broker } from "@waybill/log-kafka";
import { loadConfig, type RelayConfig } from "@waybill/relay";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { orderHashesOf } from "@waybill/vendors/registry";
import { writeFirstStates } from "../../../src/cluster/checkpoints.ts";
import { type CopiedEnvironment, copyEnvironment } from "../../../src/copy/copy-environment.ts";
import { KafkaSide, type KafkaSideOptions, type PlacedState } from "../../../src/copy/kafka-side.ts";

export const DESTINATIONS = ["one", "two", "three"] as const;
const PARTITIONS = 3;
const USERS = 9;
const LIMITS: BatchLimits = { maxEvents: 5, maxBytes: 100_000 };
const DIRECTORY = "/data/test";
/** A copy sends nothing. */
const NOWHERE: Transport = () => Promise.reject(new Error("nothing is sent"));

export type Known = "delivered" | "rejected" | "filtered";

export interface OpenLane {
  readonly name: string;
  readonly store: LogStore;
  readonly deadLetters: DeadLetters;
  close(): Promise<void>;
}

export class CopyWorld {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  disk = new SimDisk();
  readonly cluster: SimCluster;
  readonly config: RelayConfig;
  /** Ids in the order in which they were accepted, by user. */
  readonly accepted = new Map<string, string[]>();
  /** By destination and id; what is missing waits. */
  readonly outcomes = new Map<string, Map<string, Known>>(DESTINATIONS.map((name) => [name, new Map()]));
  /** Where a destination began: ids before were never meant for it. */
  readonly notMeant = new Map<string, Set<string>>(DESTINATIONS.map((name) => [name, new Set()]));
  readonly #text: string;
  #count = 0;

  /** Each event has a text of so many characters. */
  constructor(seed: number, textLength = 0) {
    this.#text = "x".repeat(textLength);
    this.random = new SeededRandom(seed);
    this.cluster = new SimCluster({ clock: this.clock, latencyMs: 0, replicationMs: 0 });
    const destination = { vendor: "segment", url: "http://127.0.0.1:1", writeKey: "k" };
    const text = JSON.stringify({
      engine: "kafka",
      kafka: { brokers: ["kafka:9092"], partitions: PARTITIONS },
      dataDirectory: "/data",
      network: { allowPrivateAddresses: true },
      dedupe: { window: "1m" },
      environments: {
        test: {
          sources: { web: { protocol: "segment", writeKeys: ["w"] } },
          destinations: Object.fromEntries(DESTINATIONS.map((name) => [name, destination])),
        },
      },
    });
    this.config = loadConfig({ file: "test", text, env: {} });
  }

  get environment() {
    return this.config.environments[0] as RelayConfig["environments"][number];
  }

  newDisk(): void {
    this.disk = new SimDisk();
  }

  get all(): readonly string[] {
    return [...this.accepted.values()].flat();
  }

  /** What a destination has to get yet. */
  waiting(name: string): readonly string[] {
    const known = this.outcomes.get(name);
    return this.all.filter((id) => known?.has(id) !== true && this.notMeant.get(name)?.has(id) !== true).toSorted();
  }

  copy(to: "kafka" | "disk", broker: Broker, disk = this.disk, resend = true): Promise<CopiedEnvironment> {
    const { config, clock, random, environment } = this;
    const { kafka } = config;
    if (kafka === undefined) throw new Error("the configuration has Kafka");
    const runtime = { clock, disk, random, transport: NOWHERE };
    return copyEnvironment({ config, kafka, broker, runtime, to, resend }, environment);
  }

  /** Accepts requests on the disk; `begin`: destinations that begin before it. */
  async accept(requests: number, begin: readonly string[] = []): Promise<void> {
    const log = await openLog({ directory: `${DIRECTORY}/log`, segmentMaxBytes: 2_000 }, this);
    for (const name of begin) {
      for (const id of this.all) this.notMeant.get(name)?.add(id);
      const path = `${DIRECTORY}/lanes`;
      await (await LaneState.open(this.disk, path, name, () => newLaneState(log, false), parseLaneState)).close();
    }
    for (let at = 0; at < requests; at++) {
      const texts = Array.from({ length: 1 + this.random.below(6) }, () => this.#event());
      let end = -1;
      const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
      const body = [Buffer.from(texts.join(","))];
      await log.append({ source: "web", receivedAtMs: this.clock.now(), metadata: "", body, ends });
    }
    await log.close();
  }

  #event(): string {
    const userId = `user-${this.random.below(USERS)}`;
    const messageId = `m-${this.#count++}`;
    this.accepted.set(userId, [...(this.accepted.get(userId) ?? []), messageId]);
    return JSON.stringify({ type: "track", event: "E", userId, messageId, properties: { text: this.#text } });
  }

  /** Works on all lanes, on the disk. */
  async workOnDisk(work: (lane: OpenLane) => Promise<void>): Promise<void> {
    const log = await openLog({ directory: `${DIRECTORY}/log`, segmentMaxBytes: 2_000 }, this);
    for (const name of DESTINATIONS) {
      const state = await LaneState.open(
        this.disk,
        `${DIRECTORY}/lanes`,
        name,
        () => newLaneState(log, false),
        parseLaneState,
      );
      const lane = await this.#open(name, { log, state, own: this, directory: DIRECTORY });
      await work(lane);
      await lane.close();
    }
    await log.close();
  }

  /** Works on all lanes of all partitions, on Kafka. */
  async workOnKafka(broker: Broker, work: (lane: OpenLane) => Promise<void>): Promise<void> {
    const side = this.side(broker);
    const marked = await side.checkpoints.readMarked(side.all);
    for (const name of DESTINATIONS) {
      const states = await side.states(name);
      const next = new Map<number, { offset: number; state: LaneStateValue }>();
      for (const partition of side.all) {
        const checkpoint = marked.get(partition);
        const placed = states.get(partition);
        if (checkpoint === undefined || placed === undefined) continue;
        const log = await side.openLog(partition, { checkpoint, from: "first" });
        let last = placed.state;
        const state: DurableState<LaneStateValue> = {
          initial: placed.state,
          fits: () => true,
          write: async (value) => {
            last = value;
          },
          sync: async () => undefined,
          close: async () => undefined,
        };
        const lane = await this.#open(name, { log, state, ...side.ownLogs(name, partition) });
        await work(lane);
        await lane.close();
        const offset = (await log.offsetOf(last.position))?.offset ?? log.checkpoint.offset;
        next.set(partition, { offset, state: last });
        await log.close();
      }
      await writeFirstStates(broker, { group: side.groupOf(name), topic: side.topic }, next);
    }
  }

  sideOptions(broker: Broker): KafkaSideOptions {
    const { config, clock, disk, random, environment } = this;
    const { kafka, dedupe, retention } = config;
    if (kafka === undefined) throw new Error("the configuration has Kafka");
    const runtime = { clock, disk, random, transport: NOWHERE };
    return { config: environment, kafka, broker, runtime, dedupe, retention };
  }

  side(broker: Broker): KafkaSide {
    return new KafkaSide(this.sideOptions(broker));
  }

  /** The states of a destination's lanes, without a member. */
  async write(broker: Broker, name: string, states: ReadonlyMap<number, PlacedState>): Promise<void> {
    const side = this.side(broker);
    await writeFirstStates(broker, { group: side.groupOf(name), topic: side.topic }, states);
  }

  async #open(name: string, of: LaneParts): Promise<OpenLane> {
    const { log, state, own, directory } = of;
    const { initial } = state;
    const deadLetters = await DeadLetters.open(`${directory}/dead/${name}`, log.head, own, initial.dead);
    const tail = fatesOf(initial, log);
    const fates = await Fates.open({ directory: `${directory}/fates/${name}`, runtime: own, ...tail });
    const maxInFlight = (): number => 4;
    const delivery = {
      durableLease: false,
      order: "user" as const,
      orderOf: orderHashesOf,
      maxInFlight,
      giveUpAfterMs: Number.POSITIVE_INFINITY,
    };
    const store = new LogStore({ name, log, state, deadLetters, fates, clock: this.clock, delivery });
    return { name, store, deadLetters, close: () => store.close() };
  }

  /** Some of what waits gets an outcome. */
  async workAtRandom({ name, store }: OpenLane, roundsMax = 12): Promise<void> {
    const rounds = this.random.below(roundsMax);
    for (let round = 0; round < rounds; round++) {
      const leased: LogBatch[] = [];
      for (let at = this.random.below(4); at >= 0; at--) {
        const batch = (await store.lease(LIMITS)) as LogBatch | undefined;
        if (batch === undefined) break;
        await store.plan(batch);
        leased.push(batch);
      }
      // Several in flight for some time: a lane splits.
      await this.clock.advance(50);
      for (const batch of leased.toSorted(() => this.random.next() - 0.5)) {
        const outcomes = Array.from({ length: batch.count }, (): Outcome => this.#outcome());
        this.#note(name, batch, outcomes);
        await store.settle(batch, outcomes);
      }
      if (this.random.chance(0.3)) store.retryParked();
    }
  }

  #outcome(): Outcome {
    const chance = this.random.next();
    if (chance < 0.7) return { status: "delivered" };
    if (chance < 0.8) return { status: "rejected", reason: "no" };
    if (chance < 0.9) return { status: "dropped", reason: "filtered" };
    return chance < 0.95 ? { status: "parked", reason: "later" } : { status: "retryable", reason: "later" };
  }

  #note(name: string, batch: LogBatch, outcomes: readonly Outcome[]): void {
    for (const [index, outcome] of outcomes.entries()) {
      // Of a user that is set aside one event comes after the other.
      if (outcome.status === "retryable" || (outcome.status === "parked" && batch.parked)) return;
      const id = idOf(batch, index);
      if (outcome.status === "delivered" || outcome.status === "rejected")
        this.outcomes.get(name)?.set(id, outcome.status);
      else if (outcome.status === "dropped") this.outcomes.get(name)?.set(id, "filtered");
    }
  }

  /** Delivers all that waits. Returns their ids in order. */
  async drain({ store }: OpenLane): Promise<readonly string[]> {
    const ids: string[] = [];
    for (;;) {
      const batch = (await store.lease(LIMITS)) as LogBatch | undefined;
      if (batch === undefined && !store.retryParked()) return ids;
      if (batch === undefined) continue;
      await store.plan(batch);
      const outcomes = Array.from({ length: batch.count }, (_, index): Outcome => {
        ids.push(idOf(batch, index));
        return { status: "delivered" };
      });
      await store.settle(batch, outcomes);
    }
  }
}

interface LaneParts {
  readonly log: Log;
  readonly state: DurableState<LaneStateValue>;
  readonly own: LaneRuntime;
  readonly directory: string;
}

function idOf(batch: LogBatch, index: number): string {
  return (JSON.parse(Buffer.from(batch.event(index)).toString()) as { messageId: string }).messageId;
}
