/**
 * The client library's own producer. Its records are those that a relay has written: `load` reads
 * them from the relay's topic, by request; `run` sends them to another topic, with nothing around
 * it; `serve` sends those of a request for each HTTP request, whose body is read and not looked at,
 * and answers 200 once they are acknowledged. Each message is answered: `load` with {}, `run` with
 * the seconds that it took, `serve` with the port, which stays the same.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
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
  readonly serve?: FloorTarget;
}

interface FloorTarget extends FloorWay {
  readonly topic: string;
}

interface FloorRun extends FloorTarget {
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

const server = createServer(accept);
const waiting: ServerResponse[] = [];
let all: readonly (readonly (Message & { readonly topic: string })[])[] = [];
let slots: typeof producers = [];
let batchMax = 1;
let nextRequest = 0;

process.on("message", (order: FloorOrder) => {
  void handle(order).then((answer) => process.send?.(answer));
});

async function handle({ load, run, serve }: FloorOrder): Promise<object> {
  if (load !== undefined) await read(load);
  if (serve !== undefined) return { port: await servePort(serve) };
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

async function produce({ requests, batch, ...target }: FloorRun): Promise<number> {
  const all = messagesFor(target);
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
  await Promise.all(slotsOf(target).map(work));
  return (performance.now() - startedAt) / 1_000;
}

/** Each request waits for a slot; what waits goes together, at most `batch` requests. */
async function servePort({ batch, ...target }: FloorTarget): Promise<number> {
  all = messagesFor(target);
  slots = slotsOf(target);
  batchMax = batch;
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function accept(request: IncomingMessage, response: ServerResponse): void {
  request.resume().on("end", () => {
    waiting.push(response);
    sendWaiting();
  });
}

function sendWaiting(): void {
  while (waiting.length > 0) {
    const slot = slots.pop();
    if (slot === undefined) return;
    void sendFor(waiting.splice(0, batchMax), slot);
  }
}

async function sendFor(responses: readonly ServerResponse[], slot: (typeof slots)[number]): Promise<void> {
  const own = slots;
  const messages = responses.flatMap(() => all[nextRequest++ % all.length] ?? []);
  const status = await slot.send({ messages, acks: ALL_REPLICAS }).then(
    () => 200,
    () => 503,
  );
  for (const response of responses) response.writeHead(status, { "content-length": 2 }).end("{}");
  own.push(slot);
  sendWaiting();
}

function messagesFor({ topic }: Pick<FloorTarget, "topic">): typeof all {
  return records.map((messages) => messages.map((message) => ({ ...message, topic })));
}

/** A producer for each call that may be in flight. */
function slotsOf({ producers: count, calls }: Pick<FloorTarget, "producers" | "calls">): typeof producers {
  while (producers.length < count) producers.push(producer());
  return producers.slice(0, count).flatMap((own) => Array.from({ length: calls }, () => own));
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
