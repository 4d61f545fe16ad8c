import { readFile } from "node:fs/promises";
import type { Clock } from "@waybill/core";
import { type Broker, KafkaBroker, type KafkaSasl, type KafkaTls } from "@waybill/log-kafka";
import type { KafkaConfig, KafkaTlsFiles } from "../config/kafka-types.ts";

/** Connects with the first call. **Errors**: `WAYBILL_CONFIG`; those of the files of TLS. */
export async function connectKafka({ brokers, clientId, tls, sasl }: KafkaConfig, clock: Clock): Promise<Broker> {
  return KafkaBroker.connect({
    brokers,
    clientId,
    clock,
    ...(tls === undefined ? {} : { tls: await read(tls) }),
    ...(sasl === undefined
      ? {}
      : { sasl: { ...sasl, mechanism: sasl.mechanism.toUpperCase() as KafkaSasl["mechanism"] } }),
  });
}

async function read(files: KafkaTlsFiles): Promise<KafkaTls> {
  const read: { -readonly [Name in keyof KafkaTls]: KafkaTls[Name] } = {};
  for (const name of ["ca", "cert", "key"] as const) {
    const path = files[name];
    if (path !== undefined) read[name] = await readFile(path, "utf8");
  }
  return read;
}
