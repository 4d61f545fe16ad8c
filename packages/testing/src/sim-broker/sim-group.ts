import type { Clock, Timer } from "@waybill/core";
import {
  BrokerError,
  type CommitRequest,
  type CommittedOffset,
  type GroupDescription,
  type Heartbeat,
  type HeartbeatAnswer,
  type TopicPartition,
} from "@waybill/log-kafka";
import { assignPartitions, keyOf, partitionOf } from "./assign-partitions.ts";

/** What a coordinator that is cut off from the others goes on to tell. */
export interface FrozenGroup {
  committed(partitions: readonly TopicPartition[]): readonly CommittedOffset[];
  describe(): GroupDescription;
  /** The answer to a heartbeat that changes nothing; `undefined` to any other. */
  unchanged(heartbeat: Heartbeat): HeartbeatAnswer | undefined;
}

/** How a commit is checked. */
export interface CommitChecks {
  /** Default true. */
  readonly isFenced?: boolean;
  /** As groups of Kafka 4.0 to 4.2 do: any epoch but the member's own is stale. Default false. */
  readonly isOlder?: boolean;
}

/** What a group has to know of the cluster around it. */
export interface GroupHost {
  readonly clock: Clock;
  readonly heartbeatIntervalMs: number;
  readonly sessionTimeoutMs: number;
  /** 0 for a topic that does not exist. */
  partitionsOf(topic: string): number;
  /** Nobody is expelled while no broker coordinates the group. */
  isCoordinated(group: string): boolean;
}

interface Member {
  readonly memberId: string;
  readonly clientId: string;
  epoch: number;
  previousEpoch: number;
  topics: readonly string[];
  rebalanceTimeoutMs: number;
  /** By key of the partition: the epoch at which it came. */
  assigned: Map<string, number>;
  /** Waits until the member says that it has let go of these. */
  revoking: Map<string, number>;
  /** Another member has not let go of something yet. */
  isWaiting: boolean;
  session: Timer | undefined;
  revocation: Timer | undefined;
}

/** Characters that a commit's metadata may have: `offset.metadata.max.bytes`. */
const METADATA_MAX = 4_096;
const FOREVER_MS = 300_000;
const JOINS = 0;
const LEAVES = -1;

/**
 * A consumer group of KIP-848, as Kafka 4.3 was seen to keep it: the broker assigns, a partition
 * goes to its next owner after the last one has let go of it, and a commit is accepted with the
 * epoch at which the partition came, or a later one, as long as the member keeps the partition.
 */
export class SimGroup {
  readonly #name: string;
  readonly #host: GroupHost;
  readonly #members = new Map<string, Member>();
  readonly #offsets = new Map<string, CommittedOffset>();
  #target = new Map<string, Set<string>>();
  #epoch = 0;
  /** Partitions of the topics as of the last assignment. */
  #counted = "";

  constructor(name: string, host: GroupHost) {
    this.#name = name;
    this.#host = host;
  }

  /** **Errors**: `fenced`, `invalid`. */
  heartbeat(heartbeat: Heartbeat, clientId: string): HeartbeatAnswer {
    const { memberId, memberEpoch, owned } = heartbeat;
    if (memberEpoch === LEAVES) {
      this.#remove(this.#known(memberId));
      return this.#answer(LEAVES, undefined);
    }
    const known = this.#members.get(memberId);
    const member = known ?? this.#join(heartbeat, clientId);
    if (known !== undefined) checkEpoch(known, heartbeat);
    const before = member.assigned;
    this.#subscribe(member, heartbeat);
    this.#reconcile(member, owned);
    this.#touch(member);
    const isFull = heartbeat.topics !== undefined && owned !== undefined && heartbeat.rebalanceTimeoutMs !== undefined;
    const hasNews = memberEpoch === JOINS || isFull || !haveSameKeys(before, member.assigned);
    return this.#answer(member.epoch, hasNews ? [...member.assigned.keys()].map(partitionOf) : undefined);
  }

  /**
   * Partitions whose metadata is too long are refused, the others stored.
   * **Errors**: `fenced`: nothing was stored; `metadata_too_large`, `unknown_topic`.
   */
  commit(request: CommitRequest, { isFenced = true, isOlder = false }: CommitChecks = {}): void {
    if (isFenced) this.#checkCommit(request, isOlder);
    let refused: BrokerError | undefined;
    for (const offset of request.offsets) {
      const { topic, partition, metadata } = offset;
      if (partition >= this.#host.partitionsOf(topic))
        refused ??= new BrokerError("unknown_topic", `${keyOf(offset)} does not exist`);
      else if (metadata.length > METADATA_MAX)
        refused ??= new BrokerError("metadata_too_large", `${metadata.length} characters of metadata`);
      else this.#offsets.set(keyOf(offset), { topic, partition, offset: offset.offset, metadata });
    }
    if (refused !== undefined) throw refused;
  }

  committed(partitions: readonly TopicPartition[]): readonly CommittedOffset[] {
    return partitions.flatMap((one) => this.#offsets.get(keyOf(one)) ?? []);
  }

  describe(): GroupDescription {
    return {
      group: this.#name,
      members: [...this.#members.values()].map(({ memberId, clientId, epoch, assigned }) => ({
        memberId,
        clientId,
        host: "/127.0.0.1",
        memberEpoch: epoch,
        assignment: [...assigned.keys()].map(partitionOf),
      })),
    };
  }

  freeze(): FrozenGroup {
    const offsets = new Map(this.#offsets);
    const described = this.describe();
    return {
      committed: (partitions) => partitions.flatMap((one) => offsets.get(keyOf(one)) ?? []),
      describe: () => described,
      unchanged: ({ memberId, memberEpoch, topics }) => {
        const member = described.members.find((one) => one.memberId === memberId);
        if (member?.memberEpoch !== memberEpoch || topics !== undefined) return undefined;
        return this.#answer(memberEpoch, undefined);
      },
    };
  }

  get memberIds(): readonly string[] {
    return [...this.#members.keys()];
  }

  /** As after `sessionTimeoutMs` without a heartbeat. */
  expel(memberId: string): void {
    const member = this.#members.get(memberId);
    if (member !== undefined) this.#remove(member);
  }

  /** As after `offsets.retention.minutes` without members. Returns how many there were. */
  expireOffsets(): number {
    const { size } = this.#offsets;
    this.#offsets.clear();
    return size;
  }

  /** Another broker coordinates: each session begins anew. */
  moved(): void {
    for (const member of this.#members.values()) this.#touch(member);
  }

  #answer(memberEpoch: number, assignment: readonly TopicPartition[] | undefined): HeartbeatAnswer {
    return { memberEpoch, heartbeatIntervalMs: this.#host.heartbeatIntervalMs, assignment };
  }

  #known(memberId: string): Member {
    const member = this.#members.get(memberId);
    if (member === undefined) throw new BrokerError("fenced", `${this.#name} has no member ${memberId}`);
    return member;
  }

  #join({ memberId, memberEpoch, topics, owned, rebalanceTimeoutMs }: Heartbeat, clientId: string): Member {
    if (memberEpoch !== JOINS) throw new BrokerError("fenced", `${this.#name} has no member ${memberId}`);
    if (topics === undefined || topics.length === 0 || owned === undefined || owned.length > 0)
      throw new BrokerError("invalid", "who joins names topics and owns nothing");
    const member: Member = {
      memberId,
      clientId,
      epoch: 0,
      previousEpoch: 0,
      topics: [],
      rebalanceTimeoutMs: rebalanceTimeoutMs ?? FOREVER_MS,
      assigned: new Map(),
      revoking: new Map(),
      isWaiting: false,
      session: undefined,
      revocation: undefined,
    };
    this.#members.set(memberId, member);
    return member;
  }

  /** A member's topics, or their partitions, have changed: everybody's target is made anew. */
  #subscribe(member: Member, { topics, rebalanceTimeoutMs }: Heartbeat): void {
    member.rebalanceTimeoutMs = rebalanceTimeoutMs ?? member.rebalanceTimeoutMs;
    const isChanged = topics !== undefined && topics.join() !== member.topics.join();
    if (isChanged) member.topics = topics;
    if (isChanged || this.#count() !== this.#counted) this.#retarget();
  }

  #count(): string {
    const topics = [...new Set([...this.#members.values()].flatMap((one) => one.topics))].sort();
    return topics.map((topic) => keyOf({ topic, partition: this.#host.partitionsOf(topic) })).join();
  }

  #retarget(): void {
    this.#epoch += 1;
    this.#counted = this.#count();
    const subscribers = [...this.#members.values()].map(({ memberId, topics }) => ({
      memberId,
      topics,
      target: this.#target.get(memberId) ?? new Set<string>(),
    }));
    this.#target = assignPartitions(subscribers, (topic) => this.#host.partitionsOf(topic));
  }

  /** A step from what the member has towards what it is to have. */
  #reconcile(member: Member, owned: readonly TopicPartition[] | undefined): void {
    const stillOwns = (keys: ReadonlyMap<string, number>): boolean =>
      owned === undefined || owned.some((one) => keys.has(keyOf(one)));
    if (member.revoking.size > 0) {
      if (stillOwns(member.revoking)) return;
      member.revoking = new Map();
      member.revocation?.cancel();
    } else if (member.epoch === this.#epoch && !member.isWaiting) return;
    const target = this.#target.get(member.memberId) ?? new Set<string>();
    const kept = new Map([...member.assigned].filter(([key]) => target.has(key)));
    const lost = new Map([...member.assigned].filter(([key]) => !target.has(key)));
    member.previousEpoch = member.epoch;
    member.assigned = kept;
    if (lost.size > 0 && stillOwns(lost)) {
      member.revoking = lost;
      this.#watchRevocation(member);
      return;
    }
    const wanted = [...target].filter((key) => !kept.has(key));
    const free = wanted.filter((key) => !this.#isHeld(key, member));
    for (const key of free) kept.set(key, this.#epoch);
    member.isWaiting = free.length < wanted.length;
    member.epoch = this.#epoch;
  }

  #isHeld(key: string, except: Member): boolean {
    return [...this.#members.values()].some(
      (one) => one !== except && (one.assigned.has(key) || one.revoking.has(key)),
    );
  }

  #checkCommit({ memberId, memberEpoch: epoch, offsets }: CommitRequest, isOlder: boolean): void {
    if (epoch < 0 && this.#members.size === 0) return;
    const member = this.#known(memberId);
    // The trap: with its present epoch a member may commit what is not its own.
    if (epoch === member.epoch) return;
    const isStale = (one: TopicPartition): boolean => {
      const since = member.assigned.get(keyOf(one)) ?? member.revoking.get(keyOf(one));
      return since === undefined || epoch < since;
    };
    if (epoch > member.epoch || isOlder || offsets.some(isStale))
      throw new BrokerError("fenced", `epoch ${epoch} of ${memberId} is stale: ${member.epoch} now`);
  }

  #touch(member: Member): void {
    member.session?.cancel();
    member.session = this.#host.clock.after(this.#host.sessionTimeoutMs, () => {
      if (this.#host.isCoordinated(this.#name)) this.#remove(member);
      else this.#touch(member);
    });
  }

  #watchRevocation(member: Member): void {
    member.revocation?.cancel();
    member.revocation = this.#host.clock.after(member.rebalanceTimeoutMs, () => {
      if (this.#host.isCoordinated(this.#name)) this.#remove(member);
      else this.#watchRevocation(member);
    });
  }

  #remove(member: Member): void {
    member.session?.cancel();
    member.revocation?.cancel();
    this.#members.delete(member.memberId);
    this.#target.delete(member.memberId);
    this.#retarget();
  }
}

/** An epoch of before is right when the answer with the new one may have been lost. */
function checkEpoch(member: Member, { memberEpoch, owned }: Heartbeat): void {
  const { epoch, previousEpoch, assigned, memberId } = member;
  if (memberEpoch === epoch) return;
  const isRepeated = memberEpoch === previousEpoch && owned?.every((one) => assigned.has(keyOf(one))) === true;
  if (memberEpoch > epoch || !isRepeated)
    throw new BrokerError("fenced", `${memberId} came with epoch ${memberEpoch}, it has ${epoch}`);
}

function haveSameKeys(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): boolean {
  return one.size === other.size && [...one.keys()].every((key) => other.has(key));
}
