/** Relays before a simulated cluster with one partition, and a vendor that takes everything. */
import type { HttpRequest, HttpResponse } from "@waybill/core";
import type { Broker } from "@waybill/log-kafka";
import { SeededRandom, type SimDisk, VirtualClock } from "@waybill/testing";
import { SimCluster, type SimClusterOptions } from "@waybill/testing/kafka";
import type { ClusterEnvironment } from "../../../src/cluster/cluster-environment.ts";
import { type ClusterOptions, openOn } from "./environment.ts";
import { storedEvent } from "./stored-event.ts";

export const TOPIC = "waybill.test";
/** Of one call of `produce`. */
export const EVENTS = 20;

export class OnePartition {
  readonly clock = new VirtualClock();
  readonly lines: string[] = [];
  /** Ids in the order in which the vendor got them. */
  readonly sent: string[] = [];
  /** Of each request the ids, whether it was answered or not. */
  readonly requests: string[] = [];
  hangs = false;
  /** Of all relays. Default: each has its own. */
  disk: SimDisk | undefined;
  status = 200;
  readonly dedupe: NonNullable<ClusterOptions["dedupe"]> = { windowMs: 86_400_000, maxIds: 1_000 };
  settings: Pick<ClusterOptions, "relays" | "config"> = {};
  readonly cluster: SimCluster;

  constructor(settings: Partial<SimClusterOptions> = {}) {
    const own = { clock: this.clock, random: new SeededRandom(1), heartbeatIntervalMs: 200 };
    this.cluster = new SimCluster({ ...own, ...settings });
  }

  async open(name: string, around: (broker: Broker) => Partial<Broker> = () => ({})): Promise<ClusterEnvironment> {
    const broker = this.cluster.connect(name);
    const environment = await openOn({
      clock: this.clock,
      broker: { ...bound(broker), ...around(broker) },
      partitions: 1,
      dedupe: this.dedupe,
      disk: this.disk,
      ...this.settings,
      transport: ({ body }) => this.#take(body),
      onLine: (line) => this.lines.push(line),
    });
    environment.start();
    return environment;
  }

  async #take(body: HttpRequest["body"]): Promise<HttpResponse> {
    const text = Buffer.concat(body.map((part) => Buffer.from(part as string))).toString();
    const { batch } = JSON.parse(text) as { readonly batch: readonly { readonly messageId: string }[] };
    const ids = batch.map(({ messageId }) => messageId);
    this.requests.push(ids.join());
    if (this.hangs) return new Promise(() => undefined);
    this.sent.push(...ids);
    return { status: this.status, headers: {}, body: "{}" };
  }

  async produce(from: number): Promise<void> {
    for (let number = from; number < from + EVENTS; number++) await this.store([number]);
  }

  /** The events with these numbers, in one call. */
  async store(numbers: readonly number[]): Promise<void> {
    const values = numbers.map((number) => storedEvent(`m-${number}`, `u${number % 3}`));
    let isDone = false;
    const stored = this.cluster.connect("writer").produce({ topic: TOPIC, partition: 0, values, deadlineMs: 5_000 });
    void stored.then(() => (isDone = true));
    await this.clock.until(() => isDone);
  }

  async close(environment: ClusterEnvironment): Promise<void> {
    let isClosed = false;
    void environment.close(1_000).then(() => (isClosed = true));
    await this.clock.until(() => isClosed);
  }
}

export function bound(broker: Broker): Broker {
  return {
    describe: (asked) => broker.describe(asked),
    create: (asked) => broker.create(asked),
    produce: (asked) => broker.produce(asked),
    fetch: (asked) => broker.fetch(asked),
    offsetAt: (asked) => broker.offsetAt(asked),
    removeBefore: (asked) => broker.removeBefore(asked),
    heartbeat: (asked) => broker.heartbeat(asked),
    commit: (asked) => broker.commit(asked),
    committed: (asked) => broker.committed(asked),
    describeGroup: (asked) => broker.describeGroup(asked),
    sessionOf: (asked) => broker.sessionOf(asked),
    close: () => broker.close(),
  };
}

export function accountOf({
  shards,
}: ClusterEnvironment): Record<"accepted" | "delivered" | "pending", number | undefined> | undefined {
  const { accepted, delivered, pending } = shards[0]?.destination("segment")?.account() ?? {};
  return accepted === undefined ? undefined : { accepted, delivered, pending };
}
