import type { Clock } from "@waybill/core";
import type { GuardOptions } from "../admin/guard.ts";
import type { Metrics } from "../admin/metrics/metrics.ts";
import type { AdminView } from "../admin/view.ts";
import type { ReloadResult } from "../admin/views.ts";
import type { RelayConfig } from "../config/types.ts";
import type { Drain } from "../intake/drain.ts";
import type { Plan } from "../plan.ts";
import type { RelayViews } from "./views.ts";

export interface AdminViewOptions {
  readonly plan: Plan;
  readonly views: RelayViews;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly drain: Drain;
  readonly stopping: AbortSignal;
  readonly reload: () => Promise<ReloadResult>;
  readonly onError: (error: unknown) => void;
}

/** What the admin API sees of the relay. */
export function adminViewOf({ plan, views, metrics, ...rest }: AdminViewOptions): AdminView {
  return {
    ...rest,
    guard: () => guardOf(plan.config),
    accounts: () => views.accounts(),
    overview: () => views.overview(),
    sampler: () => views.sampler,
    lane: (environment, destination) => views.lane(environment, destination),
    readiness: () => views.readiness(),
    metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
    environment: (name) => plan.environments.get(name),
    environments: () => [...plan.environments.values()],
    plan: () => plan.views(),
    rotations: () => plan.rotationViews(),
    rotate: (keySet, key, graceMs) => plan.rotate(keySet, key, graceMs),
  };
}

function guardOf({ admin }: Pick<RelayConfig, "admin">): GuardOptions {
  const { host, hosts = [], token, readOnlyToken } = admin;
  // The address that listens on all others is not a name to be known by.
  const own = host === "0.0.0.0" || host === "::" ? [] : [host.toLowerCase()];
  return { hosts: [...own, ...hosts], token, readOnlyToken };
}
