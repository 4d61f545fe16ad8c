import type { Batch, Outcome, SendContext, Sender, Stage } from "../delivery.ts";
import { isFinal } from "../delivery.ts";
import { assert, messageOf } from "../errors.ts";
import type { Chunk } from "../runtime.ts";

const BROKEN: Outcome = { status: "retryable", reason: "a defect" };

export interface SinglyOptions {
  /** Requests in flight at once. */
  readonly concurrency: number;
  /**
   * Events of equal key are never in flight together and keep their order. Absent: no two are held
   * apart. An event for which it throws is rejected.
   */
  readonly orderKey?: (event: Chunk) => string;
}

/**
 * For a vendor that takes one event per request: sends the events of a batch each on its own,
 * several at once. Events of equal order key go one after another. Once one could not be delivered
 * now, no further one is begun; the later ones get the same outcome.
 *
 * How many are in flight at once adapts: half as many after a failure (a vendor that limits or
 * struggles), one more after each batch that went through, at most `concurrency`.
 */
export function singly({ concurrency, orderKey }: SinglyOptions): Stage {
  return (next) => sendSingly(next, concurrency, orderKey);
}

function sendSingly(next: Sender, concurrency: number, orderKey: SinglyOptions["orderKey"]): Sender {
  let width = concurrency;
  return {
    async send(batch, context) {
      if (batch.count === 1) return next.send(batch, context);
      const outcomes = new Array<Outcome>(batch.count);
      let stopped: Outcome | undefined;
      /** The last event of each key that is on its way. */
      const ends = new Map<string, Promise<void>>();
      let begun = 0;
      let broken: { readonly error: unknown } | undefined;
      const sendOne = async (index: number, before: Promise<void> | undefined): Promise<void> => {
        await before;
        if (stopped !== undefined) return;
        try {
          const outcome = await only(next, batch.slice(index, index + 1), context);
          outcomes[index] = outcome;
          if (!isFinal(outcome)) stopped ??= outcome;
        } catch (error) {
          // A defect: requests in flight end before it is reported, or one would still be in flight
          // when the batch is sent again.
          broken ??= { error };
          stopped ??= BROKEN;
        }
      };
      const work = async (): Promise<void> => {
        while (begun < batch.count && stopped === undefined && !context.soon.aborted) {
          const index = begun++;
          let key: string | undefined;
          try {
            key = orderKey?.(batch.event(index));
          } catch (error) {
            outcomes[index] = { status: "rejected", reason: `its order key cannot be read: ${messageOf(error)}` };
            continue;
          }
          const sent = sendOne(index, key === undefined ? undefined : ends.get(key));
          if (key !== undefined) ends.set(key, sent);
          await sent;
        }
      };
      await Promise.all(Array.from({ length: Math.min(width, batch.count) }, work));
      if (broken !== undefined) throw broken.error;
      width = stopped === undefined ? Math.min(concurrency, width + 1) : Math.max(1, width >> 1);
      const rest = stopped ?? { status: "retryable", reason: "interrupted" };
      for (let index = 0; index < batch.count; index++) outcomes[index] ??= rest;
      return outcomes;
    },
  };
}

async function only(next: Sender, batch: Batch, context: SendContext): Promise<Outcome> {
  const [outcome] = await next.send(batch, context);
  assert(outcome !== undefined, "an event has its outcome");
  return outcome;
}
