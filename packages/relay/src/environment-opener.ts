/** Opens the environments of a plan, on the disk or on Kafka. */
import { hostname } from "node:os";
import type { DiskRuntime } from "@waybill/core";
import type { ReadMemory } from "@waybill/log";
import type { Broker, KafkaTls } from "@waybill/log-kafka";
import type { CarryOut, ClusterControl } from "./cluster/cluster-control.ts";
import type { AnswerFromOwner } from "./cluster/cluster-exchanges.ts";
import type { KafkaCertificates } from "./cluster/connect-kafka.ts";
import type { KafkaConfig } from "./config/kafka-types.ts";
import type { EnvironmentConfig, RelayConfig } from "./config/types.ts";
import { refuseMarked } from "./copy/disk-mark.ts";
import { reportDiskLog } from "./copy/left-on-disk.ts";
import type { ConnectionSettings } from "./delivery/connection.ts";
import type { DestinationObserver } from "./delivery/destination-observer.ts";
import { Environment } from "./environment.ts";
import type { OperatorLog } from "./log-lines/operator-log.ts";
import type { OpenEnvironment } from "./open-environment.ts";
import type { Tracing } from "./tracing/tracing.ts";
import { LIBRARY } from "./version.ts";

/** What environments are opened with, whichever configuration they have. */
export interface OpenerSettings extends ConnectionSettings {
  readonly runtime: DiskRuntime;
  readonly log: OperatorLog;
  /** Absent: nothing is traced. */
  readonly tracing?: Tracing | undefined;
  /** Default: over the network. */
  readonly connectKafka?: ((config: KafkaConfig, tls: () => KafkaTls) => Promise<Broker>) | undefined;
  /** What the other relays of a cluster call this one. Default: its host and process. */
  readonly name?: string | undefined;
  /** In a cluster: as of `ClusterOptions`. */
  readonly answerFromOwner?: AnswerFromOwner | undefined;
}

export interface EnvironmentOpenerOptions extends OpenerSettings {
  readonly memory: ReadMemory;
  readonly observer: DestinationObserver;
}

export class EnvironmentOpener {
  readonly #options: EnvironmentOpenerOptions;
  #broker: Broker | undefined;
  #certificates: KafkaCertificates | undefined;
  #control: ClusterControl | undefined;

  constructor(options: EnvironmentOpenerOptions) {
    this.#options = options;
  }

  /** What is asked of all relays. Absent: the log is on the disk. */
  get control(): ClusterControl | undefined {
    return this.#control;
  }

  /** Before the first environment: reads what was asked of all relays. **Errors**: Kafka's. */
  async openControl({ kafka }: RelayConfig, carryOut: CarryOut): Promise<ClusterControl | undefined> {
    if (kafka === undefined) return undefined;
    const { runtime, log, connectKafka: given, name = `${hostname()}:${process.pid}` } = this.#options;
    // Who keeps the disk loads nothing of it.
    const { ClusterControl, connectKafka, KafkaCertificates } = await import("./cluster/index.ts");
    const { clock, random } = runtime;
    const certificates = await KafkaCertificates.of(kafka.tls ?? {});
    this.#certificates = certificates;
    const connect = given ?? ((wanted, inUse) => connectKafka(wanted, clock, inUse));
    this.#broker = await connect(kafka, certificates.inUse);
    this.#control = await ClusterControl.open({
      broker: this.#broker,
      clock,
      random,
      kafka,
      carryOut,
      report: log.write,
      name,
      version: LIBRARY.version,
    });
    return this.#control;
  }

  /** Reads the files of `kafka.tls`; what it resolves to takes them over. **Errors**: theirs. */
  async readKafkaTls({ kafka }: RelayConfig): Promise<() => void> {
    if (kafka?.tls === undefined || this.#certificates === undefined) return () => undefined;
    return this.#certificates.read(kafka.tls);
  }

  async open(environment: EnvironmentConfig, config: RelayConfig): Promise<OpenEnvironment> {
    const { log, runtime, connect, tracing, memory, observer, answerFromOwner } = this.#options;
    const { name } = environment;
    const options = {
      config: environment,
      directory: `${config.dataDirectory}/${name}`,
      runtime,
      dedupe: config.dedupe,
      memory,
      settings: {
        strict: config.strict,
        publicOnly: !config.allowPrivateAddresses,
        ...(connect === undefined ? {} : { connect }),
        ...(tracing === undefined ? {} : { tracing: { tracing, environment: name } }),
      },
      report: log.write,
      observer,
    };
    const { kafka, retention, shutdownDeadlineMs: deadlineMs } = config;
    const broker = this.#broker;
    const control = this.#control;
    if (kafka !== undefined && broker !== undefined && control !== undefined) {
      const { ClusterEnvironment } = await import("./cluster/index.ts");
      await reportDiskLog({ environment: name, directory: options.directory, disk: runtime.disk }, log.write);
      return ClusterEnvironment.open({
        ...options,
        kafka,
        broker,
        holds: control,
        records: control,
        relays: control.directory,
        retention,
        deadlineMs,
        answerFromOwner,
      });
    }
    await refuseMarked(runtime.disk, options.directory);
    const opened = await Environment.open(options);
    this.#tellRecovery(opened);
    return opened;
  }

  #tellRecovery({ name, log: { recovery } }: Environment): void {
    const { tornBytes, damaged, setAside } = recovery;
    if (tornBytes === 0 && damaged.length === 0 && setAside.length === 0) return;
    this.#options.log.write("log_recovered", {
      environment: name,
      cutBytes: tornBytes,
      damagedRecords: damaged.length,
      damagedBytes: damaged.reduce((total, { bytes }) => total + bytes, 0),
      lostEvents: damaged.reduce((total, { events }) => total + events, 0),
      setAsideFiles: setAside,
    });
  }

  /** When all environments are closed. */
  async close(): Promise<void> {
    await this.#control?.stop();
    await this.#broker?.close();
  }
}
