import { Account, createUuidV7, isFinal, type Outcome, WaybillError } from "@waybill/core";
import type { Captured } from "./captured.ts";
import type { Destination } from "./destinations.ts";
import type { Pipeline, PipelineOptions } from "./options.ts";
import { QueueStore } from "./queue-store.ts";
import { messageIdOf } from "./serialise.ts";
import { type WatchedLane, watchedLane } from "./watched-lane.ts";

/** Tells the application of an outcome that it did not wish for. */
export function reportTo(
  { onDrop }: PipelineOptions,
  { outcome, text, destination }: { readonly outcome: Outcome; readonly text: string; readonly destination: string },
): void {
  if (outcome.status !== "rejected" && outcome.status !== "dropped") return;
  const { status, reason } = outcome;
  const why = status === "rejected" ? { reason: status, detail: reason } : { reason };
  onDrop({ ...why, messageId: messageIdOf(text), destination });
}

const QUEUE_FULL: Outcome = { status: "dropped", reason: "queue_full" };

interface MemoryLane extends WatchedLane {
  readonly name: string;
  readonly store: QueueStore<Captured>;
  readonly account: Account;
}

/** Events in memory: one queue and one lane per destination, the texts shared between them. */
export function createMemoryPipeline(pipeline: PipelineOptions): Pipeline {
  const { options, host, destinations, onDrop } = pipeline;
  const { queueMaxEvents, queueMaxBytes, overflow } = options;
  const { clock, random } = host.runtime;
  const makeKey = createUuidV7(clock, random);
  const lanes = destinations.map((destination) => createMemoryLane(destination, makeKey, pipeline));

  /** Whether the event may be pushed now; what has no room is dropped. */
  const makeRoom = ({ name, account, store }: MemoryLane, event: Captured): boolean => {
    while (store.events + 1 > queueMaxEvents || store.bytes + event.bytes > queueMaxBytes) {
      // For an event that does not fit an empty queue nothing else is given up.
      const mayEvict = overflow === "drop-oldest" && event.bytes <= queueMaxBytes;
      const oldest = mayEvict ? store.dropOldest() : undefined;
      const lost = oldest ?? event;
      const { text } = lost;
      account.settle(QUEUE_FULL);
      lost.settle(QUEUE_FULL);
      reportTo(pipeline, { outcome: QUEUE_FULL, text, destination: name });
      if (oldest === undefined) return false;
    }
    return true;
  };

  return {
    push(event) {
      let full = "";
      for (const memoryLane of lanes) {
        memoryLane.account.accept(1);
        if (!makeRoom(memoryLane, event)) {
          full += ` ${memoryLane.name}`;
          continue;
        }
        memoryLane.store.push(event);
        memoryLane.lane.notify();
      }
      if (full !== "" && overflow === "throw")
        throw new WaybillError(
          "WAYBILL_QUEUE_FULL",
          `The queue of${full} is full: ${queueMaxEvents} events or ${queueMaxBytes} bytes`,
          { retryable: true },
        );
    },
    drop(reason, messageId) {
      for (const { name, account } of lanes) {
        account.accept(1);
        account.drop(reason, 1);
        onDrop({ reason, messageId, destination: name });
      }
    },
    async flush() {
      await Promise.all(lanes.map(({ lane }) => lane.flush()));
    },
    async close(deadlineMs) {
      await Promise.all(lanes.map(({ lane }) => lane.close(deadlineMs, { drain: true })));
    },
    freeze() {
      for (const { store } of lanes) store.freeze();
    },
    accounts: () =>
      Object.fromEntries(
        lanes.map(({ name, account, store, health }) => [name, { ...account.view(store.events), ...health() }]),
      ),
  };
}

function createMemoryLane(destination: Destination, makeKey: () => string, pipeline: PipelineOptions): MemoryLane {
  const { name } = destination;
  const account = new Account();
  const store = new QueueStore<Captured>(makeKey, pipeline.metadata, account);
  const watched = watchedLane(destination, store, pipeline, (batch, outcomes) => {
    if (pipeline.shared.over) return;
    for (let index = 0; index < batch.count; index++) {
      const outcome = outcomes[index] as Outcome;
      if (!isFinal(outcome)) continue;
      store.settled[index]?.settle(outcome);
      if (outcome.status !== "delivered")
        reportTo(pipeline, { outcome, text: batch.event(index) as string, destination: name });
    }
  });
  return { name, store, account, ...watched };
}
