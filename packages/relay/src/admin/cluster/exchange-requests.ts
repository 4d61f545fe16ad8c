/**
 * Asks the relay that has a lane for its vendor's answer to an event: one request that waits there.
 * Whatever goes wrong, nobody answers: the event is stored and will be sent.
 */
import type { ExchangePlace } from "../../cluster/cluster-exchanges.ts";
import { forCaller } from "../../delivery/caller-answers.ts";
import type { ExchangeAnswer } from "../../delivery/exchanges.ts";
import { adminPath } from "../routes/table.ts";
import { vendorAnswer } from "../schemas/relays.ts";
import { EXCHANGE_WAIT_MAX_MS } from "../schemas/requests.ts";
import { ownerOf } from "./cluster-view.ts";
import type { PeerAnswer, Peers } from "./peers.ts";
import { jsonOf } from "./reports.ts";

/** To one relay: those without a connection wait for one. Callers beyond them do not wait. */
export const WAITING_MAX = 1_000;
/** Of the time there is: the rest is for the answer's way back. */
const WAIT_SHARE = 0.9;

export class ExchangeRequests {
  readonly #peers: () => Peers | undefined;
  /** By relay. */
  readonly #waiting = new Map<string, number>();

  constructor(peers: () => Peers | undefined) {
    this.#peers = peers;
  }

  /** Never rejects. */
  readonly answerTo = async (place: ExchangePlace, deadlineMs: number): Promise<ExchangeAnswer> => {
    const peers = this.#peers();
    const relay = ownerOf(peers?.relays() ?? [], place);
    if (peers === undefined || relay === undefined || relay.isSelf) return "nobody";
    const waiting = this.#waiting.get(relay.id) ?? 0;
    if (waiting >= WAITING_MAX) return "nobody";
    this.#waiting.set(relay.id, waiting + 1);
    try {
      return answerIn(
        await peers.request(relay, { method: "GET", path: pathOf(place, deadlineMs), body: "", deadlineMs }),
      );
    } finally {
      const left = (this.#waiting.get(relay.id) ?? 1) - 1;
      if (left > 0) this.#waiting.set(relay.id, left);
      else this.#waiting.delete(relay.id);
    }
  };
}

function pathOf({ environment, partition, destination, offset }: ExchangePlace, deadlineMs: number): string {
  return adminPath("awaitAnswer", {
    params: { environment: `${environment}/${partition}`, destination, offset: String(offset) },
    query: { waitMs: Math.min(Math.floor(deadlineMs * WAIT_SHARE), EXCHANGE_WAIT_MAX_MS) },
  });
}

function answerIn(asked: PeerAnswer): ExchangeAnswer {
  if ("fault" in asked) return "nobody";
  const { status, body: text } = asked.response;
  if (status === 204) return undefined;
  const { success, data } = vendorAnswer.safeParse(status === 200 ? jsonOf(text) : undefined);
  if (!success) return "nobody";
  const { contentType, body } = data;
  // Who writes to the topic of relays may answer in place of one.
  return forCaller({
    status: data.status,
    headers: contentType === null ? {} : { "content-type": contentType },
    body,
  });
}
