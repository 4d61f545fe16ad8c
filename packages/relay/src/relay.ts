/** Puts the parts together, and takes them apart in order. */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createUuidV7, type DiskRuntime, messageOf, type Timer, WaybillError } from "@waybill/core";
import {
  createNodeTransport,
  type DirectoryLock,
  defer,
  lockDirectory,
  nodeRuntime,
  watchEventLoop,
  widerThan,
} from "@waybill/node";
import { createMetrics, type Metrics } from "./admin/metrics/metrics.ts";
import { createAdminServer } from "./admin/server.ts";
import type { AdminView } from "./admin/view.ts";
import type { Accounts, Readiness, ReloadResult } from "./admin/views.ts";
import type { RelayConfig } from "./config/types.ts";
import { createPublicTransport } from "./delivery/public-transport.ts";
import type { BodyReader } from "./intake/body.ts";
import { Drain } from "./intake/drain.ts";
import { Intake } from "./intake/intake.ts";
import { createIntakeServer } from "./intake/intake-server.ts";
import { bodyReaderOf, intakeLimitsOf, segmentLimitsOf } from "./intake/limits.ts";
import { ReadGate } from "./intake/read-gate.ts";
import { Turns } from "./intake/turns.ts";
import type { Logger } from "./logger.ts";
import { Plan } from "./plan.ts";
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
  /** Takes a new plan over as a whole, or not at all. Reloads happen one after another. Never rejects. */
  reload(config: RelayConfig | (() => Promise<RelayConfig>)): Promise<ReloadResult>;
  /** Stops accepting, finishes the attempts in flight within the deadline, closes the log. Idempotent. */
  stop(): Promise<void>;
}

/** A power cut sends again what was delivered since the last sync of the cursors. */
const SYNC_INTERVAL_MS = 1_000;
const RETAIN_INTERVAL_MS = 10_000;
/** Of the deadline of a stop, for answers to callers that waited for an attempt until its end. */
const ANSWERS_SHARE = 0.2;

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
  readonly #plan: Plan;
  readonly #bodies: BodyReader;
  readonly #gate: ReadGate;
  readonly #turns: Turns;
  readonly #eventLoop = watchEventLoop();
  readonly #metrics: Metrics;
  readonly #startedAtMs: number;
  #intake: Intake | undefined;
  #lock: DirectoryLock | undefined;
  #servers: readonly { readonly server: Server; readonly drain: Drain }[] = [];
  readonly #stopping = new AbortController();
  #maintaining: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #retainAtMs = 0;
  #stopped: Promise<void> | undefined;
  intakeUrl = "";
  adminUrl = "";

  constructor(config: RelayConfig, options: RelayOptions) {
    this.#options = options;
    this.#runtime =
      options.runtime ??
      nodeRuntime({
        transport: config.allowPrivateAddresses ? createNodeTransport() : createPublicTransport(),
        permissions: config.permissions,
      });
    this.#startedAtMs = this.#runtime.clock.now();
    const { clock } = this.#runtime;
    const onError = (error: unknown): void => this.#defect(error);
    this.#gate = new ReadGate({ clock, defer, onError });
    this.#bodies = bodyReaderOf(config, clock, this.#gate);
    this.#turns = new Turns({ defer, onError });
    this.#metrics = createMetrics({
      lanes: () => this.accounts().lanes,
      sources: () => this.accounts().sources,
      replays: () => this.accounts().replays,
      heldBytes: () => this.#bodies.heldBytes,
      keylessHeldBytes: () => this.#bodies.keyless.heldBytes,
      waitingBodies: () => this.#bodies.decoders.waiting + this.#turns.waiting,
      takeBlockedMaxMs: () => this.#eventLoop.takeMaxMs(),
    });
    this.#plan = new Plan(config, {
      runtime: this.#runtime,
      logger: options.logger,
      attempted: (...args) => this.#metrics.attempted(...args),
      stopping: this.#stopping.signal,
      bodies: this.#bodies.keyed,
      onSwitched: (next, before) => this.#switched(next, before),
    });
  }

  get summary(): string {
    const lanes = this.accounts().lanes.map(({ environment, destination }) => `${environment}/${destination}`);
    return `waybill relay ${LIBRARY.version}: events on ${this.intakeUrl}, admin on ${this.adminUrl}, log in ${this.#plan.config.dataDirectory}, lanes ${lanes.join(", ") || "none"}`;
  }

  async start(): Promise<void> {
    const { config } = this.#plan;
    const { dataDirectory, exchangeDeadlineMs } = config;
    await this.#runtime.disk.makeDirectory(dataDirectory);
    this.#lock = await lockDirectory(dataDirectory);
    await this.#warnOfReaders();
    await this.#plan.open();
    this.#intake = new Intake(this.#plan.sourceTable(undefined), {
      clock: this.#runtime.clock,
      makeId: createUuidV7(this.#runtime.clock, this.#runtime.random),
      limits: segmentLimitsOf(config),
      observer: this.#metrics,
      exchangeDeadlineMs,
      intakeLimits: intakeLimitsOf(config),
      turns: this.#turns,
    });
    await this.#listen(this.#intake);
    this.#plan.start();
    this.#maintain();
    this.#options.logger.info({ intake: this.intakeUrl, admin: this.adminUrl, data: dataDirectory }, this.summary);
  }

  accounts(): Accounts {
    const atMs = this.#runtime.clock.now();
    const { hardMaxBytes } = this.#plan.config.retention;
    const environments = [...this.#plan.environments.values()];
    return {
      atMs,
      startedAtMs: this.#startedAtMs,
      version: LIBRARY.version,
      lanes: environments.flatMap((environment) => environment.lanes(atMs, hardMaxBytes)),
      sources: this.#intake?.sources.views() ?? [],
      replays: environments.flatMap((environment) => environment.replays.views()),
    };
  }

  reload(config: RelayConfig | (() => Promise<RelayConfig>)): Promise<ReloadResult> {
    return this.#plan.reload(typeof config === "function" ? config : () => config);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Everything shares one deadline: from the first moment on it is counted once. */
  async #stop(): Promise<void> {
    const { logger } = this.#options;
    const { clock } = this.#runtime;
    const deadlineMs = this.#plan.config.shutdownDeadlineMs;
    const endsAtMs = clock.monotonic() + deadlineMs;
    const leftMs = (): number => Math.max(0, endsAtMs - clock.monotonic());
    logger.info({ deadlineMs }, "stopping: no new connections, attempts in flight are finished");
    this.#timer?.cancel();
    this.#stopping.abort();
    const environments = [...this.#plan.environments.values()];
    await Promise.all([
      ...this.#servers.map(({ server, drain }) => drain.end(server, clock, leftMs())),
      ...environments.map((environment) => environment.stopDelivery(leftMs() * (1 - ANSWERS_SHARE))),
    ]);
    this.#intake?.stop();
    await Promise.all([this.#plan.settled, this.#maintaining]);
    await Promise.all([...this.#plan.environments.values()].map((environment) => environment.close(leftMs())));
    await this.#lock?.release();
    this.#eventLoop.stop();
    logger.info("stopped");
  }

  /** Another configuration holds from now on: what belongs to the relay as a whole follows it. */
  #switched({ headersTimeoutMs, requestTimeoutMs, logLevel }: RelayConfig, before: RelayConfig): void {
    this.#intake?.replaceSources(this.#plan.sourceTable(this.#intake.sources));
    for (const { server } of this.#servers) {
      server.headersTimeout = headersTimeoutMs;
      server.requestTimeout = requestTimeoutMs;
    }
    if (logLevel !== before.logLevel) this.#options.logger.level = logLevel;
  }

  /** A directory of before, or of an operator's making, is left as it is. */
  async #warnOfReaders(): Promise<void> {
    const { dataDirectory, permissions } = this.#plan.config;
    const mode = await widerThan(dataDirectory, permissions.directoryMode);
    if (mode === undefined) return;
    const [is, wanted] = [mode, permissions.directoryMode].map((one) => `0${one.toString(8)}`);
    this.#options.logger.warn(
      { dataDirectory, mode: is },
      `others on this machine may look into the data directory: its mode is ${is}, wider than ${wanted} (permissions.directories); chmod -R go-rwx ${dataDirectory} closes it`,
    );
  }

  #defect(error: unknown): void {
    this.#options.logger.error({ error }, "a request failed for a defect of the relay");
  }

  async #listen(intake: Intake): Promise<void> {
    const { listen, admin, headersTimeoutMs, requestTimeoutMs, maxConnections } = this.#plan.config;
    const onError = (error: unknown): void => this.#defect(error);
    const [intakeDrain, adminDrain] = [new Drain(), new Drain()];
    const intakeServer = createIntakeServer({
      drain: intakeDrain,
      intake,
      bodies: this.#bodies,
      readiness: () => this.#readiness(),
      headersTimeoutMs,
      requestTimeoutMs,
      onError,
      clock: this.#runtime.clock,
      turns: this.#turns,
      gate: this.#gate,
      maxConnections,
    });
    const adminServer = createAdminServer(this.#adminView(adminDrain, onError), { headersTimeoutMs, requestTimeoutMs });
    this.#servers = [
      { server: intakeServer, drain: intakeDrain },
      { server: adminServer, drain: adminDrain },
    ];
    this.intakeUrl = await listenOn(intakeServer, listen, "listen");
    this.adminUrl = await listenOn(adminServer, admin, "admin.listen");
  }

  #adminView(drain: Drain, onError: (error: unknown) => void): AdminView {
    const plan = this.#plan;
    return {
      guard: () => {
        const { host, hosts = [], token } = plan.config.admin;
        // To listen on all addresses is no name to be known by.
        const own = host === "0.0.0.0" || host === "::" ? [] : [host.toLowerCase()];
        return { hosts: [...own, ...hosts], token };
      },
      clock: this.#runtime.clock,
      drain,
      stopping: this.#stopping.signal,
      accounts: () => this.accounts(),
      readiness: () => this.#readiness(),
      metrics: async () => ({ text: await this.#metrics.text(), contentType: this.#metrics.contentType }),
      environment: (name) => plan.environments.get(name),
      environments: () => [...plan.environments.values()],
      reload: () => this.#reloadByAdmin(),
      plan: () => plan.views(),
      rotations: () => plan.rotationViews(),
      rotate: (keySet, key, graceMs) => plan.rotate(keySet, key, graceMs),
      onError,
    };
  }

  async #reloadByAdmin(): Promise<ReloadResult> {
    const { reloadConfig } = this.#options;
    if (reloadConfig !== undefined) return this.reload(reloadConfig);
    return { ok: false, changed: [], errors: ["The relay was started without a configuration file."] };
  }

  #readiness(): Readiness {
    const components = [...this.#plan.environments.values()].map((environment) => environment.component());
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
    for (const environment of this.#plan.environments.values()) {
      if (!retain) await environment.sync();
      else {
        const removed = await environment.retain(this.#plan.config.retention, clock.now());
        if (removed > 0)
          this.#options.logger.info({ environment: environment.name, segments: removed }, "retention removed segments");
      }
    }
  }
}

/** `setting`: whose address it is. */
async function listenOn(
  server: Server,
  address: { readonly host: string; readonly port: number },
  setting: "listen" | "admin.listen",
): Promise<string> {
  server.listen({ host: address.host, port: address.port, backlog: 1024 });
  try {
    await once(server, "listening");
  } catch (error) {
    throw new WaybillError("WAYBILL_LISTEN", `Cannot listen on ${address.host}:${address.port}: ${messageOf(error)}`, {
      cause: error,
      reason: setting,
      hint: `Another process may use the port; choose another with ${setting}.`,
    });
  }
  const { address: host, port, family } = server.address() as AddressInfo;
  const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : family === "IPv6" ? `[${host}]` : host;
  return `http://${shown}:${port}`;
}
