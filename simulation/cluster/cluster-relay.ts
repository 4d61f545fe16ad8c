/**
 * A relay before the simulated cluster: its real parts without sockets, for one life of its
 * process, which may be stopped meanwhile.
 */

import { isUtf8 } from "node:buffer";
import { createUuidV7, type DiskRuntime } from "@waybill/core";
import { ReadMemory, type RetentionLimits } from "@waybill/log";
import type { Broker } from "@waybill/log-kafka";
import { BodyReader, type DestinationObserver, type Environment, Intake, SourceTable } from "@waybill/relay/headless";
import {
  type SeededRandom,
  type ServerHandler,
  type ServerResponse,
  SimDisk,
  type SimNetwork,
  type VirtualClock,
} from "@waybill/testing";
import { type SimCluster } from "@waybill/testing/kafka";
import { DEFAULT_LIMITS } from "@waybill/vendors";
import { ClusterEnvironment } from "../../packages/relay/src/cluster/cluster-environment.ts";
import { type InFlightRules, watched } from "../in-flight.ts";
import { answerOf, BODIES_MAX_BYTES, BODY_MAX_BYTES, configOf, DAY_MS, originOf, type Plan } from "../sim-relay.ts";
import { ENVIRONMENT, TOPIC_PREFIX } from "./names.ts";
import type { ClusterBug } from "./planted.ts";
import { RelayClock, type Stop } from "./relay-clock.ts";
import { type Troubles, troubled } from "./troubled-broker.ts";

const MEMORY_BYTES = 1_000_000;
const FOR_EVER_MS = 7 * DAY_MS;
const RELOAD_MS = 1_000;
const EXCHANGE_MS = 10_000;
/** How long a lane that goes to another relay may take. */
const HAND_OVER_MS = 3_000;
/** Small, so that retention has something to take. */
const MARK_EVERY_BYTES = 2_000;
const MAINTENANCE_MS = 1_000;
const GONE: ServerResponse = { status: 0, headers: {}, body: "", fault: "reset" };

export interface ClusterRelayOptions {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly cluster: SimCluster;
  readonly network: SimNetwork;
  readonly random: SeededRandom;
  readonly partitions: number;
  readonly bug: ClusterBug | undefined;
  readonly onViolation: (what: string) => void;
  /** The relay says something to its operator. */
  readonly onLine: (line: string) => void;
  /** Outcomes could not be written down in time. */
  readonly onUnwritten: () => void;
  /** A commit was answered, or was not. */
  readonly onCommit: () => void;
  /** Records of events are about to be removed. */
  readonly onRemove: () => void;
  readonly troubles: Troubles;
  readonly count: (what: string) => void;
  /** A call to the cluster failed. */
  readonly onRefused: (code: string) => void;
}

export class ClusterRelay {
  readonly #options: ClusterRelayOptions;
  readonly #clock: RelayClock;
  readonly #bodies = new BodyReader({ maxBytes: BODY_MAX_BYTES, maxTotalBytes: BODIES_MAX_BYTES });
  #alive = true;
  #isLeaving = false;
  #plan: Plan;
  #environment: ClusterEnvironment | undefined;
  #intake: Intake | undefined;
  #die: () => void = () => undefined;
  readonly #death: Promise<ServerResponse>;
  #reloading: Promise<unknown> = Promise.resolve();

  constructor(options: ClusterRelayOptions, plan: Plan) {
    this.#options = options;
    this.#plan = plan;
    this.#clock = new RelayClock(options.clock);
    this.#death = new Promise((resolve) => {
      this.#die = () => resolve(GONE);
    });
  }

  get name(): string {
    return this.#options.name;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get isStopped(): boolean {
    return this.#clock.isStopped;
  }

  /** Whether it takes requests and delivers. */
  get isUp(): boolean {
    return this.#alive && !this.#isLeaving && this.#intake !== undefined;
  }

  /** Resolves when it takes requests, or is dead. */
  async start(): Promise<void> {
    const { partitions, name, onLine, onViolation, onUnwritten } = this.#options;
    const runtime = this.#runtime();
    const plan = this.#plan;
    const ignore = (): void => undefined;
    const observer: DestinationObserver = {
      attempted: ignore,
      modeChanged: ({ environment, destination, mode, reason }) => {
        if (mode === "failed") onViolation(`${name}: a defect stopped ${environment}/${destination}: ${reason}`);
      },
      stateNotWritten: ({ error }) => {
        // Of the topics of outcomes: a commit fails in other ways.
        if ((error as { readonly code?: unknown }).code === "WAYBILL_LOG_UNAVAILABLE") onUnwritten();
      },
    };
    try {
      const environment = await ClusterEnvironment.open({
        config: configOf(plan),
        directory: "/data",
        runtime,
        dedupe: { windowMs: DAY_MS, maxIds: 10_000 },
        memory: new ReadMemory(MEMORY_BYTES),
        observer,
        report: (code, fields) => onLine(`${name} ${code} ${JSON.stringify(fields)}`),
        broker: this.#broker(),
        kafka: {
          brokers: ["sim:9092"],
          topicPrefix: TOPIC_PREFIX,
          partitions,
          replicationFactor: 3,
          minInSyncReplicas: 2,
          clientId: name,
        },
        retention: {
          maxAgeMs: FOR_EVER_MS,
          maxBytes: Number.POSITIVE_INFINITY,
          hardMaxBytes: Number.POSITIVE_INFINITY,
        },
        markEveryBytes: MARK_EVERY_BYTES,
        deadlineMs: HAND_OVER_MS,
      });
      if (!this.#alive) return;
      this.#environment = environment;
      const { sources } = configOf(this.#plan);
      this.#intake = new Intake(new SourceTable([{ environment, sources }], this.#clock), {
        clock: this.#clock,
        makeId: createUuidV7(this.#clock, runtime.random),
        limits: { ...DEFAULT_LIMITS, isUtf8 },
        observer: { requestRefused: ignore, requestRetried: ignore },
        exchangeDeadlineMs: EXCHANGE_MS,
      });
      environment.start();
      this.#maintain(environment);
      // What was to change while it started.
      if (this.#plan !== plan) this.reconfigure(this.#plan);
    } catch (error) {
      onLine(`${name} does not start: ${String(error)}`);
      this.kill();
    }
  }

  #runtime(): DiskRuntime {
    const { network, random, onViolation, bug } = this.#options;
    const transport = watched({
      transport: network.transport,
      rulesOf: (origin) => this.#rulesOf(origin),
      onViolation: (what) => onViolation(`${this.name}: ${what}`),
    });
    return {
      clock: this.#clock,
      random,
      disk: new SimDisk(random.fork()),
      transport: async (request, signal) =>
        this.#heard((bug?.relayTransport?.(transport) ?? transport)(request, signal)),
    };
  }

  /** Each partition of a destination may have its share of the requests, and at least one. */
  #rulesOf(origin: string): InFlightRules | undefined {
    const { partitions } = this.#options;
    const plan = this.#plan.destinations.find((one, place) => originOf(one.vendor ?? place) === origin);
    if (plan === undefined) return undefined;
    // Each partition has an order of arrival of its own.
    const order = plan.order === "arrival" && partitions > 1 ? "user" : plan.order;
    return { order, maxInFlight: Math.max(partitions, plan.maxInFlight) };
  }

  /** A stopped process hears later, a dead one never. */
  async #heard<T>(answering: Promise<T>): Promise<T> {
    try {
      const answer = await answering;
      await this.#clock.running();
      return answer;
    } catch (error) {
      await this.#clock.running();
      throw error;
    }
  }

  #broker(): Broker {
    const { cluster, name, bug, onRefused, onCommit, onRemove, clock, random, troubles, count } = this.#options;
    const connected = cluster.connect(name, bug?.connection ?? {});
    const broker = troubled(bug?.broker?.(connected) ?? connected, { clock, random: random.fork(), troubles, count });
    const guarded = <R>(call: () => Promise<R>): Promise<R> => {
      if (!this.#alive) return new Promise(() => undefined);
      const answering = call().catch((error: unknown) => {
        onRefused((error as { readonly code?: string }).code ?? String(error));
        throw error;
      });
      return this.#heard(answering);
    };
    return {
      describe: (asked) => guarded(() => broker.describe(asked)),
      create: (asked) => guarded(() => broker.create(asked)),
      produce: (asked) => guarded(() => broker.produce(asked)),
      fetch: (asked) => guarded(() => broker.fetch(asked)),
      offsetAt: (asked) => guarded(() => broker.offsetAt(asked)),
      removeBefore: (asked) => {
        onRemove();
        return guarded(() => broker.removeBefore(asked));
      },
      heartbeat: (asked) => guarded(() => broker.heartbeat(asked)),
      commit: (asked) => guarded(() => broker.commit(asked).finally(onCommit)),
      committed: (asked) => guarded(() => broker.committed(asked)),
      describeGroup: (asked) => guarded(() => broker.describeGroup(asked)),
      sessionOf: (asked) => guarded(() => broker.sessionOf(asked)),
      close: () => broker.close(),
    };
  }

  #maintain(environment: ClusterEnvironment): void {
    this.#clock.after(MAINTENANCE_MS, () => {
      void environment.sync().then(() => this.#maintain(environment));
    });
  }

  readonly handle: ServerHandler = async (request) => {
    const intake = this.#intake;
    if (!this.isUp || intake === undefined) return GONE;
    const answering = this.#clock.running().then(() => answerOf(intake, this.#bodies, request));
    return Promise.race([this.#heard(answering), this.#death]);
  };

  /** What it set in motion stops; what it has sent is on its way. */
  kill(): void {
    this.#alive = false;
    this.#clock.end();
    this.#options.cluster.resume(this.name);
    this.#die();
  }

  stop(how: Stop): void {
    this.#clock.stop(how);
    this.#options.cluster.pause(this.name);
  }

  go(): void {
    this.#options.cluster.resume(this.name);
    this.#clock.go();
  }

  /** Ends what is in flight and hands its lanes over; it is dead then. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#environment?.close(HAND_OVER_MS);
    this.kill();
  }

  reconfigure(plan: Plan): void {
    this.#plan = plan;
    this.#reloading = this.#reloading
      .then(async () => {
        const prepared = await this.#environment?.prepare(configOf(plan));
        await prepared?.commit(RELOAD_MS);
      })
      .catch((error: unknown) => this.#options.onLine(`${this.name} does not reload: ${String(error)}`));
  }

  /** As its maintenance does it. How much was removed. */
  async retain(limits: RetentionLimits): Promise<number> {
    return (await this.#environment?.retain(limits, this.#clock.now())) ?? 0;
  }

  get shards(): readonly Environment[] {
    return this.#alive ? (this.#environment?.shards ?? []) : [];
  }

  shard(partition: number): Environment | undefined {
    return this.shards.find(({ name }) => name === `${ENVIRONMENT}/${partition}`);
  }

  pause(index: number): void {
    for (const shard of this.shards) shard.destination(`emulator${index}`)?.pause();
  }

  resume(index: number): void {
    for (const shard of this.shards) shard.destination(`emulator${index}`)?.resume();
  }

  get heldBytes(): number {
    return this.#bodies.heldBytes;
  }
}
