import type { Clock } from "@waybill/core";
import type { Environment } from "../environment.ts";
import type { Drain } from "../intake/drain.ts";
import type { GuardOptions } from "./guard.ts";
import type { Accounts, EnvironmentView, Readiness, ReloadResult, RotationView } from "./views.ts";

/** What the admin API shows and steers. */
export interface AdminView {
  /** As configured now. */
  guard(): GuardOptions;
  readonly clock: Clock;
  readonly drain: Drain;
  /** Aborted when the relay stops: streams end. */
  readonly stopping: AbortSignal;
  accounts(): Accounts;
  readiness(): Readiness;
  metrics(): Promise<{ readonly text: string; readonly contentType: string }>;
  environment(name: string): Environment | undefined;
  environments(): readonly Environment[];
  reload(): Promise<ReloadResult>;
  /** Environments, their sources and destinations. */
  plan(): readonly EnvironmentView[];
  /** Those that are kept. */
  rotations(): readonly RotationView[];
  rotate(keySet: string, key: string, graceMs: number): Promise<boolean>;
  /** A route has failed for a defect. */
  onError(error: unknown): void;
}
