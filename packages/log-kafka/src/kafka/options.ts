import { type Clock, WaybillError } from "@waybill/core";
import type { Address, KafkaTls } from "./link.ts";
import type { KafkaSasl } from "./sasl.ts";

export interface KafkaOptions {
  /** `host:port` of some brokers; the others are learned from them. */
  readonly brokers: readonly string[];
  /** As which the connections name themselves: in the broker's logs, quotas and groups. */
  readonly clientId: string;
  readonly clock: Clock;
  /** Called for each connection. Default none: the connections are in clear. */
  readonly tls?: () => KafkaTls;
  /** Default none. */
  readonly sasl?: KafkaSasl;
}

const ADDRESS = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^\s:/[\]]+)):(?<port>\d{1,5})$/;
const PORT_MAX = 65_535;

/** **Errors**: a `WaybillError` of code `WAYBILL_CONFIG`. */
export function addressesOf(brokers: readonly string[]): readonly Address[] {
  if (brokers.length === 0) throw new WaybillError("WAYBILL_CONFIG", "no broker of Kafka is named");
  return brokers.map((broker) => {
    const { v6, host, port } = ADDRESS.exec(broker)?.groups ?? {};
    const name = v6 ?? host;
    if (name === undefined || Number(port) > PORT_MAX || Number(port) === 0)
      throw new WaybillError(
        "WAYBILL_CONFIG",
        `a broker of Kafka is named by host:port, not ${JSON.stringify(broker)}`,
      );
    return { host: name, port: Number(port) };
  });
}
