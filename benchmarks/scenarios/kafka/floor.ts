/** What the library's own producer does with a relay's records, alone and with HTTP before it. */
import { KafkaBroker, openTopics } from "@waybill/log-kafka";
import { nodeClock } from "@waybill/node";
import type { FloorOrder, FloorWay } from "../../children/kafka-floor.ts";
import type { LoadOrder, LoadReport } from "../../children/load.ts";
import { Child } from "../../lib/child.ts";
import { cpuSecondsOf } from "../../lib/one-core.ts";
import { say } from "../../lib/result.ts";

export interface FloorOptions {
  readonly brokers: readonly string[];
  readonly partitions: number;
  readonly concurrency: number;
}

export interface FloorRate {
  readonly requestsPerSecond: number;
  readonly cpuMicros: number;
}

const TOPIC = "floor";
/** That a topic takes at once for a partition. */
const BATCH_EVENTS_MAX = 2_400;
/** Producers, and calls in flight of each. */
const WAYS = [
  [1, 1],
  [1, 4],
  [3, 1],
  [3, 4],
] as const;
const RETENTION = { maxAgeMs: Number.MAX_SAFE_INTEGER, hardMaxBytes: Number.MAX_SAFE_INTEGER };
const MICROS_PER_SECOND = 1_000_000;

export class Floor {
  readonly #options: FloorOptions;
  readonly #child = new Child("kafka-floor");
  readonly #loader = new Child("load");

  private constructor(options: FloorOptions) {
    this.#options = options;
  }

  /** With a topic of its own, which has the settings of a relay's. */
  static async start(options: FloorOptions): Promise<Floor> {
    const { brokers, partitions } = options;
    const broker = await KafkaBroker.connect({ brokers, clientId: "bench", clock: nodeClock });
    await openTopics(broker, nodeClock, {
      topics: [TOPIC],
      partitions,
      replicationFactor: brokers.length,
      minInSyncReplicas: Math.max(1, brokers.length - 1),
      retention: RETENTION,
      bootstrap: brokers.join(","),
    });
    await broker.close();
    return new Floor(options);
  }

  /** Takes the records of requests from the topic of a relay. */
  async read(topic: string, events: number, firstIds: readonly [number, number]): Promise<void> {
    const { brokers, partitions } = this.#options;
    await this.#child.ask({ load: { brokers, topic, partitions, events, firstIds } } satisfies FloorOrder);
  }

  /** The fastest of a few ways; `what` is measured, with requests of so many events. */
  async bestWay(what: string, events: number, measure: (way: FloorWay) => Promise<FloorRate>): Promise<FloorWay> {
    const { concurrency, partitions } = this.#options;
    let best: { readonly way: FloorWay; readonly rate: number } | undefined;
    for (const [producers, calls] of WAYS) {
      const batch = Math.min(Math.floor(concurrency / producers / calls), (BATCH_EVENTS_MAX * partitions) / events);
      const way = { producers, calls, batch: Math.max(1, batch) };
      const { requestsPerSecond: rate } = await measure(way);
      say(`${what}, ${textOf(way)}: ${Math.round(rate)} requests/s`);
      if (best === undefined || rate > best.rate) best = { way, rate };
    }
    if (best === undefined) throw new Error("there is no way to produce");
    return best.way;
  }

  /** The bare producer. */
  async run(way: FloorWay, requests: number): Promise<FloorRate> {
    return this.#measure(requests, async () => {
      const order: FloorOrder = { run: { ...way, topic: TOPIC, requests } };
      return this.#child.ask<{ readonly seconds: number }>(order);
    });
  }

  /** The same in a bare `node:http` server, under the load that relays have. */
  async serve(way: FloorWay, events: 1 | 100, requests: number): Promise<FloorRate> {
    const order: FloorOrder = { serve: { ...way, topic: TOPIC } };
    const { port } = await this.#child.ask<{ readonly port: number }>(order);
    const { concurrency: connections } = this.#options;
    return this.#measure(requests, async () => {
      const load: LoadOrder = { port, connections, events, requests, firstId: 1, bodies: "segment-many-users" };
      const report = await this.#loader.ask<LoadReport>(load);
      if (report.failed > 0) throw new Error(`${report.failed} requests to the floor failed`);
      return report;
    });
  }

  async #measure(requests: number, run: () => Promise<{ readonly seconds: number }>): Promise<FloorRate> {
    const { pid } = this.#child.process;
    const before = cpuSecondsOf(pid);
    const { seconds } = await run();
    const cpuMicros = ((cpuSecondsOf(pid) - before) * MICROS_PER_SECOND) / requests;
    return { requestsPerSecond: requests / seconds, cpuMicros };
  }

  async stop(): Promise<void> {
    await Promise.all([this.#child.stop(), this.#loader.stop()]);
  }
}

function textOf({ producers, calls, batch }: FloorWay): string {
  return `${producers} producers with ${calls} calls in flight of ${batch} requests`;
}
