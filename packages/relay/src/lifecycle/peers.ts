import type { Runtime, Transport } from "@waybill/core";
import { createNodeTransport } from "@waybill/node";
import { Peers } from "../admin/cluster/peers.ts";
import type { Plan } from "../plan.ts";

/** A page of dead letters has one event more than 1 MiB, which may be as large as a request. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024;
/** To one relay at once. */
const SOCKETS_MAX = 8;

export interface OtherRelays {
  readonly peers: Peers;
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
  const transport = given ?? own;
  const { partitions } = config.kafka;
  return {
    peers: new Peers({ clock, random, transport, directory, partitions, token: () => plan.config.admin.token }),
    close: () => own.close(),
  };
}
