import type { Runtime, Transport } from "@waybill/core";
import { createNodeTransport, openHttpStream } from "@waybill/node";
import { Peers } from "../admin/cluster/peers.ts";
import type { Plan } from "../plan.ts";

/** A page of dead letters has one event more than 1 MiB, which may be as large as a request. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024;
/** To one relay at once. */
const SOCKETS_MAX = 8;

/** Of a vendor's answer, which is cut at 256 KiB, as JSON. */
const EXCHANGE_MAX_BYTES = 2 * 1024 * 1024;

/** Of requests that wait for a vendor, to one relay: half of those that it takes. */
const EXCHANGE_SOCKETS_MAX = 64;

export interface OtherRelays {
  readonly peers: Peers;
  /** For callers that wait for a vendor: on connections of their own. */
  readonly exchanges: Peers;
  close(): void;
}

/** `undefined` on the disk. `given`: the only network there is. Default: connections of its own. */
export function createPeers(
  plan: Plan,
  { clock, random }: Pick<Runtime, "clock" | "random">,
  given: Transport | undefined,
): OtherRelays | undefined {
  const { directory, config } = plan;
  if (directory === undefined || config.kafka === undefined) return undefined;
  const own = createNodeTransport({ answerMaxBytes: ANSWER_MAX_BYTES, maxSockets: SOCKETS_MAX });
  const waiting = createNodeTransport({ answerMaxBytes: EXCHANGE_MAX_BYTES, maxSockets: EXCHANGE_SOCKETS_MAX });
  const { partitions } = config.kafka;
  const peersOver = (transport: Transport): Peers =>
    new Peers({
      clock,
      random,
      transport,
      ...(given === undefined ? { openStream: openHttpStream } : {}),
      directory,
      partitions,
      token: () => plan.config.admin.token,
    });
  return {
    peers: peersOver(given ?? own),
    exchanges: peersOver(given ?? waiting),
    close: () => {
      own.close();
      waiting.close();
    },
  };
}
