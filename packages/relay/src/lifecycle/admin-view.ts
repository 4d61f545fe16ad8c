import type { Clock } from "@waybill/core";
import type { Peers } from "../admin/cluster/peers.ts";
import { type GuardOptions, hostnameOf } from "../admin/guard.ts";
import type { Metrics } from "../admin/metrics/metrics.ts";
import type { AdminView } from "../admin/view.ts";
import type { ConfigView, ReloadResult } from "../admin/views.ts";
import type { ClusterReplays } from "../cluster/cluster-replays.ts";
import { changesBetween } from "../config/changes.ts";
import { shownConfig } from "../config/shown-config.ts";
import type { RelayConfig } from "../config/types.ts";
import type { Drain } from "../intake/drain.ts";
import type { Plan } from "../plan.ts";
import type { TrustedProxies } from "../trusted-proxies.ts";
import { steer } from "./steer.ts";
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
  /** A text as a configuration; of `undefined` what a reload would read. */
  readonly readConfig: ((text: string | undefined) => Promise<RelayConfig>) | undefined;
  readonly configFile: string | undefined;
  readonly proxies: () => TrustedProxies;
  /** `undefined` on the disk. */
  readonly peers: () => Peers | undefined;
}

/** What the admin API sees of the relay. */
export function adminViewOf(options: AdminViewOptions): AdminView {
  const { plan, views, metrics, readConfig, configFile, proxies, peers, ...rest } = options;
  return {
    ...rest,
    guard: () => ({ ...guardOf(plan.config), proxies: proxies() }),
    accounts: () => views.accounts(),
    overview: () => views.overview(),
    cluster: () => views.cluster(),
    sampler: () => views.sampler,
    lane: (environment, destination) => views.lane(environment, destination),
    peers,
    clusterReplays: () => (plan.control === undefined ? undefined : clusterReplaysOf(plan)),
    placeOf: async (environment, range) => plan.opened.get(environment)?.placeOf?.(range),
    ...(plan.config.kafka === undefined
      ? {}
      : { answerHere: async (place, ms) => plan.opened.get(place.environment)?.answerHere?.(place, ms) ?? "nobody" }),
    readiness: () => views.readiness(),
    metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
    environment: (name) => plan.environments.get(name),
    environments: () => [...plan.environments.values()],
    plan: () => plan.views(),
    config: () => configView(plan, configFile),
    checkConfig: async (text) => {
      if (readConfig === undefined) return "no file";
      const { config } = plan;
      const wanted = await readConfig(text);
      return { changes: changesBetween(config, wanted), warnings: wanted.warnings ?? [] };
    },
    rotations: () => plan.rotationViews(),
    steer: (lanes, action) => steer(plan, lanes, action),
    rotate: (keySet, key, graceMs) => plan.rotate(keySet, key, graceMs),
  };
}

function clusterReplaysOf({ opened }: Plan): ReadonlyMap<string, ClusterReplays> {
  return new Map(
    [...opened].flatMap(([name, { clusterReplays }]) => (clusterReplays === undefined ? [] : [[name, clusterReplays]])),
  );
}

function configView(plan: Plan, file: string | undefined): ConfigView {
  const { config, loadedAt, lastReload } = plan;
  return {
    file: file ?? null,
    loadedAt,
    config: shownConfig(config),
    warnings: config.warnings ?? [],
    lastReload: lastReload ?? null,
  };
}

function guardOf({ admin, kafka }: Pick<RelayConfig, "admin" | "kafka">): GuardOptions {
  const { host, hosts = [], token, readOnlyToken } = admin;
  // The address that listens on all others is not a name to be known by.
  const own = host === "0.0.0.0" || host === "::" ? [] : [host.toLowerCase()];
  const advertised = kafka?.advertise === undefined ? [] : [hostnameOf(new URL(kafka.advertise).host)];
  return { hosts: [...own, ...advertised, ...hosts], token, readOnlyToken };
}
