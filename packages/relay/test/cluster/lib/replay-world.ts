/** Relays before a simulated cluster, replays asked of any of them, and a vendor that takes all. */
import type { HttpRequest, HttpResponse } from "@waybill/core";
import type { Broker } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect } from "vitest";
import type { ReplayView } from "../../../src/admin/views.ts";
import { ClusterControl } from "../../../src/cluster/cluster-control.ts";
import type { ClusterEnvironment } from "../../../src/cluster/cluster-environment.ts";
import { configOf, openOn } from "./environment.ts";
import { storedEvent } from "./stored-event.ts";

export const PARTITIONS = 3;
export const BATCH = 4;
/** The whole log, to the only destination. */
export const ALL = { destination: "segment", filter: {} };
const TOPIC = "waybill.test";

export interface Request {
  readonly relay: string;
  readonly ids: readonly string[];
}

export interface TestRelay {
  readonly name: string;
  readonly control: ClusterControl;
  readonly environment: ClusterEnvironment;
  /** As if its process were killed: nothing that it does from now on reaches anybody. */
  kill(): void;
  stop(): Promise<void>;
}

export interface RelayOptions {
  readonly around?: (broker: Broker, relay: () => TestRelay) => Broker;
  /** Of a batch. */
  readonly maxEvents?: number;
}

export class ReplayWorld {
  readonly clock = new VirtualClock();
  readonly cluster = new SimCluster({ clock: this.clock, random: new SeededRandom(1), heartbeatIntervalMs: 200 });
  readonly lines: string[] = [];
  readonly requests: Request[] = [];
  /** Waits before it answers, ms. */
  latencyMs = 5;
  status = 200;
  /** Called with each request that arrives. */
  onRequest: (request: Request) => void = () => undefined;
  readonly #running = new Set<TestRelay>();

  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = (): void => void (isSettled = true);
    promise.then(settled, settled);
    await this.clock.until(() => isSettled);
    return promise;
  }

  async start(name: string, { around = (one) => one, maxEvents = BATCH }: RelayOptions = {}): Promise<TestRelay> {
    const { clock, cluster, lines } = this;
    const relay = (): TestRelay => started;
    const broker = around(cluster.connect(name), relay);
    let isDead = false;
    let environment: ClusterEnvironment | undefined;
    const control = await this.run(
      ClusterControl.open({
        broker,
        clock,
        random: new SeededRandom(name.length),
        kafka: {
          brokers: ["kafka:9092"],
          topicPrefix: "waybill",
          partitions: PARTITIONS,
          replicationFactor: 3,
          minInSyncReplicas: 2,
          clientId: name,
        },
        carryOut: {
          steer: ({ destination }) => environment?.steer(destination),
          replay: () => environment?.replaysChanged(),
          adopt: () => Promise.resolve(),
          reload: () => Promise.resolve({ ok: true, changed: [], errors: [] }),
          lanes: () => environment?.laneEntries() ?? [],
          config: () => ({ configDigest: "abc" }),
          faults: () => [],
        },
        report: (code) => void lines.push(`${name} ${code}`),
        name,
        version: "1",
      }),
    );
    environment = await openOn({
      clock,
      broker,
      partitions: PARTITIONS,
      transport: (request, signal) => (isDead ? never() : this.#take(name, request, signal)),
      onLine: (line) => lines.push(`${name} ${line}`),
      holds: control,
      records: control,
      config: configOf("old", { batch: { maxEvents, linger: 5 }, maxInFlight: 1 }),
    });
    await this.run(control.start());
    environment.start();
    const started: TestRelay = {
      name,
      control,
      environment,
      kill: () => {
        isDead = true;
        cluster.isolate(name);
        this.#running.delete(started);
      },
      stop: async () => {
        this.#running.delete(started);
        await this.run(environment.close(1_000));
        await this.run(control.stop());
      },
    };
    this.#running.add(started);
    return started;
  }

  isRunning(name: string): boolean {
    return [...this.#running].some((relay) => relay.name === name);
  }

  /** All that still run. */
  async end(): Promise<void> {
    for (const relay of this.#running) await relay.stop();
  }

  async #take(relay: string, { body }: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const text = Buffer.concat(body.map((part) => Buffer.from(part as string))).toString();
    const { batch } = JSON.parse(text) as { readonly batch: readonly { readonly messageId: string }[] };
    const request = { relay, ids: batch.map(({ messageId }) => messageId) };
    this.requests.push(request);
    this.onRequest(request);
    await new Promise<void>((resolve, reject) => {
      this.clock.after(this.latencyMs, resolve);
      signal.addEventListener("abort", () => reject(new Error("aborted")));
    });
    return { status: this.status, headers: {}, body: "{}" };
  }

  /** One event in each record, from `from` on in each partition: `p<partition>-<number>`. */
  async produce(count: number, from = 0): Promise<void> {
    const broker = this.cluster.connect("writer");
    for (let partition = 0; partition < PARTITIONS; partition++)
      for (let number = from; number < from + count; number++) {
        const id = `p${partition}-${number}`;
        const values = [storedEvent(id, `u${number % 3}`, number % 2 === 0 ? "Even" : "Odd")];
        await this.run(broker.produce({ topic: TOPIC, partition, values, deadlineMs: 5_000 }));
      }
  }

  /** Produces, and waits until the lanes have delivered it; then forgets these requests. */
  async delivered(count: number): Promise<void> {
    await this.produce(count);
    await this.clock.until(() => this.sent.length === count * PARTITIONS);
    this.requests.length = 0;
  }

  /** Ids in the order in which the vendor got them. */
  get sent(): readonly string[] {
    return this.requests.flatMap(({ ids }) => ids);
  }

  /** As `GET /v1/replays` of this relay alone shows it. */
  async view({ environment }: TestRelay, id: string): Promise<ReplayView | undefined> {
    const running = environment.shards.flatMap(({ replays }) => replays.views());
    const views = await this.run(environment.clusterReplays.views(running));
    return views.find((view) => view.id === id);
  }

  /** Reading yields to the real event loop. */
  async pass(ms: number): Promise<void> {
    await new Promise<void>((resume) => setImmediate(resume));
    await this.clock.advance(ms);
  }

  async ended(relay: TestRelay, id: string): Promise<ReplayView> {
    for (let seconds = 0; seconds < 600; seconds++) {
      const view = await this.view(relay, id);
      if (view?.state === "done") return view;
      await this.pass(1_000);
    }
    throw new Error(`not ended: ${JSON.stringify(await this.view(relay, id))} ${this.lines.slice(-5).join("\n")}`);
  }

  /** Whether each relay has lanes, and together they have all. */
  areShared(...relays: readonly TestRelay[]): boolean {
    const counts = relays.map(({ environment }) => environment.laneEntries().length);
    return counts.every((count) => count > 0) && counts.reduce((sum, count) => sum + count, 0) === PARTITIONS;
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** `p0-0`, `p0-1` … of all partitions, in order. */
export function idsOf(count: number): readonly string[] {
  return Array.from({ length: PARTITIONS }, (_, partition) =>
    Array.from({ length: count }, (__, number) => `p${partition}-${number}`),
  )
    .flat()
    .toSorted();
}

/** Each event went out, in the order of its partition; what did twice went as the same batch. */
export function expectAllOnce({ requests, sent }: ReplayWorld, count: number): number {
  expect([...new Set(sent)].toSorted()).toEqual(idsOf(count));
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const own = sent.filter((id) => id.startsWith(`p${partition}-`)).map((id) => Number(id.slice(3)));
    const first = [...new Set(own)];
    expect(first).toEqual(first.toSorted((a, b) => a - b));
  }
  const batches = requests.map(({ ids }) => ids.join());
  const twice = sent.length - new Set(sent).size;
  const again = batches.filter((batch, index) => batches.indexOf(batch) < index);
  expect(again.flatMap((batch) => batch.split(","))).toHaveLength(twice);
  return twice;
}
