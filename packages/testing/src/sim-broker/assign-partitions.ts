import type { TopicPartition } from "@waybill/log-kafka";

/** `topic/partition`: topics have no slash. */
export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

export function partitionOf(key: string): TopicPartition {
  const slash = key.lastIndexOf("/");
  return { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)) };
}

export interface Subscriber {
  readonly memberId: string;
  readonly topics: readonly string[];
  /** Keys of the partitions that it is to own as of now. */
  readonly target: ReadonlySet<string>;
}

/**
 * Spreads each topic's partitions evenly over the members that want it, and moves as few as it can.
 */
export function assignPartitions(
  subscribers: readonly Subscriber[],
  partitionsOf: (topic: string) => number,
): Map<string, Set<string>> {
  const targets = new Map(subscribers.map(({ memberId }) => [memberId, new Set<string>()]));
  const topics = [...new Set(subscribers.flatMap((one) => one.topics))].sort();
  for (const topic of topics) {
    const wanting = subscribers.filter((one) => one.topics.includes(topic));
    assignTopic(topic, partitionsOf(topic), wanting, targets);
  }
  return targets;
}

function assignTopic(
  topic: string,
  partitions: number,
  members: readonly Subscriber[],
  targets: ReadonlyMap<string, Set<string>>,
): void {
  const load = (memberId: string): number => targets.get(memberId)?.size ?? 0;
  const share = Math.floor(partitions / members.length);
  let extra = partitions % members.length;
  const taken = new Map<string, number>();
  const free: string[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const key = keyOf({ topic, partition });
    const owner = members.find(({ target }) => target.has(key))?.memberId;
    const has = owner === undefined ? 0 : (taken.get(owner) ?? 0);
    if (owner === undefined || has > share || (has === share && extra === 0)) {
      free.push(key);
      continue;
    }
    if (has === share) extra -= 1;
    taken.set(owner, has + 1);
    targets.get(owner)?.add(key);
  }
  for (const key of free) {
    const count = (memberId: string): number => taken.get(memberId) ?? 0;
    const { memberId } = members.reduce((best, one) => {
      const difference = count(one.memberId) - count(best.memberId);
      return difference < 0 || (difference === 0 && load(one.memberId) < load(best.memberId)) ? one : best;
    });
    taken.set(memberId, count(memberId) + 1);
    targets.get(memberId)?.add(key);
  }
}
