import type { Clock } from "@waybill/core";
import type { ExchangePlace } from "../cluster/cluster-exchanges.ts";
import type { ClusterReplays } from "../cluster/cluster-replays.ts";
import type { Confirmation } from "../cluster/confirmations.ts";
import type { LanesOf } from "../cluster/desired-state.ts";
import type { Destination } from "../delivery/destination.ts";
import type { ExchangeAnswer } from "../delivery/exchanges.ts";
import type { Environment } from "../environment.ts";
import type { Drain } from "../intake/drain.ts";
import type { PlaceInLog } from "../open-environment.ts";
import type { KafkaRange } from "../receipt.ts";
import type { Peers } from "./cluster/peers.ts";
import type { GuardOptions } from "./guard.ts";
import type { Sampler } from "./live/sampler.ts";
import type {
  Accounts,
  CheckedConfig,
  Cluster,
  ConfigView,
  EnvironmentView,
  LaneView,
  Overview,
  Readiness,
  ReloadResult,
  RotationView,
} from "./views.ts";

/** What the admin API shows and steers. */
export interface AdminView {
  /** As configured now. */
  guard(): GuardOptions;
  readonly clock: Clock;
  readonly drain: Drain;
  /** Aborted when the relay stops: streams end. */
  readonly stopping: AbortSignal;
  accounts(): Accounts;
  overview(): Overview;
  /** Absent on the disk. */
  cluster(): Cluster | undefined;
  /** What is known of the last hour. */
  sampler(): Sampler;
  lane(environment: Environment, destination: Destination): LaneView;
  /** The other relays of the cluster; absent on the disk. */
  peers?(): Peers | undefined;
  /** Replays over all partitions, by environment; absent on the disk. */
  clusterReplays?(): ReadonlyMap<string, ClusterReplays> | undefined;
  /** Where a place of a receipt is; `undefined` when its partition is not here, or lost it. */
  placeOf?(environment: string, range: KafkaRange): Promise<PlaceInLog | undefined>;
  /** The vendor's answer to an event whose lane is here, for another relay; absent on the disk. */
  readonly answerHere?: (place: ExchangePlace, deadlineMs: number) => Promise<ExchangeAnswer>;
  readiness(): Readiness;
  metrics(): Promise<{ readonly text: string; readonly contentType: string }>;
  environment(name: string): Environment | undefined;
  environments(): readonly Environment[];
  reload(): Promise<ReloadResult>;
  /** Environments, their sources and destinations. */
  plan(): readonly EnvironmentView[];
  /** The configuration in force, without secrets. */
  config(): ConfigView;
  /**
   * What a configuration would change; of `undefined` the one on disk, `"no file"` when there is
   * none. **Errors**: as a reload's.
   */
  checkConfig(text: string | undefined): Promise<CheckedConfig | "no file">;
  /** Those that are kept. */
  rotations(): readonly RotationView[];
  /** `undefined`: there is no such key set. */
  rotate(keySet: string, key: string, graceMs: number): Promise<Confirmation | undefined>;
  /** `undefined`: there is no such destination. */
  steer(lanes: LanesOf, action: "pause" | "resume"): Promise<Confirmation | undefined>;
  /** A route has failed for a defect. */
  onError(error: unknown): void;
}
