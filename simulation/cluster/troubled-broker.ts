/** A connection that loses answers to commits, or never settles a send, as long as it is to. */
import type { Clock } from "@waybill/core";
import { type Broker, BrokerError } from "@waybill/log-kafka";
import type { SeededRandom } from "@waybill/testing";
import { changed } from "./changed-broker.ts";
import { EVENTS_TOPIC } from "./names.ts";

/** Of the calls of a kind that has trouble. */
const SHARE = 0.4;
const SLOW_MS = 1_000;

export interface Troubles {
  losesCommitAnswers: boolean;
  hangsSends: boolean;
}

export interface TroubledOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly troubles: Troubles;
  readonly count: (what: string) => void;
}

export function troubled(broker: Broker, { clock, random, troubles, count }: TroubledOptions): Broker {
  return changed(broker, {
    async commit(request) {
      await broker.commit(request);
      if (!troubles.losesCommitAnswers || !random.chance(SHARE)) return;
      count("commitAnswerLost");
      throw new BrokerError("unreachable", "the connection broke before the answer to the commit");
    },
    async produce(request) {
      if (request.topic !== EVENTS_TOPIC) return broker.produce(request);
      if (troubles.hangsSends && random.chance(SHARE)) {
        count("sendNeverSettles");
        // Nobody hears whether it was done.
        if (random.chance(0.5)) broker.produce(request).catch(() => undefined);
        return new Promise(() => undefined);
      }
      const startedAtMs = clock.monotonic();
      const produced = await broker.produce(request);
      if (clock.monotonic() - startedAtMs > SLOW_MS) count("slowAcknowledgement");
      return produced;
    },
  });
}
