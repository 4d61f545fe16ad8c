/** A relay's environment before a simulated cluster, on a virtual clock and without sockets. */
import type { Transport } from "@waybill/core";
import { ReadMemory } from "@waybill/log";
import type { Broker } from "@waybill/log-kafka";
import { resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SimDisk, type VirtualClock } from "@waybill/testing";
import type { ReplayRecords } from "../../../src/cluster/asked-replays.ts";
import { ClusterEnvironment } from "../../../src/cluster/cluster-environment.ts";
import type { AnswerFromOwner } from "../../../src/cluster/cluster-exchanges.ts";
import type { Holds } from "../../../src/cluster/holds.ts";

export interface ClusterOptions {
  readonly clock: VirtualClock;
  readonly broker: Broker;
  readonly partitions: number;
  /** Default: nothing is ever answered. */
  readonly transport?: Transport;
  readonly onLine?: (line: string) => void;
  /** Default: nothing can be asked of it. */
  readonly holds?: Holds;
  /** Default: {@link configOf}. */
  readonly config?: EnvironmentConfig;
  readonly answerFromOwner?: AnswerFromOwner;
  /** Default: it knows of no other relay. */
  readonly relays?: Relays;
  /** Default: nobody can ask for replays. */
  readonly records?: ReplayRecords;
  /** Default: a day, and 1,000 events. */
  readonly dedupe?: { readonly windowMs: number; readonly maxIds: number };
  /** Default: a new one. */
  readonly disk?: SimDisk | undefined;
}

type Relays = NonNullable<Parameters<typeof ClusterEnvironment.open>[0]["relays"]>;
type EnvironmentConfig = ReturnType<typeof resolveEnvironment>;

export function configOf(writeKey: string, settings: Readonly<Record<string, unknown>> = {}): EnvironmentConfig {
  return resolveEnvironment("test", {
    sources: { web: { protocol: "segment", writeKeys: ["in"] } },
    destinations: { segment: { vendor: "segment", url: "http://segment.test", writeKey, ...settings } },
  });
}

export async function openOn({
  clock,
  broker,
  partitions,
  transport = () => new Promise(() => undefined),
  onLine = () => undefined,
  holds,
  config = configOf("old"),
  answerFromOwner,
  relays,
  records,
  dedupe = { windowMs: 86_400_000, maxIds: 1_000 },
  disk = new SimDisk(),
}: ClusterOptions): Promise<ClusterEnvironment> {
  const ignore = (): void => undefined;
  const limits = { maxAgeMs: 86_400_000, maxBytes: 1e12, hardMaxBytes: 1e12 };
  let isSettled = false;
  const settle = (): void => void (isSettled = true);
  const opening = ClusterEnvironment.open({
    config,
    directory: "/data",
    runtime: { clock, random: new SeededRandom(2), disk, transport },
    dedupe,
    memory: new ReadMemory(1_000_000),
    observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
    report: (code, fields) => onLine(`${code} ${JSON.stringify(fields)}`),
    broker,
    kafka: {
      brokers: ["kafka:9092"],
      topicPrefix: "waybill",
      partitions,
      replicationFactor: 3,
      minInSyncReplicas: 2,
      clientId: "one",
    },
    retention: limits,
    ...(holds === undefined ? {} : { holds }),
    answerFromOwner,
    ...(records === undefined ? {} : { records }),
    ...(relays === undefined ? {} : { relays }),
    markEveryBytes: 500,
    deadlineMs: 1_000,
  });
  opening.then(settle, settle);
  await clock.until(() => isSettled);
  return opening;
}
