import type { Timer } from "@waybill/core";
import {
  type Broker,
  BrokerError,
  type CommitRequest,
  type CommittedOffset,
  type CommittedRequest,
  type Deadline,
  type Fetched,
  type FetchedRecord,
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
} from "@waybill/log-kafka";
import { keyOf } from "./assign-partitions.ts";
import { batchBytes } from "./batch-bytes.ts";
import type { ClusterCore } from "./cluster-core.ts";
import type { Batch } from "./replica-log.ts";
import type { SimPartition } from "./sim-partition.ts";
import type { Call, Wire } from "./wire.ts";

export interface BrokerConnection {
  readonly acks: "all" | 1;
  readonly isFenced: boolean;
}

/** So long one broker is waited for alone that any other could answer for. */
const NEXT_AFTER_MS = 300;

/**
 * One relay's connection to the simulated cluster. It looks leaders and coordinators up once, and
 * anew after a call that failed: `not_leader` comes until the cluster has another one.
 */
export class SimBroker implements Broker {
  readonly #core: ClusterCore;
  readonly #wire: Wire;
  readonly #places = new Map<string, number>();
  readonly #how: BrokerConnection;
  /** Which broker is asked for what any of them knows. */
  #turn = 0;

  constructor(core: ClusterCore, wire: Wire, how: BrokerConnection) {
    this.#core = core;
    this.#wire = wire;
    this.#how = how;
  }

  describe({
    topics,
    deadlineMs,
  }: Deadline & { readonly topics: readonly string[] }): Promise<readonly TopicDescription[]> {
    return this.#wire.call("describe", deadlineMs, (call) => this.#query(call, () => this.#core.describe(topics)));
  }

  create({ deadlineMs, ...topic }: NewTopic & Deadline): Promise<void> {
    return this.#wire.call("create", deadlineMs, (call) => this.#fromAny(call, () => this.#core.create(topic)));
  }

  produce(request: ProduceRequest): Promise<Produced> {
    // The caller may use its buffers again.
    const values = request.values.map((value) => value.slice());
    return this.#atLeader("produce", request, async (partition, broker) => {
      if (values.length === 0) throw new BrokerError("invalid", "no records");
      const limit = this.#core.maxMessageBytes(request.topic);
      const { keys } = request;
      if (keys === undefined && this.#core.isCompacted(request.topic))
        throw new BrokerError("invalid", "a record of a compacted topic has no key");
      const bytes = batchBytes(values, keys);
      if (bytes > limit) throw new BrokerError("too_large", `${bytes} bytes of ${limit}`);
      if (this.#core.faults.isFull) {
        this.#core.faults.count("full");
        throw new BrokerError("not_enough_replicas", "no broker has room");
      }
      const appendedAtMs = this.#core.nowAt(broker);
      const batch = { appendedAtMs, bytes };
      const records = values.map((value, index) => ({ batch, key: keys?.[index], value }));
      const offset = partition.append(broker, records, this.#how.acks === 1);
      if (this.#how.acks === "all") await partition.committed(broker, offset + values.length);
      return { offset, appendedAtMs };
    });
  }

  fetch(request: FetchRequest): Promise<Fetched> {
    const { offset, maxWaitMs, maxBytes } = request;
    const { clock } = this.#core.settings;
    return this.#atLeader("fetch", request, async (partition, broker) => {
      const until = clock.monotonic() + maxWaitMs;
      for (;;) {
        partition.checkLeader(broker);
        const { first, end } = partition.logOf(broker);
        if (offset < first || offset > end)
          throw new BrokerError("offset_out_of_range", `${offset} of ${first} to ${end}`);
        const leftMs = until - clock.monotonic();
        if (offset < partition.endAt(broker) || leftMs <= 0) return read(partition, broker, { offset, maxBytes });
        await partition.changed(leftMs);
      }
    });
  }

  offsetAt(
    asked: TopicPartition & Deadline & { readonly at: "first" | "end" | { readonly atMs: number } },
  ): Promise<Offset> {
    const { at } = asked;
    return this.#atLeader("offsetAt", asked, (partition, broker) => {
      const log = partition.logOf(broker);
      if (at === "first") return log.first;
      const end = partition.endAt(broker);
      if (!partition.isCutOff(broker) && end < partition.end)
        throw new BrokerError("not_leader", `broker ${broker} leads since a moment, it does not know the end yet`);
      let offset = at === "end" ? end : log.first;
      if (at !== "end") while (offset < end && (log.at(offset)?.batch.appendedAtMs ?? at.atMs) < at.atMs) offset += 1;
      return offset;
    });
  }

  removeBefore(asked: TopicPartition & Deadline & { readonly offset: Offset }): Promise<Offset> {
    return this.#atLeader("removeBefore", asked, async (partition, broker) => {
      // It needs every replica, which a leader that is cut off does not have.
      if (partition.isCutOff(broker)) await partition.committed(broker, Number.POSITIVE_INFINITY);
      const end = partition.endAt(broker);
      if (asked.offset > end) throw new BrokerError("offset_out_of_range", `${asked.offset} is after ${end}`);
      partition.trim(asked.offset);
      return partition.logOf(broker).first;
    });
  }

  heartbeat(heartbeat: Heartbeat): Promise<HeartbeatAnswer> {
    return this.#atCoordinator("heartbeat", heartbeat, (broker) => {
      if (this.#core.settings.groups === "classic")
        throw new BrokerError("unsupported", "the brokers do not know groups of KIP-848");
      if (this.#core.isOlder(broker))
        throw new BrokerError("unsupported", `a heartbeat needs Kafka 4.3, broker ${broker} is older`);
      const seen = this.#core.groupSeenBy(heartbeat.group, broker);
      const unchanged = "unchanged" in seen ? seen.unchanged(heartbeat) : undefined;
      return (
        unchanged ??
        this.#core.coordinate(heartbeat.group, broker, (group) => group.heartbeat(heartbeat, this.#wire.name))
      );
    });
  }

  commit(request: CommitRequest): Promise<void> {
    return this.#atCoordinator("commit", request, (broker) =>
      this.#core.coordinate(request.group, broker, (group) =>
        group.commit(request, { isFenced: this.#how.isFenced, isOlder: this.#core.isOlder(broker) }),
      ),
    );
  }

  committed(asked: CommittedRequest): Promise<readonly CommittedOffset[]> {
    const { group, partitions, member } = asked;
    return this.#atCoordinator("committed", asked, (broker) => {
      const seen = this.#core.groupSeenBy(group, broker);
      const known = seen.describe().members.find(({ memberId }) => memberId === member?.memberId);
      if (member !== undefined && known?.memberEpoch !== member.memberEpoch)
        throw new BrokerError("fenced", `${member.memberId} with epoch ${member.memberEpoch} is not in the group`);
      return seen.committed(partitions);
    });
  }

  describeGroup(asked: Deadline & { readonly group: string }): Promise<GroupDescription> {
    return this.#atCoordinator("describeGroup", asked, (broker) =>
      this.#core.groupSeenBy(asked.group, broker).describe(),
    );
  }

  sessionOf({ deadlineMs }: Deadline & { readonly group: string }): Promise<number | undefined> {
    const { sessionTimeoutMs } = this.#core.settings;
    return this.#wire.call("sessionOf", deadlineMs, (call) => this.#query(call, () => sessionTimeoutMs));
  }

  close(): Promise<void> {
    this.#wire.close();
    return Promise.resolve();
  }

  #atLeader<T>(
    kind: string,
    asked: TopicPartition & Deadline,
    serve: (partition: SimPartition, broker: number) => T | Promise<T>,
  ): Promise<T> {
    const look = (broker: number): number | undefined => {
      const partition = this.#core.find(asked);
      if (partition === undefined) throw new BrokerError("unknown_topic", `${keyOf(asked)} does not exist`);
      return partition.leaderSeenBy(broker);
    };
    return this.#wire.call(kind, asked.deadlineMs, (call) =>
      this.#fromPlace(call, { name: keyOf(asked), look }, (broker) => serve(this.#core.led(asked, broker), broker)),
    );
  }

  #atCoordinator<T>(
    kind: string,
    asked: Deadline & { readonly group: string },
    serve: (broker: number) => T | Promise<T>,
  ): Promise<T> {
    const look = (broker: number): number | undefined => this.#core.groupLog(asked.group).leaderSeenBy(broker);
    return this.#wire.call(kind, asked.deadlineMs, (call) =>
      this.#fromPlace(call, { name: `group ${asked.group}`, look }, (broker) => {
        this.#core.groupLog(asked.group).checkLeader(broker);
        return serve(broker);
      }),
    );
  }

  async #fromPlace<T>(
    call: Call,
    { name, look }: { readonly name: string; readonly look: (broker: number) => number | undefined },
    serve: (broker: number) => T | Promise<T>,
  ): Promise<T> {
    const place = this.#places.get(name) ?? (await this.#query(call, look));
    if (place === undefined) throw new BrokerError("not_leader", `nobody leads ${name}`);
    this.#places.set(name, place);
    try {
      return await Promise.race([this.#wire.exchange(call, place, serve), call.over]);
    } catch (error) {
      this.#turnAway(error);
      if (error instanceof BrokerError && error.isTransient) this.#places.delete(name);
      throw error;
    }
  }

  /** What any broker knows: after a failure or a while the next one is asked as well. */
  #query<T>(call: Call, serve: (broker: number) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let left = this.#core.brokers.length;
      let waiting = 0;
      let timer: Timer | undefined;
      const next = (failure: unknown): void => {
        timer?.cancel();
        const isFinal = failure instanceof BrokerError && !failure.isTransient;
        if (isFinal || call.isOver || (left === 0 && waiting === 0)) reject(failure as BrokerError);
        if (isFinal || call.isOver || left === 0) return;
        left -= 1;
        waiting += 1;
        timer = this.#core.settings.clock.after(NEXT_AFTER_MS, () => {
          this.#turn += 1;
          next(undefined);
        });
        this.#fromAny(call, serve).then(
          (answer) => {
            timer?.cancel();
            resolve(answer);
          },
          (error: unknown) => {
            waiting -= 1;
            next(error);
          },
        );
      };
      next(undefined);
    });
  }

  async #fromAny<T>(call: Call, serve: (broker: number) => T): Promise<T> {
    const { brokers } = this.#core;
    const broker = brokers[this.#turn % brokers.length] as number;
    try {
      return await Promise.race([this.#wire.exchange(call, broker, serve), call.over]);
    } catch (error) {
      this.#turnAway(error);
      throw error;
    }
  }

  /** The next one is asked first from now on. */
  #turnAway(error: unknown): void {
    if (error instanceof BrokerError && error.isUncertain) this.#turn += 1;
  }
}

/** Whole batches, of which what is before the offset is left out. */
function read(
  partition: SimPartition,
  broker: number,
  { offset: from, maxBytes }: { readonly offset: Offset; readonly maxBytes: number },
): Fetched {
  const records: FetchedRecord[] = [];
  const log = partition.logOf(broker);
  const end = partition.endAt(broker);
  let batch: Batch | undefined;
  let bytes = 0;
  for (let offset = from; offset < end; offset++) {
    const record = log.at(offset);
    if (record === undefined) break;
    if (record.isGone === true) continue;
    if (record.batch !== batch) {
      batch = record.batch;
      bytes += batch.bytes;
      if (records.length > 0 && bytes > maxBytes) break;
    }
    const { key, value } = record;
    records.push({
      offset,
      appendedAtMs: batch.appendedAtMs,
      ...(key === undefined ? {} : { key }),
      value: value.slice(),
    });
  }
  return { records, end, first: log.first };
}
