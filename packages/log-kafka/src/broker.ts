/**
 * What Waybill needs of a Kafka cluster, in one interface: the real one is `kafka-broker.ts`, the
 * simulated one `SimBroker` of `@waybill/testing`. The contract suite `testBroker` holds for both.
 *
 * Each call is one attempt with a deadline: nothing in here retries, reconnects unasked or waits
 * for longer. What failed is a {@link BrokerError}; whoever calls decides.
 */

/** The first record of a partition has offset 0; each further record one more. Never reused. */
export type Offset = number;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** One call's time, ms from now on; after it the call is rejected with code `timeout`. */
export interface Deadline {
  readonly deadlineMs: number;
}

/**
 * - `timeout`: no answer in time. What was asked for may have been done, also later.
 * - `unreachable`: no connection, or it broke before the answer: may have been done as well.
 * - `not_leader`: the broker that was asked is not (or no longer) responsible; nothing was done.
 *   Of a produce call or a commit that it had begun to serve, what was written may be kept; it
 *   comes no later.
 * - `not_enough_replicas`: too few replicas are in sync; what was written may be kept.
 * - `fenced`: the group does not know this member, or its epoch is not the partition's any more;
 *   nothing was done.
 * - `unknown_topic`, `exists`, `too_large`, `offset_out_of_range`, `metadata_too_large`,
 *   `unauthorized`, `unsupported`, `invalid`: as they say; nothing was done.
 */
export type BrokerErrorCode =
  | "timeout"
  | "unreachable"
  | "not_leader"
  | "not_enough_replicas"
  | "fenced"
  | "unknown_topic"
  | "exists"
  | "too_large"
  | "offset_out_of_range"
  | "metadata_too_large"
  | "unauthorized"
  | "unsupported"
  | "invalid";

export class BrokerError extends Error {
  readonly code: BrokerErrorCode;

  constructor(code: BrokerErrorCode, message: string) {
    super(message);
    this.name = "BrokerError";
    this.code = code;
  }

  /** Whether the same call may succeed later without anybody's doing. */
  get isTransient(): boolean {
    return TRANSIENT.has(this.code);
  }

  /** Whether it is unknown if what was asked for was done. */
  get isUncertain(): boolean {
    return UNCERTAIN.has(this.code);
  }
}

const UNCERTAIN: ReadonlySet<BrokerErrorCode> = new Set(["timeout", "unreachable", "not_enough_replicas"]);
const TRANSIENT: ReadonlySet<BrokerErrorCode> = new Set([...UNCERTAIN, "not_leader"]);

export interface NewTopic {
  readonly topic: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** The broker's own names: `min.insync.replicas`, `retention.ms`, … */
  readonly configs: Readonly<Record<string, string>>;
}

export interface TopicDescription {
  readonly topic: string;
  /** By partition. */
  readonly partitions: readonly {
    /** `undefined` while there is none. */
    readonly leader: number | undefined;
    readonly replicas: readonly number[];
    readonly inSyncReplicas: readonly number[];
  }[];
  /** As far as the broker tells them. */
  readonly configs: Readonly<Record<string, string>>;
}

export interface ProduceRequest extends TopicPartition, Deadline {
  /** Values of the records, in order, all or none. Not compressed. */
  readonly values: readonly Uint8Array[];
  /**
   * Of each value, for a topic that is compacted: an empty value removes what its key had. Default:
   * no record has a key, as in the topics of the log.
   */
  readonly keys?: readonly string[];
}

export interface Produced {
  /** Of the first record; the others follow it without a gap. */
  readonly offset: Offset;
  /** As a fetch tells it of each of them; `undefined` where the topic keeps its writers' times. */
  readonly appendedAtMs: number | undefined;
}

export interface FetchRequest extends TopicPartition, Deadline {
  readonly offset: Offset;
  /**
   * What one produce call has written comes as a whole, but for records before the offset: as many
   * calls as fit, and the first one however large it is.
   */
  readonly maxBytes: number;
  /** How long the broker waits for the first record; below the deadline. 0: not at all. */
  readonly maxWaitMs: number;
}

export interface FetchedRecord {
  readonly offset: Offset;
  /** When the broker appended it, epoch ms: topics have `message.timestamp.type=LogAppendTime`. */
  readonly appendedAtMs: number;
  /** Absent: it has none. */
  readonly key?: string;
  /** Empty also where the record has none. */
  readonly value: Uint8Array;
}

export interface Fetched {
  /** In order; offsets may have gaps. */
  readonly records: readonly FetchedRecord[];
  /** The offset after the last record that all in-sync replicas have. */
  readonly end: Offset;
  /** The first offset that is kept. */
  readonly first: Offset;
}

/** A member of a consumer group of KIP-848 tells that it lives, and learns what it is to own. */
export interface Heartbeat extends Deadline {
  readonly group: string;
  /** Made by the member, a UUID, the same from joining to leaving. */
  readonly memberId: string;
  /** 0 joins, -1 leaves; otherwise the epoch of the last answer. */
  readonly memberEpoch: number;
  /** Sent when joining, and when it has changed. */
  readonly topics?: readonly string[];
  /** What the member owns now. Sent when joining (empty), and when it has changed. */
  readonly owned?: readonly TopicPartition[];
  /** How long the member may take to give partitions up. Sent when joining. */
  readonly rebalanceTimeoutMs?: number;
}

export interface HeartbeatAnswer {
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** What the member is to own; `undefined`: as before. What is missing it has to give up. */
  readonly assignment: readonly TopicPartition[] | undefined;
}

export interface CommittedOffset extends TopicPartition {
  readonly offset: Offset;
  /** At most 4,096 characters. */
  readonly metadata: string;
}

export interface CommittedRequest extends Deadline {
  readonly group: string;
  readonly partitions: readonly TopicPartition[];
  /** Who is going to own them. Default: nobody. */
  readonly member?: GroupMember;
}

export interface CommitRequest extends Deadline {
  readonly group: string;
  /** "" for a group without members. */
  readonly memberId: string;
  /** The epoch at which the partitions were first assigned; -1 for a group without members. */
  readonly memberEpoch: number;
  /** All of one epoch. */
  readonly offsets: readonly CommittedOffset[];
}

/** A member as it is now: with the epoch of the last answer. */
export interface GroupMember {
  readonly memberId: string;
  readonly memberEpoch: number;
}

export interface GroupDescription {
  readonly group: string;
  readonly members: readonly {
    readonly memberId: string;
    /** As the member's connection names itself. */
    readonly clientId: string;
    readonly host: string;
    readonly memberEpoch: number;
    readonly assignment: readonly TopicPartition[];
  }[];
}

/**
 * **Errors**: each call rejects with a {@link BrokerError}. **Concurrency**: any number of calls at
 * once; produce calls for one partition keep the order of the calls that were answered before the
 * next began, others may pass each other.
 */
export interface Broker {
  /** Those of the topics that exist. */
  describe(asked: Deadline & { readonly topics: readonly string[] }): Promise<readonly TopicDescription[]>;
  /** **Errors**: `exists`, `invalid` (replication factor above the number of brokers). */
  create(topic: NewTopic & Deadline): Promise<void>;
  /** Resolves once all in-sync replicas have it (`acks=all`). Not idempotent: see `isUncertain`. */
  produce(request: ProduceRequest): Promise<Produced>;
  fetch(request: FetchRequest): Promise<Fetched>;
  /**
   * The first offset kept, the one after the last record, or the first one appended at or after
   * an instant (epoch ms; the end when there is none).
   */
  offsetAt(
    asked: TopicPartition & Deadline & { readonly at: "first" | "end" | { readonly atMs: number } },
  ): Promise<Offset>;
  /** Removes all records before `offset`. Resolves to the first offset that is kept then. */
  removeBefore(asked: TopicPartition & Deadline & { readonly offset: Offset }): Promise<Offset>;
  /**
   * **Errors**: `fenced`: the member has to join anew, and owns nothing; `unsupported`: the group's
   * coordinator does not fence each partition, and nothing was asked of it.
   */
  heartbeat(heartbeat: Heartbeat): Promise<HeartbeatAnswer>;
  /** All partitions are answered for in one promise: rejected when any was refused. */
  commit(request: CommitRequest): Promise<void>;
  /**
   * What was committed last, of the partitions that have a commit. For a member the answer is of a
   * coordinator that knows it as it is now: one that was deposed, and does not know that either,
   * would tell what was committed before. **Errors**: `fenced`: the group does not know the member,
   * or its epoch is another one.
   */
  committed(asked: CommittedRequest): Promise<readonly CommittedOffset[]>;
  describeGroup(asked: Deadline & { readonly group: string }): Promise<GroupDescription>;
  /**
   * After how long without a heartbeat the brokers expel a member, ms: the group's own
   * `consumer.session.timeout.ms`, else the brokers'. `undefined` where they do not tell it.
   */
  sessionOf(asked: Deadline & { readonly group: string }): Promise<number | undefined>;
  /** Rejects what is on its way. */
  close(): Promise<void>;
}
