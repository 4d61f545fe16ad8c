import type { Clock } from "@waybill/core";
import {
  type Broker,
  BrokerError,
  type CommitRequest,
  type CommittedOffset,
  type CommittedRequest,
  type Deadline,
  type Fetched,
  type FetchRequest,
  type GroupDescription,
  type Heartbeat,
  type HeartbeatAnswer,
  type NewTopic,
  type Offset,
  type Produced,
  type ProduceRequest,
  type TopicDescription,
  type TopicPartition,
} from "./broker.ts";
import { configsCall, groupConfigsCall, isCreated, newTopicCall } from "./kafka/admin.ts";
import { failureOf } from "./kafka/failures.ts";
import { commitCall, committedCall, type HeartbeatReply, heartbeatCall } from "./kafka/groups.ts";
import { type Library, loadLibrary } from "./kafka/library.ts";
import type { Address } from "./kafka/link.ts";
import { Links, type Use } from "./kafka/links.ts";
import { Metadata } from "./kafka/metadata.ts";
import { removeCall, timeCall } from "./kafka/offsets.ts";
import { addressesOf, type KafkaOptions } from "./kafka/options.ts";
import { decodeBatches } from "./kafka/record-batches.ts";
import { type Call, describeGroupCall, type FetchAnswer, type ProduceAnswer, placeName } from "./kafka/requests.ts";
import { SharedFetch } from "./kafka/shared-fetch.ts";
import { SharedProduce } from "./kafka/shared-produce.ts";
import { Within } from "./kafka/within.ts";

/** So often a new topic is looked at until all its partitions have a leader. */
const LOOK_EVERY_MS = 25;
const GROUP_ID_NOT_FOUND = 69;
const LEFT = -1;

/**
 * A real cluster: Kafka 4.0 or later, and 4.3 for heartbeats. Each call is made once, to the broker
 * that is responsible as far as is known; after a failure that is looked up again before the next
 * call.
 */
export class KafkaBroker implements Broker {
  readonly #clock: Clock;
  readonly #library: Library;
  readonly #links: Links;
  readonly #metadata: Metadata;
  readonly #produce: SharedProduce;
  readonly #fetch: SharedFetch;
  /** By member, the topics of its last heartbeat that named some. */
  readonly #subscribed = new Map<string, readonly string[]>();

  private constructor(library: Library, { brokers, clock, clientId, tls, sasl }: KafkaOptions) {
    this.#clock = clock;
    this.#library = library;
    const bootstrap = addressesOf(brokers);
    this.#links = new Links({ library, clock, clientId, tls, sasl });
    this.#metadata = new Metadata({ library, clock, links: this.#links, bootstrap });
    this.#produce = new SharedProduce(library, this.#links, clock);
    this.#fetch = new SharedFetch(library, this.#links, clock);
  }

  /**
   * Connects with the first call. **Errors**: a `WaybillError` of code `WAYBILL_CONFIG` when the
   * client library is not installed, or an address is not one.
   */
  static async connect(options: KafkaOptions): Promise<Broker> {
    return new KafkaBroker(await loadLibrary(), options);
  }

  async describe(asked: Deadline & { readonly topics: readonly string[] }): Promise<readonly TopicDescription[]> {
    const within = this.#within(asked, "describe topics");
    const found = await this.#metadata.topics(asked.topics, within);
    if (found.size === 0) return [];
    const configs = await this.#metadata.query(configsCall(this.#library, [...found.keys()]), within);
    return [...found].map(([topic, { partitions }]) => ({ topic, partitions, configs: configs.get(topic) ?? {} }));
  }

  async create(topic: NewTopic & Deadline): Promise<void> {
    const within = this.#within(topic, `create ${topic.topic}`);
    const address = await this.#metadata.anyNode(within);
    const call = newTopicCall(this.#library, topic, within.leftWholeMs);
    try {
      const { errorCode, errorMessage } = await this.#links.to(address, "admin").call(call, within);
      if (errorCode !== 0) throw failureOf(errorCode, `${within.what}: ${errorMessage}`);
    } catch (error) {
      if ((error as BrokerError).isTransient) this.#metadata.forgetNode(address);
      throw error;
    }
    // Its leaders are elected after the answer, and know it later than others.
    while (!(await this.#isServed(topic, within))) await within.pause(LOOK_EVERY_MS);
  }

  async produce(request: ProduceRequest): Promise<Produced> {
    const within = this.#within(request, `produce to ${placeName(request)}`);
    if (request.values.length === 0) throw new BrokerError("invalid", `${within.what}: no records`);
    const { topic, partition } = request;
    const send = (leader: Address): Promise<ProduceAnswer> =>
      this.#produce.send(leader, { topic, partition, records: request, within });
    const { baseOffset: offset, appendedAtMs } = await this.#fromLeader(request, send, within);
    return { offset, appendedAtMs };
  }

  async fetch(request: FetchRequest): Promise<Fetched> {
    const within = this.#within(request, `fetch from ${placeName(request)}`);
    const { topic, partition, maxBytes, maxWaitMs } = request;
    for (let offset = request.offset; ; ) {
      const asked = { topic, partition, offset, maxBytes, maxWaitMs: Math.min(maxWaitMs, within.leftWholeMs), within };
      const send = (leader: Address): Promise<FetchAnswer> => this.#fetch.send(leader, asked);
      const { end, first, batches } = await this.#fromLeader(request, send, within);
      const { records, next } = decodeBatches(batches, offset, this.#library);
      // Batches without a record that counts are passed here: who calls could not know them.
      if (records.length > 0 || next === undefined || next <= offset) return { records, end, first };
      offset = next;
    }
  }

  async offsetAt(
    asked: TopicPartition & Deadline & { readonly at: "first" | "end" | { readonly atMs: number } },
  ): Promise<Offset> {
    const within = this.#within(asked, `offset of ${placeName(asked)}`);
    const find = async (at: typeof asked.at): Promise<Offset | undefined> => {
      const call = timeCall(this.#library, asked, at);
      return (await this.#toLeader({ place: asked, use: "admin", call, within })).offset;
    };
    // The end first: what is appended meanwhile may be the record that is looked for.
    const end = typeof asked.at === "object" ? await find("end") : undefined;
    return (await find(asked.at)) ?? end ?? 0;
  }

  async removeBefore(asked: TopicPartition & Deadline & { readonly offset: Offset }): Promise<Offset> {
    const within = this.#within(asked, `remove from ${placeName(asked)}`);
    const call = removeCall(this.#library, asked, within.leftWholeMs);
    return (await this.#toLeader({ place: asked, use: "admin", call, within })).first;
  }

  async heartbeat(heartbeat: Heartbeat): Promise<HeartbeatAnswer> {
    const { group, memberId, topics, owned } = heartbeat;
    const within = this.#within(heartbeat, `heartbeat of ${group}`);
    if (topics !== undefined) this.#subscribed.set(memberId, topics);
    if (heartbeat.memberEpoch === LEFT) this.#subscribed.delete(memberId);
    const ids = new Map<string, string>();
    for (const { topic } of owned ?? [])
      if (!ids.has(topic)) ids.set(topic, (await this.#metadata.topic(topic, within)).id);
    const call = heartbeatCall(this.#library, heartbeat, (topic) => ids.get(topic) ?? "");
    const beat = this.#toCoordinator({ group, use: "heartbeat", call, within });
    const { memberEpoch, heartbeatIntervalMs, assignment } = await beat.catch((error: BrokerError) => {
      if (error.code === "fenced") this.#subscribed.delete(memberId);
      throw error;
    });
    return {
      memberEpoch,
      heartbeatIntervalMs,
      assignment: assignment === null ? undefined : await this.#placesOf(memberId, assignment, within),
    };
  }

  async commit(request: CommitRequest): Promise<void> {
    const within = this.#within(request, `commit to ${request.group}`);
    if (request.offsets.length === 0) return;
    const call = commitCall(this.#library, request);
    await this.#toCoordinator({ group: request.group, use: "commit", call, within });
  }

  async committed(asked: CommittedRequest): Promise<readonly CommittedOffset[]> {
    const { group, partitions } = asked;
    const within = this.#within(asked, `read what ${group} committed`);
    if (partitions.length === 0) return [];
    const call = committedCall(this.#library, asked);
    // On the connection of the commits: the broker answers it after those that were sent.
    return (await this.#toCoordinator({ group, use: "commit", call, within })).offsets;
  }

  async describeGroup(asked: Deadline & { readonly group: string }): Promise<GroupDescription> {
    const { group } = asked;
    const within = this.#within(asked, `describe ${group}`);
    const whole = describeGroupCall(this.#library, group);
    const isNone = (code: number): boolean => code === GROUP_ID_NOT_FOUND;
    const call = readCode(whole, ({ errorCode }) => (isNone(errorCode) ? 0 : errorCode));
    const { members } = await this.#toCoordinator({ group, use: "heartbeat", call, within });
    return {
      group,
      members: members.map(({ host, assignment, ...member }) => ({
        ...member,
        host: host.replace(/^\//, ""),
        assignment: assignment.flatMap(({ topic, partitions }) =>
          partitions.map((partition) => ({ topic, partition })),
        ),
      })),
    };
  }

  async sessionOf(asked: Deadline & { readonly group: string }): Promise<number | undefined> {
    const within = this.#within(asked, `configuration of ${asked.group}`);
    const configs = await this.#metadata.query(groupConfigsCall(this.#library, asked.group), within);
    const ms = Number(configs["consumer.session.timeout.ms"]);
    return ms > 0 ? ms : undefined;
  }

  close(): Promise<void> {
    this.#links.close();
    return Promise.resolve();
  }

  /** Whether each partition has a leader that answers for it. */
  async #isServed({ topic, partitions }: NewTopic, within: Within): Promise<boolean> {
    const found = await this.#metadata.topics([topic], within);
    if (!isCreated(found.get(topic), partitions)) return false;
    const served = Array.from({ length: partitions }, async (_, partition) => {
      const place = { topic, partition };
      await this.#toLeader({ place, use: "admin", call: timeCall(this.#library, place, "end"), within });
    });
    try {
      await Promise.all(served);
      return true;
    } catch (error) {
      if ((error as BrokerError).code === "not_leader") return false;
      throw error;
    }
  }

  #within({ deadlineMs }: Deadline, what: string): Within {
    return new Within(this.#clock, deadlineMs, what);
  }

  async #toLeader<R extends { readonly errorCode: number }>(asked: {
    readonly place: TopicPartition;
    readonly use: Use;
    readonly call: Call<R>;
    readonly within: Within;
  }): Promise<R> {
    const { place, use, call, within } = asked;
    return this.#fromLeader(place, (leader) => this.#links.to(leader, use).call(call, within), within);
  }

  async #fromLeader<R extends { readonly errorCode: number }>(
    place: TopicPartition,
    send: (leader: Address) => Promise<R>,
    within: Within,
  ): Promise<R> {
    const address = await this.#metadata.leaderOf(place, within);
    try {
      return acceptedOf(await send(address), within);
    } catch (error) {
      const { code, message, isTransient } = error as BrokerError;
      if (isTransient || code === "unknown_topic") this.#metadata.forgetTopic(place.topic);
      // The cluster has the topic, or its leader would not be known: this broker has not heard.
      if (code === "unknown_topic") throw new BrokerError("not_leader", message);
      throw error;
    }
  }

  async #toCoordinator<R extends { readonly errorCode: number }>(asked: {
    readonly group: string;
    readonly use: Use;
    readonly call: Call<R>;
    readonly within: Within;
  }): Promise<R> {
    const { group, use, call, within } = asked;
    const address = await this.#metadata.coordinatorOf(group, within);
    try {
      return acceptedOf(await this.#links.to(address, use).call(call, within), within);
    } catch (error) {
      const { isTransient, code } = error as BrokerError;
      // Another coordinator may be of another version.
      if (isTransient || code === "unsupported") this.#metadata.forgetCoordinator(group);
      throw error;
    }
  }

  /** Topics that came after the member are looked up; those that are gone are left out. */
  async #placesOf(
    memberId: string,
    { topicPartitions }: NonNullable<HeartbeatReply["assignment"]>,
    within: Within,
  ): Promise<readonly TopicPartition[]> {
    if (topicPartitions.some(({ topicId }) => this.#metadata.nameOf(topicId) === undefined))
      await this.#metadata.topics(this.#subscribed.get(memberId) ?? [], within);
    return topicPartitions.flatMap(({ topicId, partitions }) => {
      const topic = this.#metadata.nameOf(topicId);
      return topic === undefined ? [] : partitions.map((partition) => ({ topic, partition }));
    });
  }
}

/** **Errors**: when the answer is a refusal. */
function acceptedOf<R extends { readonly errorCode: number; readonly errorMessage?: string | null | undefined }>(
  answer: R,
  { what }: Within,
): R {
  if (answer.errorCode === 0) return answer;
  throw failureOf(answer.errorCode, answer.errorMessage ? `${what}: ${answer.errorMessage}` : what);
}

function readCode<R extends { readonly errorCode: number }>(call: Call<R>, codeOf: (answer: R) => number): Call<R> {
  return {
    ...call,
    read: (reader) => {
      const answer = call.read(reader);
      return { ...answer, errorCode: codeOf(answer) };
    },
  };
}
