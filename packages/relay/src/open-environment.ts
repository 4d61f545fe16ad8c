import type { Position, RetentionLimits } from "@waybill/log";
import type { ComponentView } from "./admin/views.ts";
import type { ExchangePlace } from "./cluster/cluster-exchanges.ts";
import type { ClusterReplays } from "./cluster/cluster-replays.ts";
import type { LaneEntry } from "./cluster/relay-directory.ts";
import type { EnvironmentConfig } from "./config/types.ts";
import type { PreparedPlan } from "./delivery/destination-plan.ts";
import type { ExchangeAnswer } from "./delivery/exchanges.ts";
import type { Environment } from "./environment.ts";
import type { SourceEnvironment } from "./intake/source-environment.ts";
import type { KafkaRange } from "./receipt.ts";

/** Where an event is in a log. */
export interface PlaceInLog {
  readonly environment: Environment;
  readonly position: Position;
}

/** An environment of the plan, wherever its log is. */
export interface OpenEnvironment {
  readonly name: string;
  readonly source: SourceEnvironment;
  /** What delivers here: itself, or those partitions of it that are here. */
  readonly shards: readonly Environment[];
  /** In a cluster: lanes of a destination begin to follow what operators ask for. */
  steer?(destination: string): void;
  /** In a cluster: lanes begin to follow what operators ask for about replays. */
  replaysChanged?(): void;
  /** Over all partitions. Absent on the disk. */
  readonly clusterReplays?: ClusterReplays;
  /** In a cluster: what this relay tells of its lanes. */
  laneEntries?(): readonly LaneEntry[];
  /** In a cluster: what operators should know of it, a text each. */
  faults?(): readonly string[];
  components(): readonly ComponentView[];
  start(): void;
  /** Where a place of a receipt is. Absent on the disk. */
  placeOf?(range: KafkaRange): Promise<PlaceInLog | undefined>;
  /** The vendor's answer to an event whose lane is here, for another relay. Absent on the disk. */
  answerHere?(place: ExchangePlace, deadlineMs: number): Promise<ExchangeAnswer>;
  /** Everything that a new plan needs. One at a time. */
  prepare(config: EnvironmentConfig): Promise<PreparedPlan>;
  /** Makes every cursor durable. Never rejects. */
  sync(): Promise<void>;
  /** Gives space back. Never rejects. */
  retain(limits: RetentionLimits, nowMs: number): Promise<number>;
  stopDelivery(deadlineMs: number): Promise<void>;
  close(deadlineMs: number): Promise<void>;
}
