/**
 * An environment: one log, its sources on one side and one lane per destination on the other.
 *
 * Directory: `log/` the segments, `ids/` the ids that were stored, `lanes/<destination>` where each lane stands, `dead/<destination>/` its dead letters.
 */
import type { DiskRuntime } from "@waybill/core";
import { type Log, openLog, type RetentionLimits } from "@waybill/log";
import { storedIds } from "@waybill/vendors";
import type { ComponentView, LaneView } from "./admin-types.ts";
import type { DestinationConfig, EnvironmentConfig, RelayConfig } from "./config/types.ts";
import { Destination, type DestinationObserver } from "./destination.ts";
import { scopeOf } from "./sources.ts";
import { StoredIds } from "./stored-ids.ts";

export interface EnvironmentOptions {
  readonly config: EnvironmentConfig;
  readonly directory: string;
  readonly runtime: DiskRuntime;
  readonly observer: DestinationObserver;
  readonly dedupe: RelayConfig["dedupe"];
}

export class Environment {
  readonly name: string;
  readonly log: Log;
  readonly ids: StoredIds;
  readonly #options: EnvironmentOptions;
  readonly #destinations = new Map<string, Destination>();

  private constructor(options: EnvironmentOptions, log: Log, ids: StoredIds) {
    this.name = options.config.name;
    this.log = log;
    this.ids = ids;
    this.#options = options;
  }

  static async open(options: EnvironmentOptions): Promise<Environment> {
    const log = await openLog({ directory: `${options.directory}/log` }, options.runtime);
    const { config: environmentConfig, directory, runtime, dedupe } = options;
    const ids = await StoredIds.open({
      directory: `${directory}/ids`,
      runtime,
      log,
      ...dedupe,
      idsOf: ({ source, body }) => ({ scope: scopeOf(environmentConfig.name, source), ids: storedIds(body) }),
    });
    const environment = new Environment(options, log, ids);
    for (const config of options.config.destinations) await environment.#openDestination(config);
    return environment;
  }

  start(): void {
    for (const destination of this.#destinations.values()) destination.start();
  }

  destination(name: string): Destination | undefined {
    return this.#destinations.get(name);
  }

  /** Follows a new plan: changed destinations take their settings over, new ones begin at the head, missing ones close. */
  async reconfigure(config: EnvironmentConfig, deadlineMs: number): Promise<readonly string[]> {
    const changed: string[] = [];
    for (const wanted of config.destinations) {
      const present = this.#destinations.get(wanted.name);
      if (present === undefined) {
        await this.#openDestination(wanted);
        this.#destinations.get(wanted.name)?.start();
        changed.push(`${this.name}/${wanted.name} added`);
      } else if (JSON.stringify(present.config) !== JSON.stringify(wanted)) {
        present.reconfigure(wanted);
        changed.push(`${this.name}/${wanted.name} changed`);
      }
    }
    const names = new Set(config.destinations.map(({ name }) => name));
    for (const [name, destination] of this.#destinations) {
      if (names.has(name)) continue;
      this.#destinations.delete(name);
      await destination.close(deadlineMs);
      changed.push(`${this.name}/${name} removed`);
    }
    return changed;
  }

  /** Makes every cursor durable. A failure is shown by the component and tried again at the next call. */
  async sync(): Promise<void> {
    await Promise.allSettled([...this.#destinations.values()].map((destination) => destination.sync()));
  }

  /** Gives space back. Cursors are synced first: after a power cut they must not point at what is gone. */
  async retain(limits: RetentionLimits, nowMs: number): Promise<number> {
    await Promise.all([...this.#destinations.values()].map((destination) => destination.sync()));
    let neededFrom = this.log.head;
    for (const destination of this.#destinations.values()) neededFrom = Math.min(neededFrom, destination.neededFrom);
    await this.ids.retain();
    return this.log.retain(limits, nowMs, neededFrom);
  }

  component(): ComponentView {
    const reason = this.log.lastError;
    return { name: `log ${this.name}`, ready: reason === undefined, ...(reason === undefined ? {} : { reason }) };
  }

  lanes(nowMs: number): readonly LaneView[] {
    return [...this.#destinations.values()].map((destination) => laneView(this.name, destination, nowMs));
  }

  async close(deadlineMs: number): Promise<void> {
    await Promise.all([...this.#destinations.values()].map((destination) => destination.close(deadlineMs)));
    await this.log.close();
    await this.ids.close();
  }

  async #openDestination(config: DestinationConfig): Promise<void> {
    const { directory, runtime, observer } = this.#options;
    const destination = await Destination.open({
      environment: this.name,
      config,
      log: this.log,
      runtime,
      directory,
      observer,
    });
    this.#destinations.set(config.name, destination);
  }
}

function laneView(environment: string, destination: Destination, nowMs: number): LaneView {
  const { mode, reason, attempts, failedAttempts, lastError, lastErrorAtMs } = destination.lane();
  const account = destination.account();
  const pending = destination.pending();
  return {
    environment,
    destination: destination.config.name,
    vendor: destination.config.vendor,
    mode,
    ...(reason === undefined ? {} : { reason }),
    account: {
      accepted: account.accepted,
      delivered: account.delivered,
      rejected: account.rejected,
      dropped: account.droppedTotal,
      droppedByReason: account.dropped as Readonly<Record<string, number>>,
      expired: account.expired,
      pending: account.pending,
      balanced: account.balanced,
    },
    pendingBytes: pending.bytes,
    ...(pending.oldestAtMs === undefined ? {} : { oldestPendingMs: Math.max(0, nowMs - pending.oldestAtMs) }),
    attempts,
    failedAttempts,
    ...(lastError === undefined ? {} : { lastError }),
    ...(lastErrorAtMs === undefined ? {} : { lastErrorAtMs }),
  };
}
