/** Starts a relay and stops it: puts the parts together, and takes them apart in order. */
import { createUuidV7, type DiskRuntime } from "@waybill/core";
import type { Broker, KafkaTls } from "@waybill/log-kafka";
import { type DirectoryLock, defer, nodeRuntime, watchEventLoop } from "@waybill/node";
import { ExchangeRequests } from "../admin/cluster/exchange-requests.ts";
import { createMetrics, type Metrics } from "../admin/metrics/metrics.ts";
import { createAdminServer } from "../admin/server.ts";
import type { Accounts, ReloadResult } from "../admin/views.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";
import type { RelayConfig } from "../config/types.ts";
import type { ConnectionSettings } from "../delivery/connection.ts";
import { createRelayTransport } from "../delivery/relay-transport.ts";
import type { BodyReader } from "../intake/body.ts";
import { Intake } from "../intake/intake.ts";
import { createIntakeServer } from "../intake/intake-server.ts";
import { bodyReaderOf, intakeLimitsOf } from "../intake/limits.ts";
import { ReadGate } from "../intake/read-gate.ts";
import { RequestMeter } from "../intake/request-meter.ts";
import { arrayScanner } from "../intake/segment/batch-scanner.ts";
import { segmentLimitsOf } from "../intake/segment/segment-limits.ts";
import { Turns } from "../intake/turns.ts";
import { OperatorLog } from "../log-lines/operator-log.ts";
import type { Logger } from "../logger.ts";
import { Plan } from "../plan.ts";
import { loadTracing } from "../tracing/load-tracing.ts";
import type { Tracing } from "../tracing/tracing.ts";
import { TrustedProxies } from "../trusted-proxies.ts";
import { adminViewOf } from "./admin-view.ts";
import { lockDataDirectory, warnOfReaders } from "./data-directory.ts";
import { noteFormat } from "./data-format.ts";
import type { GivenSockets } from "./given-sockets.ts";
import { Maintenance } from "./maintenance.ts";
import { createPeers, type OtherRelays } from "./peers.ts";
import { type ConfigInput, follow, readConfigOf, reload, reloadFromFile } from "./reload.ts";
import { Servers } from "./servers.ts";
import { RelayViews } from "./views.ts";

export interface RelayOptions {
  readonly logger: Logger;
  readonly runtime?: DiskRuntime;
  /**
   * Reads the configuration again, for a reload by the admin API; throws a `WaybillError` when it
   * is bad.
   */
  readonly reloadConfig?: () => Promise<RelayConfig>;
  /** Reads a text as if it were in the file, to check it. Throws as {@link reloadConfig}. */
  readonly checkConfig?: (text: string) => RelayConfig | Promise<RelayConfig>;
  /** Path of the configuration's file, as it is shown. Absent: there is none. */
  readonly configFile?: string;
  /**
   * Connects to the cluster of `engine: kafka`; `tls` is what a new connection has to use. Default:
   * by `@platformatic/kafka`.
   */
  readonly connectKafka?: (config: KafkaConfig, tls: () => KafkaTls) => Promise<Broker>;
  /** What the other relays of a cluster call this one. Default: its host and process. */
  readonly name?: string;
  /** Sockets to serve instead of `listen` and `admin.listen`. Default: none. */
  readonly sockets?: GivenSockets;
}

export interface RunningRelay {
  readonly intakeUrl: string;
  readonly adminUrl: string;
  /** What is listening, where the log is, which lanes there are: one line. */
  readonly summary: string;
  accounts(): Accounts;
  /**
   * Takes a new plan over as a whole, or not at all. Reloads happen one after another. Never
   * rejects.
   */
  reload(config: RelayConfig | (() => Promise<RelayConfig>)): Promise<ReloadResult>;
  /**
   * Finishes the attempts in flight within the deadline, stops accepting, closes the log.
   * Idempotent.
   */
  stop(): Promise<void>;
}

/** Of the deadline of a stop, for requests and answers after the last attempt has ended. */
const ANSWERS_SHARE = 0.2;

/** Starts a relay. **Errors**: `WAYBILL_LISTEN`, `WAYBILL_LOG_LOCKED`, `WAYBILL_DISK`. */
export async function startRelay(config: RelayConfig, options: RelayOptions): Promise<RunningRelay> {
  const runtime = options.runtime ?? runtimeOf(config);
  const log = new OperatorLog(options.logger, runtime.clock);
  const relay = new Relay(config, options, { runtime, log, tracing: await loadTracing(log.write) });
  try {
    await relay.start();
  } catch (error) {
    await relay.stop();
    throw error;
  }
  return relay;
}

/** What there is before the relay. */
interface RelayParts {
  readonly runtime: DiskRuntime;
  readonly log: OperatorLog;
  readonly tracing: Tracing | undefined;
}

class Relay implements RunningRelay {
  readonly #options: RelayOptions;
  readonly #runtime: DiskRuntime;
  readonly #plan: Plan;
  readonly #views: RelayViews;
  readonly #metrics: Metrics;
  readonly #maintenance: Maintenance;
  readonly #servers: Servers;
  readonly #bodies: BodyReader;
  readonly #gate: ReadGate;
  readonly #turns: Turns;
  readonly #eventLoop = watchEventLoop();
  /** Of requests whose source is not known. */
  readonly #unowned = new RequestMeter();
  readonly #stopping = new AbortController();
  readonly #log: OperatorLog;
  readonly #tracing: Tracing | undefined;
  readonly #onError = (error: unknown): void => this.#log.requestFailed(error);
  #proxies: TrustedProxies;
  #otherRelays: OtherRelays | undefined;
  #intake: Intake | undefined;
  #lock: DirectoryLock | undefined;
  #stopped: Promise<void> | undefined;

  constructor(config: RelayConfig, options: RelayOptions, { runtime, log, tracing }: RelayParts) {
    this.#options = options;
    this.#runtime = runtime;
    this.#tracing = tracing;
    const { clock } = this.#runtime;
    const { logger } = options;
    this.#log = log;
    this.#servers = new Servers({ clock, write: log.write });
    this.#proxies = new TrustedProxies(config.trustedProxies);
    this.#gate = new ReadGate({ clock, defer, onError: this.#onError });
    this.#bodies = bodyReaderOf(config, clock, this.#gate);
    this.#turns = new Turns({ defer, onError: this.#onError });
    this.#plan = new Plan(config, {
      runtime: this.#runtime,
      log,
      tracing,
      attempted: (of) => this.#metrics.attempted(of),
      connectKafka: options.connectKafka,
      name: options.name,
      reload: () => reloadFromFile(this.#plan, options.reloadConfig),
      stopping: this.#stopping.signal,
      answerFromOwner: new ExchangeRequests(() => this.#others()?.exchanges).answerTo,
      bodies: this.#bodies.keyed,
      // A runtime that was given has the only network there is.
      ...(options.runtime === undefined ? { connect: connectFor(config) } : {}),
      onSwitched: (next, before) => {
        this.#intake?.replaceSources(this.#plan.sourceTable(this.#intake.sources));
        this.#proxies = new TrustedProxies(next.trustedProxies);
        follow({ next, before, servers: this.#servers, logger });
      },
    });
    this.#views = new RelayViews({
      plan: this.#plan,
      clock,
      sources: () => this.#intake?.sources,
      isStopping: () => this.#stopped !== undefined,
      refusedRequests: (environment, source) => this.#metrics.refusedRequests(environment, source),
      reload: () => this.#plan.lastReload,
      certificates: () => this.#servers.certificates,
    });
    this.#metrics = this.#createMetrics();
    this.#maintenance = new Maintenance({ plan: this.#plan, clock, log });
  }

  get intakeUrl(): string {
    return this.#servers.intakeUrl;
  }

  get adminUrl(): string {
    return this.#servers.adminUrl;
  }

  get summary(): string {
    return this.#views.summary(this.#servers);
  }

  accounts(): Accounts {
    return this.#views.accounts();
  }

  reload(config: ConfigInput): Promise<ReloadResult> {
    return reload(this.#plan, config);
  }

  async start(): Promise<void> {
    const { config } = this.#plan;
    const { write } = this.#log;
    this.#lock = await lockDataDirectory(config, this.#runtime.disk);
    await warnOfReaders(config, write);
    await noteFormat(config.dataDirectory, this.#runtime, write);
    await this.#plan.open();
    const intake = this.#createIntake();
    this.#intake = intake;
    await this.#listen(intake);
    await this.#plan.start();
    this.#maintenance.start();
    this.#views.sampler.start();
    this.#views.lookAtDisk();
    const { intakeUrl, adminUrl, summary: text } = this;
    write("started", { intake: intakeUrl, admin: adminUrl, data: config.dataDirectory, text });
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /**
   * All steps share one deadline, which is counted from the first moment on. Attempts in flight end
   * first, and requests are answered meanwhile: a vendor that hangs keeps no client waiting.
   */
  async #stop(): Promise<void> {
    const { clock } = this.#runtime;
    const deadlineMs = this.#plan.config.shutdownDeadlineMs;
    const endsAtMs = clock.monotonic() + deadlineMs;
    const leftMs = (): number => Math.max(0, endsAtMs - clock.monotonic());
    this.#log.write("stopping", { deadlineMs });
    const maintained = this.#maintenance.stop();
    this.#views.sampler.stop();
    this.#stopping.abort();
    const environments = [...this.#plan.opened.values()];
    const lanesMs = deadlineMs * (1 - ANSWERS_SHARE);
    await Promise.all(environments.map((environment) => environment.stopDelivery(lanesMs)));
    await this.#servers.end(clock, leftMs());
    this.#intake?.stop();
    await Promise.all([this.#plan.settled, maintained]);
    await Promise.all([...this.#plan.opened.values()].map((environment) => environment.close(leftMs())));
    this.#otherRelays?.close();
    await this.#plan.close();
    await this.#lock?.release();
    this.#eventLoop.stop();
    this.#log.close();
    this.#log.write("stopped", {});
  }

  /** `undefined` on the disk. */
  #others(): OtherRelays | undefined {
    this.#otherRelays ??= createPeers(this.#plan, this.#runtime, this.#options.runtime?.transport);
    return this.#otherRelays;
  }

  #createMetrics(): Metrics {
    return createMetrics({
      lanes: () => this.#views.lanes(),
      sources: () => this.#views.sources(),
      replays: () => this.#views.replays(),
      relay: () => this.#views.figures(),
      environments: () => this.#views.environmentFigures(),
      ...(this.#plan.config.kafka === undefined ? {} : { cluster: () => this.#views.cluster() }),
      requests: () => [
        { environment: "", source: "", meter: this.#unowned },
        ...(this.#intake?.sources.sources ?? []).map(({ environment, config, counters }) => ({
          environment: environment.name,
          source: config.name,
          meter: counters.requests,
        })),
      ],
      heldBytes: () => this.#bodies.heldBytes,
      keylessHeldBytes: () => this.#bodies.keyless.heldBytes,
      waitingBodies: () => this.#bodies.decoders.waiting + this.#turns.waiting,
      readAheadBytes: () => this.#plan.readAheadBytes,
      certificates: () => this.#servers.certificates,
      takeBlockedMaxMs: () => this.#eventLoop.takeMaxMs(),
    });
  }

  #createIntake(): Intake {
    const { config } = this.#plan;
    const { clock, random } = this.#runtime;
    return new Intake(this.#plan.sourceTable(undefined), {
      clock,
      makeId: createUuidV7(clock, random),
      limits: segmentLimitsOf(config),
      scanArray: arrayScanner(),
      observer: {
        requestRefused: (of) => {
          this.#metrics.requestRefused(of);
          this.#log.refused(of);
        },
        requestRetried: (of) => this.#metrics.requestRetried(of),
      },
      exchangeDeadlineMs: config.exchangeDeadlineMs,
      intakeLimits: intakeLimitsOf(config),
      turns: this.#turns,
    });
  }

  async #listen(intake: Intake): Promise<void> {
    const { config } = this.#plan;
    const { headersTimeoutMs, requestTimeoutMs, maxConnections } = config;
    const { clock } = this.#runtime;
    await this.#servers.listen(
      config,
      {
        intake: (drain, createServer) =>
          createIntakeServer({
            drain,
            createServer,
            proxies: () => this.#proxies,
            intake,
            bodies: this.#bodies,
            readiness: () => this.#views.readiness(),
            headersTimeoutMs,
            requestTimeoutMs,
            onError: this.#onError,
            clock,
            turns: this.#turns,
            gate: this.#gate,
            maxConnections,
            unowned: this.#unowned,
            tracing: this.#tracing,
          }),
        admin: (drain, createServer) => {
          const view = adminViewOf({
            plan: this.#plan,
            views: this.#views,
            metrics: this.#metrics,
            clock,
            drain,
            stopping: this.#stopping.signal,
            reload: () => this.#plan.control?.reload() ?? reloadFromFile(this.#plan, this.#options.reloadConfig),
            readConfig: readConfigOf(this.#options),
            configFile: this.#options.configFile,
            onError: this.#onError,
            proxies: () => this.#proxies,
            peers: () => this.#others()?.peers,
          });
          return createAdminServer(view, { headersTimeoutMs, requestTimeoutMs, createServer });
        },
      },
      this.#options.sockets,
    );
  }
}

/** `network.allowPrivateAddresses` takes a restart, so that it may be taken from here. */
function connectFor({ allowPrivateAddresses }: RelayConfig): NonNullable<ConnectionSettings["connect"]> {
  return (outbound) => createRelayTransport({ ...outbound, publicOnly: !allowPrivateAddresses });
}

function runtimeOf({ allowPrivateAddresses, permissions }: RelayConfig): DiskRuntime {
  return nodeRuntime({
    transport: createRelayTransport({ publicOnly: !allowPrivateAddresses }),
    permissions,
  });
}
