/** Puts the parts together, and takes them apart in order. */
import { isUtf8 } from "node:buffer";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createUuidV7, type DiskRuntime, messageOf, type Timer, WaybillError } from "@waybill/core";
import {
  createNodeTransport,
  type DirectoryLock,
  lockDirectory,
  nodeRuntime,
  publicAddresses,
  widerThan,
} from "@waybill/node";
import { DEFAULT_LIMITS, STRICT_LIMITS } from "@waybill/vendors";
import { createAdminServer } from "./admin-server.ts";
import type { Accounts, EnvironmentView, Readiness, ReloadResult } from "./admin-types.ts";
import { batchScanner } from "./batch-scanner.ts";
import { BodyReader } from "./body.ts";
import type { RelayConfig } from "./config/types.ts";
import { Credentials } from "./credentials.ts";
import { Drain } from "./drain.ts";
import { Environment } from "./environment.ts";
import { createFlagSource } from "./flags.ts";
import { Intake } from "./intake.ts";
import { createIntakeServer } from "./intake-server.ts";
import type { Logger } from "./logger.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { SourceTable } from "./sources.ts";
import { LIBRARY } from "./version.ts";

export interface RelayOptions {
  readonly logger: Logger;
  readonly runtime?: DiskRuntime;
  /** Reads the configuration again, for a reload by the admin API; throws a `WaybillError` when it is bad. */
  readonly reloadConfig?: () => Promise<RelayConfig>;
}

export interface RunningRelay {
  readonly intakeUrl: string;
  readonly adminUrl: string;
  /** What is listening, where the log is, which lanes there are: one line. */
  readonly summary: string;
  accounts(): Accounts;
  /** Takes a new plan over as a whole, or not at all. */
  reload(config: RelayConfig): Promise<ReloadResult>;
  /** Stops accepting, finishes the attempts in flight within the deadline, closes the log. Idempotent. */
  stop(): Promise<void>;
}

/** Bodies in memory, together. */
const BODIES_MAX_TOTAL_BYTES = 96 * 1024 * 1024;
/** A power cut sends again what was delivered since the last sync of the cursors. */
const SYNC_INTERVAL_MS = 1_000;
const RETAIN_INTERVAL_MS = 10_000;
/** Of the deadline of a stop, for answers to callers that waited for an attempt until its end. */
const ANSWERS_SHARE = 0.1;

/** Starts a relay. **Errors**: `WAYBILL_LISTEN`, `WAYBILL_LOG_LOCKED`, `WAYBILL_DISK`. */
export async function startRelay(config: RelayConfig, options: RelayOptions): Promise<RunningRelay> {
  const relay = new Relay(config, options);
  try {
    await relay.start();
  } catch (error) {
    await relay.stop();
    throw error;
  }
  return relay;
}

class Relay implements RunningRelay {
  readonly #options: RelayOptions;
  readonly #runtime: DiskRuntime;
  readonly #environments = new Map<string, Environment>();
  readonly #bodies: BodyReader;
  readonly #metrics: Metrics;
  readonly #startedAtMs: number;
  readonly #credentials = new Credentials();
  #config: RelayConfig;
  #intake: Intake | undefined;
  #lock: DirectoryLock | undefined;
  #servers: readonly { readonly server: Server; readonly drain: Drain }[] = [];
  readonly #stopping = new AbortController();
  #maintaining: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #retainAtMs = 0;
  #stopped: Promise<void> | undefined;
  #reloading: Promise<unknown> = Promise.resolve();
  intakeUrl = "";
  adminUrl = "";

  constructor(config: RelayConfig, options: RelayOptions) {
    this.#config = config;
    this.#options = options;
    this.#runtime =
      options.runtime ??
      nodeRuntime({
        transport: createNodeTransport(config.allowPrivateAddresses ? {} : { addresses: publicAddresses }),
        permissions: config.permissions,
      });
    this.#startedAtMs = this.#runtime.clock.now();
    this.#credentials.configure(config.environments, this.#startedAtMs);
    this.#bodies = new BodyReader({ maxBytes: config.bodyMaxBytes, maxTotalBytes: BODIES_MAX_TOTAL_BYTES });
    this.#metrics = createMetrics({
      lanes: () => this.accounts().lanes,
      sources: () => this.accounts().sources,
      replays: () => this.accounts().replays,
      heldBytes: () => this.#bodies.heldBytes,
    });
  }

  get summary(): string {
    const lanes = this.accounts().lanes.map(({ environment, destination }) => `${environment}/${destination}`);
    return `waybill relay ${LIBRARY.version}: events on ${this.intakeUrl}, admin on ${this.adminUrl}, log in ${this.#config.dataDirectory}, lanes ${lanes.join(", ") || "none"}`;
  }

  async start(): Promise<void> {
    const { dataDirectory, environments } = this.#config;
    await this.#runtime.disk.makeDirectory(dataDirectory);
    this.#lock = await lockDirectory(dataDirectory);
    await this.#warnOfReaders();
    for (const { name } of environments) await this.#openEnvironment(name, this.#config);
    this.#intake = new Intake(this.#sourceTable(this.#config), {
      clock: this.#runtime.clock,
      makeId: createUuidV7(this.#runtime.clock, this.#runtime.random),
      limits: {
        ...(this.#config.strict ? STRICT_LIMITS : DEFAULT_LIMITS),
        isUtf8,
        scanBatch: batchScanner(),
      },
      observer: this.#metrics,
      exchangeDeadlineMs: this.#config.exchangeDeadlineMs,
    });
    await this.#listen(this.#intake);
    for (const environment of this.#environments.values()) environment.start();
    this.#maintain();
    this.#options.logger.info({ intake: this.intakeUrl, admin: this.adminUrl, data: dataDirectory }, this.summary);
  }

  accounts(): Accounts {
    const atMs = this.#runtime.clock.now();
    const { hardMaxBytes } = this.#config.retention;
    return {
      atMs,
      startedAtMs: this.#startedAtMs,
      version: LIBRARY.version,
      lanes: [...this.#environments.values()].flatMap((environment) => environment.lanes(atMs, hardMaxBytes)),
      sources: this.#intake?.sources.views() ?? [],
      replays: [...this.#environments.values()].flatMap((environment) => environment.replays.views()),
    };
  }

  /** Makes `key` the one in use of a ring; the others stay valid for the grace. False when there is no such ring. */
  async rotate(ring: string, key: string, graceMs: number): Promise<boolean> {
    if (!this.#credentials.rotate(ring, key, graceMs, this.#runtime.clock.now())) return false;
    await this.#applyCredentials();
    return true;
  }

  reload(config: RelayConfig): Promise<ReloadResult> {
    const reloaded = this.#reloading.then(() => this.#reload(config));
    this.#reloading = reloaded.catch(() => undefined);
    return reloaded;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Everything shares one deadline: from the first moment on it is counted once. */
  async #stop(): Promise<void> {
    const { logger } = this.#options;
    const { clock } = this.#runtime;
    const deadlineMs = this.#config.shutdownDeadlineMs;
    const endsAtMs = clock.monotonic() + deadlineMs;
    const leftMs = (): number => Math.max(0, endsAtMs - clock.monotonic());
    logger.info({ deadlineMs }, "stopping: no new connections, attempts in flight are finished");
    this.#timer?.cancel();
    this.#stopping.abort();
    const environments = [...this.#environments.values()];
    await Promise.all([
      ...this.#servers.map(({ server, drain }) => drain.end(server, clock, leftMs())),
      ...environments.map((environment) => environment.stopDelivery(leftMs() * (1 - ANSWERS_SHARE))),
    ]);
    this.#intake?.stop();
    await Promise.all([this.#reloading, this.#maintaining]);
    await Promise.all([...this.#environments.values()].map((environment) => environment.close(leftMs())));
    await this.#lock?.release();
    logger.info("stopped");
  }

  async #reload(config: RelayConfig): Promise<ReloadResult> {
    const { logger } = this.#options;
    const errors = [...restartNeeded(this.#config, config), ...flagFaults(config)];
    if (errors.length > 0) return { ok: false, changed: [], errors };
    const changed: string[] = [];
    const nowMs = this.#runtime.clock.now();
    this.#credentials.configure(config.environments, nowMs);
    for (const environment of config.environments) {
      const present = this.#environments.get(environment.name);
      if (present !== undefined) {
        const applied = this.#credentials.applied(environment, nowMs);
        changed.push(...(await present.reconfigure(applied, config.shutdownDeadlineMs)));
      } else {
        const opened = await this.#openEnvironment(environment.name, config);
        opened.start();
        changed.push(`${environment.name} added`);
      }
    }
    this.#intake?.replaceSources(this.#sourceTable(config));
    const names = new Set(config.environments.map(({ name }) => name));
    for (const [name, environment] of this.#environments) {
      if (names.has(name)) continue;
      this.#environments.delete(name);
      await environment.close(config.shutdownDeadlineMs);
      changed.push(`${name} removed`);
    }
    this.#config = config;
    logger.info({ changed }, "configuration reloaded");
    return { ok: true, changed, errors: [] };
  }

  /** Brings the keys of now to sources and destinations; one after another with reloads. */
  #applyCredentials(): Promise<void> {
    const applied = this.#reloading.then(async () => {
      const nowMs = this.#runtime.clock.now();
      for (const environment of this.#config.environments)
        await this.#environments
          .get(environment.name)
          ?.reconfigure(this.#credentials.applied(environment, nowMs), this.#config.shutdownDeadlineMs);
      this.#intake?.replaceSources(this.#sourceTable(this.#config));
    });
    this.#reloading = applied.catch((error: unknown) =>
      this.#options.logger.error({ error: messageOf(error) }, "a rotated key could not be applied"),
    );
    return applied;
  }

  async #openEnvironment(name: string, config: RelayConfig): Promise<Environment> {
    const environmentConfig = config.environments.find((one) => one.name === name);
    if (environmentConfig === undefined) throw new Error(`no environment ${name}`);
    const { logger } = this.#options;
    const environment = await Environment.open({
      config: environmentConfig,
      directory: `${config.dataDirectory}/${name}`,
      runtime: this.#runtime,
      dedupe: config.dedupe,
      settings: { strict: config.strict },
      onWarning: (message) => logger.warn({ environment: name }, message),
      observer: {
        attempted: (...args) => this.#metrics.attempted(...args),
        modeChanged: (environmentName, destination, mode, reason) => {
          const fields = { environment: environmentName, destination, mode, reason };
          if (mode === "halted") {
            logger.error(fields, "destination halted until somebody acts, as for a credential; its events are kept");
            if (this.#credentials.refused(environmentName, destination, this.#runtime.clock.now()))
              // What goes wrong is logged where the reload waits for it.
              this.#applyCredentials().catch(() => undefined);
          } else if (mode === "failed")
            logger.error(fields, "a defect stopped this lane; its events are kept, resume tries again");
          else if (mode === "waiting") logger.warn(fields, "destination waits before its next attempt");
          else logger.debug(fields, "lane changed mode");
        },
        stateNotWritten: (environmentName, destination, error) =>
          logger.error(
            { environment: environmentName, destination, error: messageOf(error) },
            "cursor not written; delivery goes on",
          ),
      },
    });
    const { recovery } = environment.log;
    if (recovery.tornBytes > 0 || recovery.damaged.length > 0)
      logger.warn({ environment: name, ...recovery }, "log recovered: a torn tail was cut or a damaged record skipped");
    this.#environments.set(name, environment);
    return environment;
  }

  /** A directory of before, or of an operator's making, is left as it is. */
  async #warnOfReaders(): Promise<void> {
    const { dataDirectory, permissions } = this.#config;
    const mode = await widerThan(dataDirectory, permissions.directoryMode);
    if (mode === undefined) return;
    const [is, wanted] = [mode, permissions.directoryMode].map((one) => `0${one.toString(8)}`);
    this.#options.logger.warn(
      { dataDirectory, mode: is },
      `others on this machine may look into the data directory: its mode is ${is}, wider than ${wanted} (permissions.directories); chmod -R go-rwx ${dataDirectory} closes it`,
    );
  }

  #sourceTable(config: RelayConfig): SourceTable {
    return new SourceTable(
      config.environments.map((environment) => ({
        environment: this.#environments.get(environment.name) as Environment,
        sources: this.#credentials.applied(environment, this.#runtime.clock.now()).sources,
      })),
      this.#runtime.clock,
      this.#intake?.sources,
    );
  }

  async #listen(intake: Intake): Promise<void> {
    const { listen, admin, headersTimeoutMs, requestTimeoutMs } = this.#config;
    const [intakeDrain, adminDrain] = [new Drain(), new Drain()];
    const intakeServer = createIntakeServer({
      drain: intakeDrain,
      intake,
      bodies: this.#bodies,
      readiness: () => this.#readiness(),
      headersTimeoutMs,
      requestTimeoutMs,
      onError: (error) => this.#options.logger.error({ error }, "a request failed for a defect of the relay"),
    });
    const adminServer = createAdminServer({
      token: admin.token,
      drain: adminDrain,
      stopping: this.#stopping.signal,
      accounts: () => this.accounts(),
      readiness: () => this.#readiness(),
      metrics: async () => ({ text: await this.#metrics.text(), contentType: this.#metrics.contentType }),
      environment: (name) => this.#environments.get(name),
      environments: () => [...this.#environments.values()],
      reload: () => this.#reloadByAdmin(),
      plan: () => this.#plan(),
      rotate: (ring, key, graceMs) => this.rotate(ring, key, graceMs),
    });
    this.#servers = [
      { server: intakeServer, drain: intakeDrain },
      { server: adminServer, drain: adminDrain },
    ];
    this.intakeUrl = await listenOn(intakeServer, listen);
    this.adminUrl = await listenOn(adminServer, admin);
  }

  #plan(): readonly EnvironmentView[] {
    const nowMs = this.#runtime.clock.now();
    return this.#config.environments
      .map((environment) => this.#credentials.applied(environment, nowMs))
      .map(({ name, sources, destinations }) => ({
        environment: name,
        sources: sources.map(({ name: source, protocol, keys }) => ({ source, protocol, keys: keys.length })),
        destinations: destinations.map(({ name: destination, vendor }) => ({ destination, vendor })),
      }));
  }

  async #reloadByAdmin(): Promise<ReloadResult> {
    const { reloadConfig } = this.#options;
    if (reloadConfig === undefined)
      return { ok: false, changed: [], errors: ["The relay was started without a configuration file."] };
    try {
      return await this.reload(await reloadConfig());
    } catch (error) {
      return { ok: false, changed: [], errors: messageOf(error).split("\n") };
    }
  }

  #readiness(): Readiness {
    const components = [...this.#environments.values()].map((environment) => environment.component());
    return {
      ready: this.#stopped === undefined && components.every((component) => component.ready),
      components,
      lanes: this.accounts().lanes.map(({ environment, destination, mode, reason }) => ({
        environment,
        destination,
        mode,
        ...(reason === undefined ? {} : { reason }),
      })),
    };
  }

  /** Every second: cursors to disk; every ten: space given back. One after another, never overlapping. */
  #maintain(): void {
    const { clock } = this.#runtime;
    this.#timer = clock.after(SYNC_INTERVAL_MS, () => {
      this.#maintaining = this.#maintainOnce()
        .catch((error: unknown) =>
          this.#options.logger.error({ error: messageOf(error) }, "maintenance failed; it is tried again"),
        )
        .finally(() => {
          if (this.#stopped === undefined) this.#maintain();
        });
    });
  }

  async #maintainOnce(): Promise<void> {
    const { clock } = this.#runtime;
    const retain = clock.monotonic() >= this.#retainAtMs;
    if (retain) this.#retainAtMs = clock.monotonic() + RETAIN_INTERVAL_MS;
    for (const environment of this.#environments.values()) {
      if (!retain) await environment.sync();
      else {
        const removed = await environment.retain(this.#config.retention, clock.now());
        if (removed > 0)
          this.#options.logger.info({ environment: environment.name, segments: removed }, "retention removed segments");
      }
    }
  }
}

/** Flag files that cannot be read: found before anything is changed. */
function flagFaults({ environments }: RelayConfig): readonly string[] {
  return environments
    .flatMap(({ destinations }) => destinations)
    .filter(({ flagsFile }) => flagsFile !== undefined)
    .flatMap((destination) => {
      try {
        createFlagSource(destination).close();
        return [];
      } catch (error) {
        return [messageOf(error)];
      }
    });
}

/** What only a restart can change. */
function restartNeeded(before: RelayConfig, after: RelayConfig): readonly string[] {
  const fixed = [
    "listen",
    "admin",
    "dataDirectory",
    "bodyMaxBytes",
    "strict",
    "dedupe",
    "allowPrivateAddresses",
    "exchangeDeadlineMs",
    "permissions",
  ] as const;
  return fixed
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
    .map((key) => `${key} changed; that takes a restart. Nothing was reloaded.`);
}

async function listenOn(server: Server, address: { readonly host: string; readonly port: number }): Promise<string> {
  server.listen({ host: address.host, port: address.port, backlog: 1024 });
  try {
    await once(server, "listening");
  } catch (error) {
    throw new WaybillError("WAYBILL_LISTEN", `Cannot listen on ${address.host}:${address.port}: ${messageOf(error)}`, {
      cause: error,
      hint: "Another process may use the port; choose another with `listen` or `admin.listen`.",
    });
  }
  const { address: host, port, family } = server.address() as AddressInfo;
  const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : family === "IPv6" ? `[${host}]` : host;
  return `http://${shown}:${port}`;
}
