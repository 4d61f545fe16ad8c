/**
 * The client library's own producer, with nothing around it. Its records are those that a relay has
 * written: `load` reads them from the relay's topic, by request; `run` sends them to another topic.
 * Each message is answered, `load` with {}, `run` with the seconds that it took.
 */
import { Producer } from "@platformatic/kafka";
import { decodeValue, KafkaBroker } from "@waybill/log-kafka";
import { nodeClock } from "@waybill/node";
import { recordsOf } from "../chaos/cluster/ledgers.ts";

export interface FloorOrder {
  readonly load?: {
    readonly brokers: readonly string[];
    readonly topic: string;
    readonly partitions: number;
    /** Of each request. */
    readonly events: number;
    /** Those whose first events have these numbers: from, and up to but not including. */
    readonly firstIds: readonly [number, number];
  };
  readonly run?: FloorRun;
}

export interface FloorRun extends FloorWay {
  readonly topic: string;
  /** In all. */
  readonly requests: number;
}

/** `producers` times `calls` times `batch` requests are under way at once. */
export interface FloorWay {
  /** Each has a connection to each broker. */
  readonly producers: number;
  /** In flight of each producer. */
  readonly calls: number;
  /** Requests whose records share a call. */
  readonly batch: number;
}

interface Message {
  readonly partition: number;
  readonly value: Buffer;
}

const ID_MARK = '"messageId":"';
const DIGITS_AT = ID_MARK.length + 24;
const DIGITS = 12;
const ALL_REPLICAS = -1;

let brokers: readonly string[] = [];
/** By request. */
let records: readonly (readonly Message[])[] = [];
const producers: Producer<Buffer, Buffer, Buffer, Buffer>[] = [];

process.on("message", (order: FloorOrder) => {
  void handle(order).then((answer) => process.send?.(answer));
});

async function handle({ load, run }: FloorOrder): Promise<object> {
  if (load !== undefined) await read(load);
  return run === undefined ? {} : { seconds: await produce(run) };
}

async function read({
  brokers: addresses,
  topic,
  partitions,
  events,
  firstIds,
}: NonNullable<FloorOrder["load"]>): Promise<void> {
  brokers = addresses;
  const broker = await KafkaBroker.connect({ brokers, clientId: "floor", clock: nodeClock });
  const byRequest = new Map<number, Message[]>();
  for (let partition = 0; partition < partitions; partition++)
    for await (const { value } of recordsOf(broker, { topic, partition })) {
      const number = firstNumberOf(value);
      if (number < firstIds[0] || number >= firstIds[1]) continue;
      const request = Math.floor((number - firstIds[0]) / events);
      const messages = byRequest.get(request) ?? [];
      byRequest.set(request, messages);
      messages.push({ partition, value: Buffer.from(value) });
    }
  records = [...byRequest.values()];
  await broker.close();
}

function firstNumberOf(value: Uint8Array): number {
  const body = Buffer.from(decodeValue(value)?.body ?? []);
  const at = body.indexOf(ID_MARK) + DIGITS_AT;
  return Number.parseInt(body.toString("latin1", at, at + DIGITS), 16);
}

async function produce({ topic, requests, producers: count, calls, batch }: FloorRun): Promise<number> {
  while (producers.length < count) producers.push(producer());
  const all = records.map((messages) => messages.map((message) => ({ ...message, topic })));
  let sent = 0;
  const work = async (own: (typeof producers)[number]): Promise<void> => {
    while (sent < requests) {
      const from = sent;
      sent = Math.min(requests, sent + batch);
      const messages: (typeof all)[number][number][] = [];
      for (let request = from; request < sent; request++) messages.push(...(all[request % all.length] ?? []));
      await own.send({ messages, acks: ALL_REPLICAS });
    }
  };
  const startedAt = performance.now();
  const used = producers.slice(0, count);
  await Promise.all(used.flatMap((own) => Array.from({ length: calls }, () => work(own))));
  return (performance.now() - startedAt) / 1_000;
}

function producer(): (typeof producers)[number] {
  return new Producer({
    clientId: "floor",
    bootstrapBrokers: [...brokers],
    autocreateTopics: false,
    maxInflights: 1_000,
    retries: 0,
  });
}
