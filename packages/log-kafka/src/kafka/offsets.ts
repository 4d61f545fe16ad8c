import { BrokerError, type Offset, type TopicPartition } from "../broker.ts";
import type { Library } from "./library.ts";
import { type Call, callOf, readAs } from "./requests.ts";

/** Kafka's times that are not times. */
const END = -1n;
const FIRST = -2n;
/** A client; records of all transactions; no epoch; no such offset. */
const NONE = -1;

export interface Found {
  readonly errorCode: number;
  /** `undefined`: no record is that young. */
  readonly offset: Offset | undefined;
}

export function timeCall(
  library: Library,
  { topic, partition }: TopicPartition,
  at: "first" | "end" | { readonly atMs: number },
): Call<Found> {
  const timestamp = typeof at === "object" ? BigInt(at.atMs) : at === "end" ? END : FIRST;
  const partitions = [{ partitionIndex: partition, currentLeaderEpoch: NONE, timestamp }];
  return readAs(callOf(library.listOffsetsV9, NONE, 0, [{ name: topic, partitions }]), ({ topics }) => {
    const { errorCode, offset } = onlyOf(topics);
    return { errorCode, offset: offset === BigInt(NONE) ? undefined : Number(offset) };
  });
}

export function removeCall(
  library: Library,
  { topic, partition, offset }: TopicPartition & { readonly offset: Offset },
  timeoutMs: number,
): Call<{ readonly errorCode: number; readonly first: Offset }> {
  const partitions = [{ partitionIndex: partition, offset: BigInt(offset) }];
  return readAs(callOf(library.deleteRecordsV2, [{ name: topic, partitions }], timeoutMs), ({ topics }) => {
    const { errorCode, lowWatermark } = onlyOf(topics);
    return { errorCode, first: Number(lowWatermark) };
  });
}

function onlyOf<T>(topics: readonly { readonly partitions: readonly T[] }[]): T {
  const answer = topics[0]?.partitions[0];
  if (answer === undefined) throw new BrokerError("invalid", "an answer without the partition that was asked for");
  return answer;
}
