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
import { ownerOf } from "../../packages/relay/src/admin/cluster/cluster-view.ts";
import { ClusterControl } from "../../packages/relay/src/cluster/cluster-control.ts";
import { ClusterEnvironment } from "../../packages/relay/src/cluster/cluster-environment.ts";
import type { ExchangePlace } from "../../packages/relay/src/cluster/cluster-exchanges.ts";
import type { ExchangeAnswer } from "../../packages/relay/src/delivery/exchanges.ts";
import { type InFlightRules, watched } from "../in-flight.ts";
import { type ReplayRequest, replayRequestOf } from "../replayed.ts";
import { answerOf, BODIES_MAX_BYTES, BODY_MAX_BYTES, configOf, DAY_MS, originOf, type Plan } from "../sim-relay.ts";
import { withCallers } from "./callers.ts";
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
  /** Whether operators can ask it for replays. */
  readonly isOperated: boolean;
  /** Absent: it has no callers that wait for a vendor's answer. */
  readonly callers: CallersOfRelay | undefined;
  /** It sends something of a replay. */
  readonly onReplayRequest: (relay: ClusterRelay, request: ReplayRequest) => void;
}

export interface CallersOfRelay {
  /** Asks the relay with this id, which may be gone. */
  readonly answerFrom: (id: string, place: ExchangePlace, deadlineMs: number) => Promise<ExchangeAnswer>;
  /** For how long a caller has waited, by the relay's clock. */
  readonly onAnswered: (waitedMs: number, deadlineMs: number) => void;
}

export class ClusterRelay {
  readonly #options: ClusterRelayOptions;
  readonly #clock: RelayClock;
  readonly #bodies = new BodyReader({ maxBytes: BODY_MAX_BYTES, maxTotalBytes: BODIES_MAX_BYTES });
  #alive = true;
  #isLeaving = false;
  #plan: Plan;
  #environment: ClusterEnvironment | undefined;
  #control: ClusterControl | undefined;
  /** How often it was stopped. */
  stops = 0;
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

  /** What operators ask of it; `undefined` while it does not take requests. */
  get operated(): { readonly environment: ClusterEnvironment; readonly control: ClusterControl } | undefined {
    const environment = this.#environment;
    const control = this.#control;
    return this.isUp && environment !== undefined && control !== undefined ? { environment, control } : undefined;
  }

  get sendsReplay(): boolean {
    return this.shards.some(({ replays }) => replays.views().some(({ state }) => state === "running"));
  }

  /** Resolves when it takes requests, or is dead. */
  async start(): Promise<void> {
    const { name, onLine, onViolation, onUnwritten } = this.#options;
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
      const broker = this.#broker();
      const control = await this.#openControl(broker, runtime);
      if (!this.#alive) return;
      const environment = await ClusterEnvironment.open({
        config: this.#configOf(plan),
        directory: "/data",
        runtime,
        dedupe: { windowMs: DAY_MS, maxIds: 10_000 },
        memory: new ReadMemory(MEMORY_BYTES),
        observer,
        report: (code, fields) => onLine(`${name} ${code} ${JSON.stringify(fields)}`),
        broker,
        kafka: this.#kafka,
        ...(control === undefined ? {} : { holds: control, records: control, relays: control.directory }),
        answerFromOwner: control && this.#answerFromOwner(control),
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
      this.#control = control;
      this.#watchCallers(environment);
      const { sources } = this.#configOf(this.#plan);
      this.#intake = new Intake(new SourceTable([{ environment, sources }], this.#clock), {
        clock: this.#clock,
        makeId: createUuidV7(this.#clock, runtime.random),
        limits: { ...DEFAULT_LIMITS, isUtf8 },
        observer: { requestRefused: ignore, requestRetried: ignore },
        exchangeDeadlineMs: EXCHANGE_MS,
      });
      await control?.start();
      if (!this.#alive) return;
      environment.start();
      this.#maintain(environment);
      // What was to change while it started.
      if (this.#plan !== plan) this.reconfigure(this.#plan);
    } catch (error) {
      onLine(`${name} does not start: ${String(error)}`);
      this.kill();
    }
  }

  get #kafka(): Parameters<typeof ClusterControl.open>[0]["kafka"] {
    const { partitions, name } = this.#options;
    return {
      brokers: ["sim:9092"],
      topicPrefix: TOPIC_PREFIX,
      partitions,
      replicationFactor: 3,
      minInSyncReplicas: 2,
      clientId: name,
    };
  }

  #configOf(plan: Plan): ReturnType<typeof configOf> {
    return this.#options.callers === undefined ? configOf(plan) : withCallers(configOf(plan));
  }

  async #openControl(broker: Broker, { random }: DiskRuntime): Promise<ClusterControl | undefined> {
    const { name, onLine, isOperated, callers } = this.#options;
    if (!isOperated && callers === undefined) return undefined;
    return ClusterControl.open({
      broker,
      clock: this.#clock,
      random,
      kafka: this.#kafka,
      carryOut: {
        steer: ({ destination }) => this.#environment?.steer(destination),
        replay: () => this.#environment?.replaysChanged(),
        adopt: () => Promise.resolve(),
        reload: () => Promise.resolve({ ok: true, changed: [], errors: [] }),
        lanes: () => this.#environment?.laneEntries() ?? [],
        faults: () => [],
        config: () => ({ configDigest: "" }),
      },
      report: (code, fields) => onLine(`${name} ${code} ${JSON.stringify(fields)}`),
      name,
      version: "1",
    });
  }

  /** As the admin API asks it, but for HTTP. */
  #answerFromOwner({
    directory,
  }: ClusterControl): (place: ExchangePlace, deadlineMs: number) => Promise<ExchangeAnswer> {
    return async (place, deadlineMs) => {
      const owner = ownerOf(directory.relays(), place);
      if (owner === undefined || owner.isSelf) return "nobody";
      return this.#heard(this.#options.callers?.answerFrom(owner.id, place, deadlineMs) ?? Promise.resolve("nobody"));
    };
  }

  #watchCallers({ exchanges }: ClusterEnvironment): void {
    const { callers } = this.#options;
    if (callers === undefined) return;
    const answerTo = exchanges.answerTo.bind(exchanges);
    exchanges.answerTo = async (exchange, deadlineMs) => {
      const startedAtMs = this.#clock.monotonic();
      const { stops } = this;
      const answer = await answerTo(exchange, deadlineMs);
      // A process that was stopped answers when it goes on.
      if (stops === this.stops) callers.onAnswered(this.#clock.monotonic() - startedAtMs, deadlineMs);
      return answer;
    };
  }

  #runtime(): DiskRuntime {
    const { network, random, onViolation, bug, onReplayRequest } = this.#options;
    const transport = watched({
      transport: (request, signal) => {
        const replay = replayRequestOf(request);
        if (replay !== undefined) onReplayRequest(this, replay);
        return network.transport(request, signal);
      },
      isReplay: (request) => replayRequestOf(request) !== undefined,
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
    this.stops += 1;
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
    await this.#control?.stop();
    this.kill();
  }

  reconfigure(plan: Plan): void {
    this.#plan = plan;
    this.#reloading = this.#reloading
      .then(async () => {
        const prepared = await this.#environment?.prepare(this.#configOf(plan));
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

  /** Of the process; empty before it is known to others. */
  get id(): string {
    return this.#control?.directory.selfId ?? "";
  }

  /** For a caller at another relay. */
  async answerHere(place: ExchangePlace, deadlineMs: number): Promise<ExchangeAnswer> {
    await this.#clock.running();
    if (!this.#alive) return new Promise(() => undefined);
    return this.#heard(this.#environment?.answerHere(place, deadlineMs) ?? Promise.resolve("nobody"));
  }

  get heldBytes(): number {
    return this.#bodies.heldBytes;
  }
}
