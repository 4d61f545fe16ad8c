import { readFile } from "node:fs/promises";
import type { Clock } from "@waybill/core";
import { type Broker, KafkaBroker, type KafkaSasl, type KafkaTls } from "@waybill/log-kafka";
import type { KafkaConfig, KafkaTlsFiles } from "../config/kafka-types.ts";

/** What the files of `kafka.tls` have, as they were taken over last: new connections use it. */
export class KafkaCertificates {
  #inUse: KafkaTls = {};
  readonly inUse = (): KafkaTls => this.#inUse;

  /** **Errors**: those of the files. */
  static async of(files: KafkaTlsFiles): Promise<KafkaCertificates> {
    const certificates = new KafkaCertificates();
    (await certificates.read(files))();
    return certificates;
  }

  /** Reads the files; what it resolves to takes them over. **Errors**: those of the files. */
  async read(files: KafkaTlsFiles): Promise<() => void> {
    const read: { -readonly [Name in keyof KafkaTls]: KafkaTls[Name] } = {};
    for (const name of ["ca", "cert", "key"] as const) {
      const path = files[name];
      if (path !== undefined) read[name] = await readFile(path, "utf8");
    }
    return () => {
      this.#inUse = read;
    };
  }
}

/**
 * Connects with the first call. `inUse` is called for each connection with TLS; default: what the
 * files have now. **Errors**: `WAYBILL_CONFIG`; those of the files of TLS.
 */
export async function connectKafka(
  { brokers, clientId, tls, sasl }: KafkaConfig,
  clock: Clock,
  inUse?: () => KafkaTls,
): Promise<Broker> {
  return KafkaBroker.connect({
    brokers,
    clientId,
    clock,
    ...(tls === undefined ? {} : { tls: inUse ?? (await KafkaCertificates.of(tls)).inUse }),
    ...(sasl === undefined
      ? {}
      : { sasl: { ...sasl, mechanism: sasl.mechanism.toUpperCase() as KafkaSasl["mechanism"] } }),
  });
}
