/** A server that speaks as much of Kafka's protocol as a test wants, and answers what it wants. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Reader, Writer } from "@platformatic/kafka";
import { onTestFinished } from "vitest";

export const API = {
  produce: 0,
  fetch: 1,
  metadata: 3,
  commit: 8,
  findCoordinator: 10,
  saslHandshake: 17,
  apiVersions: 18,
  saslAuthenticate: 36,
  heartbeat: 68,
} as const;
/** For `vi.waitFor`, of what sockets do: no clock moves them, and a busy machine is slow. */
export const BY_SOCKETS = { timeout: 20_000, interval: 2 };
/** Their answers have a shorter header. */
const WITHOUT_TAGS: readonly number[] = [API.apiVersions, API.saslHandshake];
const MAX_VERSION = 20;
const LENGTH_BYTES = 4;
const SUPPORTED_FEATURES = 0;
const UNKNOWN_TAG = 1;
const TOPIC_ID = "00000000-0000-0000-0000-0000000000aa";

/** Answers a request, whose body is read on; `undefined`: never. */
export type Answer = (socket: Socket, request: Reader) => Writer | undefined | Promise<Writer>;

export class FakeKafka {
  /** By API, how often it was called. */
  readonly calls = new Map<number, number>();
  readonly answers = new Map<number, Answer>();
  readonly #server = createServer((socket) => this.#serve(socket));
  readonly #sockets = new Set<Socket>();
  /** Versions of features that it supports, by name: lowest and highest. */
  features: Readonly<Record<string, readonly [number, number]>> = { "metadata.version": [7, 30] };
  /** APIs that it does not have. */
  readonly #lacks: readonly number[];

  private constructor(lacks: readonly number[]) {
    this.#lacks = lacks;
    this.answers.set(API.apiVersions, () => this.#versions());
    this.answers.set(API.metadata, () => this.metadata());
    this.answers.set(API.findCoordinator, () => this.coordinator());
  }

  static async start(lacks: readonly number[] = []): Promise<FakeKafka> {
    const fake = new FakeKafka(lacks);
    fake.#server.listen(0, "127.0.0.1");
    await once(fake.#server, "listening");
    onTestFinished(() => {
      for (const socket of fake.#sockets) socket.destroy();
      fake.#server.close();
    });
    return fake;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  callsOf(key: number): number {
    return this.calls.get(key) ?? 0;
  }

  /** The topic `t`, with one partition by default, which this broker leads. */
  metadata(leader = 1, partitions = 1): Writer {
    return Writer.create()
      .appendInt32(0)
      .appendArray([1], (w, id) =>
        w.appendInt32(id).appendString("127.0.0.1").appendInt32(this.port).appendString(null),
      )
      .appendString("cluster")
      .appendInt32(1)
      .appendArray(["t"], (w, name) =>
        w
          .appendInt16(0)
          .appendString(name)
          .appendUUID(TOPIC_ID)
          .appendBoolean(false)
          .appendArray([...new Array(partitions).keys()], (partition, index) => {
            partition.appendInt16(0).appendInt32(index).appendInt32(leader).appendInt32(1);
            for (const ids of [[1], [1], []]) partition.appendArray(ids, (one, id) => one.appendInt32(id), true, false);
          })
          .appendInt32(0),
      )
      .appendTaggedFields();
  }

  #versions(): Writer {
    const keys = Array.from({ length: 100 }, (_, key) => key).filter((key) => !this.#lacks.includes(key));
    return Writer.create()
      .appendInt16(0)
      .appendArray(keys, (w, key) => w.appendInt16(key).appendInt16(0).appendInt16(MAX_VERSION))
      .appendInt32(0)
      .appendUnsignedVarInt(2)
      .appendFrom(tag(UNKNOWN_TAG, Writer.create().appendInt64(1n)))
      .appendFrom(tag(SUPPORTED_FEATURES, this.#features()));
  }

  #features(): Writer {
    return Writer.create().appendArray(Object.entries(this.features), (w, [name, [lowest, highest]]) =>
      w.appendString(name).appendInt16(lowest).appendInt16(highest),
    );
  }

  /** Who coordinates the group `g`. */
  coordinator(port: number = this.port): Writer {
    return Writer.create()
      .appendInt32(0)
      .appendArray(["g"], (w, group) =>
        w
          .appendString(group)
          .appendInt32(1)
          .appendString("127.0.0.1")
          .appendInt32(port)
          .appendInt16(0)
          .appendString(null),
      )
      .appendTaggedFields();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= LENGTH_BYTES && received.length >= LENGTH_BYTES + received.readInt32BE(0)) {
        const length = received.readInt32BE(0);
        void this.#answer(socket, Reader.from(received.subarray(LENGTH_BYTES, LENGTH_BYTES + length)));
        received = received.subarray(LENGTH_BYTES + length);
      }
    });
  }

  async #answer(socket: Socket, request: Reader): Promise<void> {
    const key = request.readInt16();
    request.readInt16();
    const id = request.readInt32();
    request.readNullableString(false);
    request.readTaggedFields();
    this.calls.set(key, this.callsOf(key) + 1);
    const body = await this.answers.get(key)?.(socket, request);
    if (body === undefined) return;
    const answer = Writer.create().appendInt32(id);
    if (!WITHOUT_TAGS.includes(key)) answer.appendTaggedFields();
    socket.write(answer.appendFrom(body).prependLength().buffer);
  }
}

function tag(number: number, content: Writer): Writer {
  return Writer.create().appendUnsignedVarInt(number).appendUnsignedVarInt(content.length).appendFrom(content);
}

/** Partitions of the one topic of a produce request. */
export function partitionsOf(request: Reader, onBatch: (batch: Buffer) => void = () => {}): readonly number[] {
  request.readNullableString();
  request.readInt16();
  request.readInt32();
  return partitionsIn(request, (partition) => onBatch(partition.readBytes()));
}

/** Of the topics that follow; `rest` reads what a partition has after its number. */
function partitionsIn(request: Reader, rest: (partition: Reader) => unknown): readonly number[] {
  return request
    .readArray((topic) => {
      topic.readString();
      return topic.readArray((partition) => {
        const index = partition.readInt32();
        rest(partition);
        return index;
      });
    })
    .flat();
}

/** Of a produce request to the topic `t`; `errors` has those of partitions that have others. */
export function producedAnswer(
  errorCode: number,
  offset: number,
  partitions: readonly number[] = [0],
  errors: ReadonlyMap<number, number> = new Map(),
): Writer {
  return Writer.create()
    .appendArray(["t"], (w, name) =>
      w.appendString(name).appendArray([...partitions], (partition, index) =>
        partition
          .appendInt32(index)
          .appendInt16(errors.get(index) ?? errorCode)
          .appendInt64(BigInt(offset))
          .appendInt64(-1n)
          .appendInt64(0n)
          .appendArray([], () => {})
          .appendString(null),
      ),
    )
    .appendInt32(0)
    .appendTaggedFields();
}

/** Of a heartbeat: nothing has changed for the member. */
export function heartbeatAnswer(memberEpoch: number, errorCode = 0): Writer {
  return Writer.create()
    .appendInt32(0)
    .appendInt16(errorCode)
    .appendString(null)
    .appendString(null)
    .appendInt32(memberEpoch)
    .appendInt32(1000)
    .appendInt8(-1)
    .appendTaggedFields();
}

/** Partitions of the one topic of a fetch request. */
export function fetchedFrom(request: Reader): readonly number[] {
  request.readInt32();
  request.readInt32();
  request.readInt32();
  request.readInt32();
  request.readInt8();
  request.readInt32();
  request.readInt32();
  return partitionsIn(request, (partition) => {
    partition.readInt32();
    partition.readInt64();
    partition.readInt32();
    partition.readInt64();
    partition.readInt32();
  });
}

export interface FetchedPartition {
  readonly errorCode?: number;
  readonly batches?: Buffer;
  /** A field that the client does not know. */
  readonly tag?: Buffer;
}

/** Of a fetch from partition 0 of the topic `t`. */
export function fetchedAnswer(batches: Buffer): Writer {
  return fetchedAnswers(new Map([[0, { batches }]]));
}

/** Of a fetch from the topic `t`. */
export function fetchedAnswers(partitions: ReadonlyMap<number, FetchedPartition>): Writer {
  return Writer.create()
    .appendInt32(0)
    .appendInt16(0)
    .appendInt32(0)
    .appendArray(["t"], (w, name) =>
      w.appendString(name).appendArray(
        [...partitions],
        (
          partition,
          [index, { errorCode = 0, batches = Buffer.alloc(0), tag }]: readonly [number, FetchedPartition],
        ) => {
          partition
            .appendInt32(index)
            .appendInt16(errorCode)
            .appendInt64(9n)
            .appendInt64(9n)
            .appendInt64(0n)
            .appendArray([], () => {})
            .appendInt32(-1)
            .appendBytes(batches);
          if (tag === undefined) partition.appendTaggedFields();
          else partition.appendUnsignedVarInt(1).appendUnsignedVarInt(1).appendUnsignedVarInt(tag.length).append(tag);
        },
        true,
        false,
      ),
    )
    .appendTaggedFields();
}
