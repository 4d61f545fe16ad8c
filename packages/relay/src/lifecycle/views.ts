import type { Clock } from "@waybill/core";
import type { Accounts, Readiness } from "../admin/views.ts";
import type { SourceTable } from "../intake/sources.ts";
import type { Plan } from "../plan.ts";
import { LIBRARY } from "../version.ts";

export interface RelayViewsOptions {
  readonly plan: Plan;
  readonly clock: Clock;
  /** `undefined` until events are accepted. */
  readonly sources: () => SourceTable | undefined;
  readonly isStopping: () => boolean;
}

/** What the relay shows of itself: to the admin API, the metrics and the command line. */
export class RelayViews {
  readonly #options: RelayViewsOptions;
  readonly #startedAtMs: number;

  constructor(options: RelayViewsOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.now();
  }

  accounts(): Accounts {
    const { plan, clock, sources } = this.#options;
    const atMs = clock.now();
    const { hardMaxBytes } = plan.config.retention;
    const environments = [...plan.environments.values()];
    return {
      atMs,
      startedAtMs: this.#startedAtMs,
      version: LIBRARY.version,
      lanes: environments.flatMap((environment) => environment.lanes(atMs, hardMaxBytes)),
      sources: sources()?.views() ?? [],
      replays: environments.flatMap((environment) => environment.replays.views()),
    };
  }

  readiness(): Readiness {
    const { plan, isStopping } = this.#options;
    const components = [...plan.environments.values()].map((environment) => environment.component());
    return {
      ready: !isStopping() && components.every((component) => component.ready),
      components,
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
    const { dataDirectory } = this.#options.plan.config;
    const lanes = this.accounts().lanes.map(({ environment, destination }) => `${environment}/${destination}`);
    return `waybill relay ${LIBRARY.version}: events on ${intakeUrl}, admin on ${adminUrl}, log in ${dataDirectory}, lanes ${lanes.join(", ") || "none"}`;
  }
}
