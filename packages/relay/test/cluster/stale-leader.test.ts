/** Lanes whose partition is read from a broker that knows less of it than others do. */
import type { HttpRequest } from "@waybill/core";
import { type Broker, BrokerError, encodeValue, type FetchRequest } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import type { ClusterEnvironment } from "../../src/cluster/cluster-environment.ts";
import { openOn } from "./lib/environment.ts";

const TOPIC = "waybill.test";
const EVENTS = 20;
/** Records that the broker knows that is behind. */
const KNOWN = 5;
const LONG_MS = 120_000;

class World {
  readonly clock = new VirtualClock();
  readonly lines: string[] = [];
  /** Ids in the order in which the vendor got them. */
  readonly sent: string[] = [];
  /** Of each request the ids, whether it was answered or not. */
  readonly requests: string[] = [];
  hangs = false;
  readonly cluster = new SimCluster({ clock: this.clock, random: new SeededRandom(1), heartbeatIntervalMs: 200 });

  async open(name: string, around: (broker: Broker) => Partial<Broker> = () => ({})): Promise<ClusterEnvironment> {
    const broker = this.cluster.connect(name);
    const environment = await openOn({
      clock: this.clock,
      broker: { ...bound(broker), ...around(broker) },
      partitions: 1,
      transport: ({ body }) => this.#take(body),
      onLine: (line) => this.lines.push(line),
    });
    environment.start();
    return environment;
  }

  async #take(body: HttpRequest["body"]): ReturnType<Parameters<typeof openOn>[0]["transport"] & object> {
    const text = Buffer.concat(body.map((part) => Buffer.from(part as string))).toString();
    const { batch } = JSON.parse(text) as { readonly batch: readonly { readonly messageId: string }[] };
    const ids = batch.map(({ messageId }) => messageId);
    this.requests.push(ids.join());
    if (this.hangs) return new Promise(() => undefined);
    this.sent.push(...ids);
    return { status: 200, headers: {}, body: "{}" };
  }

  async produce(from: number): Promise<void> {
    const broker = this.cluster.connect("writer");
    for (let number = from; number < from + EVENTS; number++) {
      const body = Buffer.from(`{"type":"track","event":"E","userId":"u${number % 3}","messageId":"m-${number}"}`);
      const entry = { source: "web", receivedAtMs: 1, metadata: "", body: [body], ends: Uint32Array.of(body.length) };
      const request = { topic: TOPIC, partition: 0, values: [encodeValue(entry)], deadlineMs: 5_000 };
      let isDone = false;
      void broker.produce(request).then(() => (isDone = true));
      await this.clock.until(() => isDone);
    }
  }

  async close(environment: ClusterEnvironment): Promise<void> {
    let isClosed = false;
    void environment.close(1_000).then(() => (isClosed = true));
    await this.clock.until(() => isClosed);
  }
}

function bound(broker: Broker): Broker {
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
    close: () => broker.close(),
  };
}

function accountOf({ shards }: ClusterEnvironment): object | undefined {
  const { accepted, delivered, pending } = shards[0]?.destination("segment")?.account() ?? {};
  return accepted === undefined ? undefined : { accepted, delivered, pending };
}

test("a lane begins once its partition is read as far as its last owner had read it; until then it says so", async () => {
  const world = new World();
  const one = await world.open("one");
  const stale = { isStale: false };
  const atEvents = ({ topic }: { readonly topic: string }): boolean => stale.isStale && topic === TOPIC;
  const two = await world.open("two", (broker) => ({
    fetch: (asked) => (atEvents(asked) ? empty(world.clock, asked) : broker.fetch(asked)),
    offsetAt: (asked) => (atEvents(asked) ? Promise.resolve(0) : broker.offsetAt(asked)),
  }));
  await world.clock.advance(5_000);
  stale.isStale = true;
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  await world.close(one);
  await world.clock.advance(30_000);
  expect(accountOf(two)).toBeUndefined();
  expect(world.lines.filter((line) => line.startsWith("lane_not_opened"))[0]).toContain(
    `the partition was read to position 0, and its lane had come to ${EVENTS} before`,
  );
  stale.isStale = false;
  await world.produce(EVENTS);
  await world.clock.until(() => world.sent.length >= 2 * EVENTS, LONG_MS);
  await world.clock.advance(5_000);
  expect(world.sent).toHaveLength(2 * EVENTS);
  expect(accountOf(two)).toEqual({ accepted: 2 * EVENTS, delivered: 2 * EVENTS, pending: 0 });
});

test("a batch that was planned goes again as it was, although its events are not all there at first", async () => {
  const world = new World();
  const one = await world.open("one");
  const stale = { isStale: false };
  const two = await world.open("two", (broker) => ({
    fetch: async (asked) => {
      const fetched = await broker.fetch(asked);
      if (!stale.isStale || asked.topic !== TOPIC) return fetched;
      return { ...fetched, end: KNOWN, records: fetched.records.filter(({ offset }) => offset < KNOWN) };
    },
    offsetAt: async (asked) => {
      const offset = await broker.offsetAt(asked);
      return stale.isStale && asked.topic === TOPIC ? Math.min(offset, KNOWN) : offset;
    },
  }));
  await world.clock.advance(5_000);
  stale.isStale = true;
  world.hangs = true;
  await world.produce(0);
  await world.clock.until(() => world.requests.length > 0);
  const [first] = world.requests;
  await world.close(one);
  await world.clock.advance(30_000);
  const before = world.requests.length;
  stale.isStale = world.hangs = false;
  await world.clock.until(() => world.sent.length === EVENTS, LONG_MS);
  expect(world.requests.slice(0, before)).toEqual(Array.from({ length: before }, () => first));
  expect(world.requests[before]).toBe(first);
  await world.close(two);
});

test("a partition whose end seemed to be gone is opened again, and its lanes go on where they were", async () => {
  const world = new World();
  const stale = { isStale: false };
  const one = await world.open("one", (broker) => ({
    fetch: (asked) =>
      stale.isStale && asked.topic === TOPIC
        ? Promise.reject(new BrokerError("offset_out_of_range", `${asked.offset} of 0 to 3`))
        : broker.fetch(asked),
  }));
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  stale.isStale = true;
  await world.clock.advance(30_000);
  expect(world.lines.filter((line) => line.startsWith("lane_not_opened"))).not.toEqual([]);
  stale.isStale = false;
  await world.produce(EVENTS);
  await world.clock.until(() => world.sent.length >= 2 * EVENTS, LONG_MS);
  await world.clock.advance(5_000);
  expect(world.sent).toHaveLength(2 * EVENTS);
  expect(accountOf(one)).toEqual({ accepted: 2 * EVENTS, delivered: 2 * EVENTS, pending: 0 });
});

/** As of a leader that has heard of no record. */
async function empty(clock: VirtualClock, { maxWaitMs }: FetchRequest): ReturnType<Broker["fetch"]> {
  await new Promise<void>((resolve) => clock.after(maxWaitMs, resolve));
  return { records: [], end: 0, first: 0 };
}
