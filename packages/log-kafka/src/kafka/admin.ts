import { BrokerError, type NewTopic } from "../broker.ts";
import { failureOf } from "./failures.ts";
import type { Library } from "./library.ts";
import type { KnownTopic } from "./metadata.ts";
import { type Call, callOf, readAs } from "./requests.ts";

const TOPIC = 2;
const GROUP = 32;
const UNKNOWN_TOPIC = 3;

export interface Created {
  readonly errorCode: number;
  readonly errorMessage: string | null | undefined;
}

export function newTopicCall(library: Library, topic: NewTopic, timeoutMs: number): Call<Created> {
  const wanted = {
    name: topic.topic,
    numPartitions: topic.partitions,
    replicationFactor: topic.replicationFactor,
    assignments: [],
    configs: Object.entries(topic.configs).map(([name, value]) => ({ name, value })),
  };
  return readAs(callOf(library.createTopicsV7, [wanted], timeoutMs, false), ({ topics }) => {
    const [answer] = topics;
    if (answer === undefined) throw new BrokerError("invalid", `no answer about ${topic.topic}`);
    return { errorCode: answer.errorCode, errorMessage: answer.errorMessage };
  });
}

/** Whether all its partitions are there, each with a leader. */
export function isCreated(known: KnownTopic | undefined, partitions: number): boolean {
  return known?.partitions.length === partitions && known.partitions.every(({ leader }) => leader !== undefined);
}

type Configs = Readonly<Record<string, string>>;

/** By topic; nothing of those that may not be read. **Errors**: `not_leader`, the answer's. */
export function configsCall(library: Library, topics: readonly string[]): Call<ReadonlyMap<string, Configs>> {
  return configsOfCall(library, TOPIC, topics);
}

/** Nothing when it may not be read. **Errors**: the answer's. */
export function groupConfigsCall(library: Library, group: string): Call<Configs> {
  return readAs(configsOfCall(library, GROUP, [group]), (configs) => configs.get(group) ?? {});
}

function configsOfCall(
  library: Library,
  resourceType: number,
  names: readonly string[],
): Call<ReadonlyMap<string, Configs>> {
  const asked = names.map((resourceName) => ({ resourceType, resourceName, configurationKeys: null }));
  // The library's type has no null, which asks for all keys.
  const call = callOf(library.describeConfigsV4, asked as never, false, false);
  return readAs(call, ({ results }) => new Map(results.map((result) => [result.resourceName, configsOf(result)])));
}

interface Described {
  readonly errorCode: number;
  readonly errorMessage: string | null | undefined;
  readonly resourceName: string;
  readonly configs: readonly { readonly name: string; readonly value?: string | null | undefined }[];
}

function configsOf({ errorCode, errorMessage, resourceName, configs }: Described): Configs {
  const what = `configuration of ${resourceName}: ${errorMessage}`;
  // Others know it: the broker that was asked will as well.
  if (errorCode === UNKNOWN_TOPIC) throw new BrokerError("not_leader", what);
  if (errorCode !== 0) {
    const failure = failureOf(errorCode, what);
    if (failure.code === "unauthorized") return {};
    throw failure;
  }
  return Object.fromEntries(
    configs.flatMap(({ name, value }) => (value === null || value === undefined ? [] : [[name, value]])),
  );
}
