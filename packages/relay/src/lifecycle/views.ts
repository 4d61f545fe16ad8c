import type { Clock } from "@waybill/core";
import { clusterOf } from "../admin/cluster/cluster-view.ts";
import { overviewOf } from "../admin/live/overview.ts";
import { Sampler } from "../admin/live/sampler.ts";
import type { Metrics } from "../admin/metrics/metrics.ts";
import type { EnvironmentFigures, RelayFigures } from "../admin/metrics/relay-tables.ts";
import type { RelayFacts } from "../admin/problems.ts";
import type { Accounts, Cluster, LaneView, Overview, Readiness, ReplayView, SourceView } from "../admin/views.ts";
import type { EnvironmentConfig } from "../config/types.ts";
import type { Destination } from "../delivery/destination.ts";
import type { Environment } from "../environment.ts";
import type { SourceTable } from "../intake/sources.ts";
import type { Plan } from "../plan.ts";
import type { TlsView } from "../tls/tls-end.ts";
import { LIBRARY } from "../version.ts";
import { DiskSpace } from "./disk-space.ts";
import { DiskUsage } from "./disk-usage.ts";

export interface RelayViewsOptions {
  readonly plan: Plan;
  readonly clock: Clock;
  /** `undefined` until events are accepted. */
  readonly sources: () => SourceTable | undefined;
  readonly isStopping: () => boolean;
  readonly refusedRequests: Metrics["refusedRequests"];
  readonly reload: () => RelayFacts["reload"];
  readonly certificates: () => readonly TlsView[];
}

/** What the relay shows of itself: to the admin API, the metrics and the command line. */
export class RelayViews {
  readonly #options: RelayViewsOptions;
  readonly #startedAtMs: number;
  readonly sampler: Sampler;
  readonly #space: DiskSpace;
  readonly #usage: DiskUsage;

  constructor(options: RelayViewsOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.now();
    const { plan, clock, sources, refusedRequests } = options;
    this.#space = new DiskSpace(plan.config.dataDirectory);
    this.#usage = new DiskUsage(clock);
    this.sampler = new Sampler({
      clock,
      environments: () => plan.environments.values(),
      inPartitions: () => this.#inPartitions ?? [],
      sources,
      refusedRequests,
      onStep: () => this.lookAtDisk(),
    });
  }

  accounts(): Accounts {
    const atMs = this.#options.clock.now();
    return {
      atMs,
      startedAtMs: this.#startedAtMs,
      version: LIBRARY.version,
      lanes: this.lanes(atMs),
      sources: this.sources(),
      replays: this.replays(),
    };
  }

  lanes(atMs: number = this.#options.clock.now()): readonly LaneView[] {
    const { plan } = this.#options;
    const { hardMaxBytes } = plan.config.retention;
    return [...plan.environments.values()].flatMap((environment) => environment.lanes(atMs, hardMaxBytes));
  }

  sources(): readonly SourceView[] {
    return this.#options.sources()?.views() ?? [];
  }

  replays(): readonly ReplayView[] {
    return [...this.#options.plan.environments.values()].flatMap(({ replays }) => replays.views());
  }

  overview(): Overview {
    const { plan, clock, sources, isStopping, refusedRequests, reload, certificates } = this.#options;
    const now = clock.now();
    const { hardMaxBytes } = plan.config.retention;
    return overviewOf({
      now,
      startedAt: this.#startedAtMs,
      version: LIBRARY.version,
      readiness: this.#storage(),
      isStopping: isStopping(),
      environments: [...plan.environments.values()],
      lanesOf: (environment) => environment.lanes(now, hardMaxBytes),
      sources: sources(),
      sampler: this.sampler,
      refusedRequests,
      reload: reload(),
      certificates: certificates(),
      disk: this.#space.last,
      cluster: this.cluster(now),
      inPartitions: this.#inPartitions,
    });
  }

  /** `undefined` on the disk. */
  get #inPartitions(): readonly EnvironmentConfig[] | undefined {
    const { kafka, environments } = this.#options.plan.config;
    return kafka === undefined ? undefined : environments;
  }

  /** `undefined` on the disk. */
  cluster(now: number = this.#options.clock.now()): Cluster | undefined {
    const { config, directory } = this.#options.plan;
    if (config.kafka === undefined || directory === undefined) return undefined;
    return clusterOf({
      now,
      directory,
      destinations: config.environments.flatMap(({ name: environment, destinations }) =>
        destinations.map(({ name: destination }) => ({ environment, destination })),
      ),
      partitions: config.kafka.partitions,
    });
  }

  /** For the metrics. */
  figures(): RelayFigures {
    const { plan, reload } = this.#options;
    const reloadedOk = reload()?.ok ?? true;
    return { ready: this.#storage().ready, loadedAtMs: plan.loadedAt, reloadedOk, disk: this.#space.last };
  }

  environmentFigures(): readonly EnvironmentFigures[] {
    return [...this.#options.plan.environments.values()].map((environment) => {
      const { name, log, directories, syncSeconds } = environment;
      const used = directories.flatMap(([directory, path]) => {
        const bytes = this.#usage.of(path);
        return bytes === undefined ? [] : [[directory, bytes] as const];
      });
      return {
        environment: name,
        ready: environment.component().ready,
        logBytes: log.headByte - log.firstByte,
        logEvents: log.head - log.first,
        damagedEvents: log.recovery.damaged.reduce((total, { events }) => total + events, 0),
        tornBytes: log.recovery.tornBytes,
        diskBytes: Object.fromEntries(used),
        syncSeconds,
      };
    });
  }

  /** What is found is in the figures when it is known. Never throws. */
  lookAtDisk(): void {
    this.#space.look();
    this.#usage.look(this.#directories());
  }

  *#directories(): Generator<string> {
    for (const environment of this.#options.plan.environments.values())
      for (const [, path] of environment.directories) yield path;
  }

  lane(environment: Environment, destination: Destination): LaneView {
    const { plan, clock } = this.#options;
    return environment.lane(destination, clock.now(), plan.config.retention.hardMaxBytes);
  }

  #storage(): Pick<Readiness, "ready" | "components"> {
    const { plan, isStopping } = this.#options;
    const components = [...plan.opened.values()].flatMap((environment) => environment.components());
    return { ready: !isStopping() && components.every((component) => component.ready), components };
  }

  readiness(): Readiness {
    return {
      ...this.#storage(),
      lanes: this.accounts().lanes.map(({ environment, destination, mode, reason }) => ({
        environment,
        destination,
        mode,
        ...(reason === undefined ? {} : { reason }),
      })),
    };
  }

  /** One line: what listens where, where the log is, which lanes there are. */
  summary({ intakeUrl, adminUrl }: { readonly intakeUrl: string; readonly adminUrl: string }): string {
    const { dataDirectory, kafka, environments } = this.#options.plan.config;
    const lanes = environments.flatMap(({ name, destinations }) => destinations.map((one) => `${name}/${one.name}`));
    const log = kafka === undefined ? dataDirectory : `Kafka's topics ${kafka.topicPrefix}.*`;
    return `waybill relay ${LIBRARY.version}: events on ${intakeUrl}, admin on ${adminUrl}, log in ${log}, lanes ${lanes.join(", ") || "none"}`;
  }
}
