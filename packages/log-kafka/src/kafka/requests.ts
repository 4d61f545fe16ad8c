/**
 * The requests that are made, each with the answer as it came: who calls looks at its error codes.
 * Most are the library's. Three are written here: produce and fetch, to make and check batches by
 * ourselves, and the description of a group, which the library reads wrongly. Of what a broker
 * supports the library leaves the features out.
 */
import type { Reader, Writer } from "@platformatic/kafka";
import type { Library } from "./library.ts";
import { encodeBatch, type Records } from "./record-batches.ts";

export interface Call<R> {
  /** Of Kafka's API. */
  readonly key: number;
  readonly version: number;
  /** That the broker's software has to support, whichever the cluster uses. Default: any. */
  readonly metadataVersion?: MetadataVersion;
  readonly write: () => Writer;
  readonly read: (reader: Reader) => R;
}

/** Kafka's `metadata.version`, which grows with each release. */
export interface MetadataVersion {
  readonly level: number;
  /** The first release that has it. */
  readonly release: string;
}

/** As the library exports a request. */
interface Api<A extends readonly unknown[], R> {
  readonly api: { readonly key: number; readonly version: number };
  readonly createRequest: (...args: A) => Writer;
  readonly parseResponse: (id: number, key: number, version: number, reader: Reader) => R;
}

/** One of the library's; an answer with error codes is an answer. */
export function callOf<A extends readonly unknown[], R>(api: Api<A, R>, ...args: A): Call<R> {
  const { key, version } = api.api;
  return {
    key,
    version,
    write: () => api.createRequest(...args),
    read: (reader) => {
      try {
        return api.parseResponse(0, key, version, reader);
      } catch (error) {
        const { response } = error as { readonly response?: R };
        if (response === undefined) throw error;
        return response;
      }
    },
  };
}

/** The same request; what its answer means. */
export function readAs<A, B>(call: Call<A>, meaning: (answer: A) => B): Call<B> {
  return { ...call, read: (reader) => meaning(call.read(reader)) };
}

/** Lowest and highest. */
export type Versions = readonly [number, number];

export interface Supported {
  readonly apis: ReadonlyMap<number, Versions>;
  /** By name. */
  readonly features: ReadonlyMap<string, Versions>;
}

const SUPPORTED_FEATURES = 0;

/** What the broker itself supports. **Errors**: the answer's. */
export function supportedCall({ apiVersionsV3 }: Library): Call<Supported> {
  const { key, version } = apiVersionsV3.api;
  return {
    key,
    version,
    write: () => apiVersionsV3.createRequest("waybill", "1"),
    read: (reader) => {
      const { apiKeys } = apiVersionsV3.parseResponse(0, key, version, reader);
      return {
        apis: new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]])),
        features: supportedFeatures(reader),
      };
    },
  };
}

function supportedFeatures(reader: Reader): Supported["features"] {
  const features = new Map<string, Versions>();
  for (let left = reader.readUnsignedVarInt(); left > 0; left--) {
    const tag = reader.readUnsignedVarInt();
    const size = reader.readUnsignedVarInt();
    if (tag !== SUPPORTED_FEATURES) reader.skip(size);
    else reader.readArray((one) => features.set(one.readString(), [one.readInt16(), one.readInt16()]));
  }
  return features;
}

const PRODUCE = { key: 0, version: 9 };
/** The newest that names topics by their names: their ids change when they are made anew. */
const FETCH = { key: 1, version: 12 };
const DESCRIBE_GROUP = { key: 69, version: 0 };
const ALL_REPLICAS = -1;
/** A client and no replica; an epoch and a session that are not given. */
const NONE = -1;

export interface ProduceAnswer {
  readonly errorCode: number;
  readonly baseOffset: number;
  readonly appendedAtMs: number | undefined;
  readonly errorMessage: string | null | undefined;
}

interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** By {@link placeName}. */
export type ProduceAnswers = ReadonlyMap<string, ProduceAnswer>;

export function placeName({ topic, partition }: Place): string {
  return `${topic}-${partition}`;
}

export interface ProduceOptions {
  /** How long the broker waits for the replicas. */
  readonly timeoutMs: number;
  readonly nowMs: number;
  /** So many bytes, which may be overwritten once the call was sent. */
  readonly memory: (bytes: number) => Buffer;
}

/**
 * `batches`: one of each partition, encoded in `maxBytes` or less. All partitions are answered for.
 */
export function produceCall(
  library: Library,
  batches: readonly (Place & { readonly records: Records; readonly maxBytes: number })[],
  { timeoutMs, nowMs, memory }: ProduceOptions,
): Call<ProduceAnswers> {
  const topics = [...new Set(batches.map(({ topic }) => topic))];
  return {
    ...PRODUCE,
    write: () => {
      let target = memory(batches.reduce((bytes, { maxBytes }) => bytes + maxBytes, 0));
      return library.Writer.create()
        .appendString(null)
        .appendInt16(ALL_REPLICAS)
        .appendInt32(timeoutMs)
        .appendArray(topics, (list, name) =>
          list.appendString(name).appendArray(
            batches.filter(({ topic }) => topic === name),
            (partitions, { partition, records }) => {
              const batch = encodeBatch(records, { nowMs, target }, library);
              target = target.subarray(batch.length);
              partitions.appendInt32(partition).appendBytes(batch);
            },
          ),
        )
        .appendTaggedFields();
    },
    read: (reader) => {
      const answers = new Map(reader.readArray(producedTopic).flat());
      for (const batch of batches)
        if (!answers.has(placeName(batch))) throw new Error(`no answer for ${placeName(batch)}`);
      return answers;
    },
  };
}

function producedTopic(reader: Reader): readonly (readonly [string, ProduceAnswer])[] {
  const topic = reader.readString();
  return reader.readArray((one) => {
    const partition = one.readInt32();
    return [placeName({ topic, partition }), produced(one)] as const;
  });
}

function produced(reader: Reader): ProduceAnswer {
  const errorCode = reader.readInt16();
  const baseOffset = Number(reader.readInt64());
  const appendedAtMs = Number(reader.readInt64());
  reader.readInt64();
  reader.readArray((record) => (record.readInt32(), record.readNullableString()));
  return {
    errorCode,
    baseOffset,
    appendedAtMs: appendedAtMs === NONE ? undefined : appendedAtMs,
    errorMessage: reader.readNullableString(),
  };
}

export interface FetchAnswer {
  readonly errorCode: number;
  readonly end: number;
  readonly first: number;
  readonly batches: Buffer;
}

/** By {@link placeName}. */
export type FetchAnswers = ReadonlyMap<string, FetchAnswer>;

/** Of one partition: from where on, and how much at most. */
export interface FetchPlace extends Place {
  readonly offset: number;
  readonly maxBytes: number;
}

/**
 * `asked`: one of each partition. The broker answers as soon as one of them has records, with at
 * most `maxBytes` in all, the first ones first. All partitions are answered for.
 */
export function fetchCall(
  { Writer }: Library,
  asked: readonly FetchPlace[],
  { maxBytes, maxWaitMs }: { readonly maxBytes: number; readonly maxWaitMs: number },
): Call<FetchAnswers> {
  const topics = [...new Set(asked.map(({ topic }) => topic))];
  return {
    ...FETCH,
    write: () =>
      Writer.create()
        .appendInt32(NONE)
        .appendInt32(maxWaitMs)
        .appendInt32(1)
        .appendInt32(maxBytes)
        // Also of transactions that are not committed: nobody makes some here.
        .appendInt8(0)
        .appendInt32(0)
        .appendInt32(NONE)
        .appendArray(topics, (list, name) =>
          list.appendString(name).appendArray(
            asked.filter(({ topic }) => topic === name),
            (partitions, one) =>
              partitions
                .appendInt32(one.partition)
                .appendInt32(NONE)
                .appendInt64(BigInt(one.offset))
                .appendInt32(NONE)
                .appendInt64(BigInt(NONE))
                .appendInt32(one.maxBytes),
          ),
        )
        .appendArray([], () => {})
        .appendString("")
        .appendTaggedFields(),
    read: (reader) => {
      reader.readInt32();
      const errorCode = reader.readInt16();
      reader.readInt32();
      const refused = { errorCode, end: 0, first: 0, batches: Buffer.alloc(0) };
      if (errorCode !== 0) return new Map(asked.map((one) => [placeName(one), refused]));
      const answers = new Map(reader.readArray(fetchedTopic, true, false).flat());
      for (const one of asked) if (!answers.has(placeName(one))) throw new Error(`no answer for ${placeName(one)}`);
      return answers;
    },
  };
}

function fetchedTopic(reader: Reader): readonly (readonly [string, FetchAnswer])[] {
  const topic = reader.readString();
  const answers = reader.readArray(
    (one) => {
      const partition = one.readInt32();
      return [placeName({ topic, partition }), fetched(one)] as const;
    },
    true,
    false,
  );
  skipTags(reader);
  return answers;
}

function fetched(reader: Reader): FetchAnswer {
  const errorCode = reader.readInt16();
  const end = Number(reader.readInt64());
  reader.readInt64();
  const first = Number(reader.readInt64());
  reader.readArray((aborted) => (aborted.readInt64(), aborted.readInt64()));
  reader.readInt32();
  const batches = reader.readBytes();
  skipTags(reader);
  return { errorCode, end, first, batches };
}

/** The library takes their number for bytes: a broker adds some to a partition that has moved. */
function skipTags(reader: Reader): void {
  for (let left = reader.readUnsignedVarInt(); left > 0; left--) {
    reader.readUnsignedVarInt();
    reader.skip(reader.readUnsignedVarInt());
  }
}

export interface DescribedGroup {
  readonly errorCode: number;
  readonly errorMessage: string | null | undefined;
  readonly members: readonly {
    readonly memberId: string;
    readonly memberEpoch: number;
    readonly clientId: string;
    readonly host: string;
    readonly assignment: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
  }[];
}

export function describeGroupCall({ Writer }: Library, group: string): Call<DescribedGroup> {
  return {
    ...DESCRIBE_GROUP,
    write: () =>
      Writer.create()
        .appendArray([group], (groups, id) => groups.appendString(id), true, false)
        .appendBoolean(false)
        .appendTaggedFields(),
    read: (reader) => {
      reader.readInt32();
      return only(reader.readArray(describedGroup));
    },
  };
}

function describedGroup(reader: Reader): DescribedGroup {
  const errorCode = reader.readInt16();
  const errorMessage = reader.readNullableString();
  reader.readString();
  reader.readString();
  reader.readInt32();
  reader.readInt32();
  reader.readString();
  const members = reader.readArray(member);
  reader.readInt32();
  return { errorCode, errorMessage, members };
}

function member(reader: Reader): DescribedGroup["members"][number] {
  const memberId = reader.readString();
  reader.readNullableString();
  reader.readNullableString();
  const memberEpoch = reader.readInt32();
  const clientId = reader.readString();
  const host = reader.readString();
  reader.readArray((topic) => topic.readString(), true, false);
  reader.readNullableString();
  const assignment = partitionsOf(reader);
  // What it is to have, once others have let go.
  partitionsOf(reader);
  return { memberId, memberEpoch, clientId, host, assignment };
}

function partitionsOf(reader: Reader): DescribedGroup["members"][number]["assignment"] {
  const topics = reader.readArray((topic) => {
    topic.readUUID();
    return { topic: topic.readString(), partitions: topic.readArray((one) => one.readInt32(), true, false) };
  });
  reader.readTaggedFields();
  return topics;
}

/** One partition is asked for, and one answered. */
function only<T>(answers: readonly T[]): T {
  const [answer] = answers;
  if (answer === undefined || answers.length > 1) throw new Error(`${answers.length} answers for one partition`);
  return answer;
}
