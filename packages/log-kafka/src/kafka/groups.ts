import type { CommitRequest, CommittedOffset, CommittedRequest, Heartbeat, TopicPartition } from "../broker.ts";
import { failureOf } from "./failures.ts";
import type { Library } from "./library.ts";
import { type Call, callOf, type MetadataVersion, readAs } from "./requests.ts";

/** Not given; no offset; no member. */
const NONE = -1;
/** UNSUPPORTED_VERSION, with which brokers have no message. */
const UNSUPPORTED = 35;
const SWITCHED_OFF = "the broker's groups of KIP-848 are switched off";
/**
 * From this release on a commit may name any epoch since its partition came (KIP-1251). Groups of
 * 4.0 to 4.2 take the member's newest epoch alone: each rebalance refuses what every lane commits.
 */
const FENCES_EACH_PARTITION: MetadataVersion = { level: 30, release: "4.3" };

export interface HeartbeatReply {
  readonly errorCode: number;
  readonly errorMessage: string | null | undefined;
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  readonly assignment: { readonly topicPartitions: readonly IdPartitions[] } | null;
}

interface IdPartitions {
  readonly topicId: string;
  readonly partitions: readonly number[];
}

/** `idOf`: a topic's. What is not in the heartbeat is as before. */
export function heartbeatCall(
  library: Library,
  heartbeat: Heartbeat,
  idOf: (topic: string) => string,
): Call<HeartbeatReply> {
  const { group, memberId, memberEpoch, topics, owned, rebalanceTimeoutMs = NONE } = heartbeat;
  const places =
    owned &&
    byTopic(owned).map(([topic, own]) => ({ topicId: idOf(topic), partitions: own.map((one) => one.partition) }));
  // The library's type has no null for partitions that are as before.
  const partitions = (places ?? null) as { topicId: string; partitions: number[] }[];
  const subscribed = topics === undefined ? null : [...topics];
  const call = callOf(
    library.consumerGroupHeartbeatV0,
    group,
    memberId,
    memberEpoch,
    null,
    null,
    rebalanceTimeoutMs,
    subscribed,
    null,
    partitions,
  );
  return {
    ...readAs(call, (reply) => (reply.errorCode === UNSUPPORTED ? { ...reply, errorMessage: SWITCHED_OFF } : reply)),
    metadataVersion: FENCES_EACH_PARTITION,
  };
}

export function commitCall(library: Library, request: CommitRequest): Call<{ readonly errorCode: number }> {
  const topics = byTopic(request.offsets).map(([name, offsets]) => ({
    name,
    partitions: offsets.map(({ partition, offset, metadata }) => ({
      partitionIndex: partition,
      committedOffset: BigInt(offset),
      committedLeaderEpoch: NONE,
      committedMetadata: metadata,
    })),
  }));
  const { group, memberEpoch, memberId } = request;
  return readAs(callOf(library.offsetCommitV9, group, memberEpoch, memberId, null, topics), (answer) => ({
    errorCode: worstOf(answer.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))),
  }));
}

/** One code for all: that the member is fenced is true of each partition. */
function worstOf(codes: readonly number[]): number {
  const refused = codes.filter((code) => code !== 0);
  return refused.find((code) => failureOf(code, "").code === "fenced") ?? refused[0] ?? 0;
}

export interface Committed {
  readonly errorCode: number;
  readonly offsets: readonly CommittedOffset[];
}

export function committedCall(library: Library, { group, partitions, member }: CommittedRequest): Call<Committed> {
  const topics = byTopic(partitions).map(([name, places]) => ({
    name,
    partitionIndexes: places.map(({ partition }) => partition),
  }));
  const { memberId = null, memberEpoch = NONE } = member ?? {};
  const asked = { groupId: group, memberId, memberEpoch, topics };
  return readAs(callOf(library.offsetFetchV9, [asked], true), ({ groups }) => {
    const answers = groups.flatMap((one) =>
      one.topics.flatMap(({ name, partitions: places }) => places.map((place) => ({ topic: name, ...place }))),
    );
    const codes = [...groups.map(({ errorCode }) => errorCode), ...answers.map(({ errorCode }) => errorCode)];
    const offsets = answers.filter(({ committedOffset }) => committedOffset !== BigInt(NONE));
    return {
      errorCode: worstOf(codes),
      offsets: offsets.map(({ topic, partitionIndex, committedOffset, metadata }) => ({
        topic,
        partition: partitionIndex,
        offset: Number(committedOffset),
        metadata: metadata ?? "",
      })),
    };
  });
}

function byTopic<T extends TopicPartition>(places: readonly T[]): readonly (readonly [string, readonly T[]])[] {
  const topics = new Map<string, T[]>();
  for (const place of places) {
    const same = topics.get(place.topic);
    if (same === undefined) topics.set(place.topic, [place]);
    else same.push(place);
  }
  return [...topics];
}
