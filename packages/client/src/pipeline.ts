import { Account, createUuidV7, type Outcome, WaybillError } from "@waybill/core";
import type { Captured } from "./captured.ts";
import type { Destination } from "./destinations.ts";
import type { Drop, Pipeline, PipelineOptions } from "./options.ts";
import { QueueStore } from "./queue-store.ts";
import { type WatchedLane, watchedLane } from "./watched-lane.ts";

/** Tells the application of an outcome that it did not wish for. */
export function reportTo(
  { onDrop }: PipelineOptions,
  outcome: Outcome,
  event: Pick<Drop, "messageId" | "destination">,
): void {
  if (outcome.status !== "rejected" && outcome.status !== "dropped") return;
  const { status, reason } = outcome;
  const why = status === "rejected" ? { reason: status, detail: reason } : { reason };
  onDrop({ ...why, ...event });
}

const QUEUE_FULL: Outcome = { status: "dropped", reason: "queue_full" };

interface MemoryLane extends WatchedLane {
  readonly name: string;
  readonly store: QueueStore<Captured>;
  readonly account: Account;
  /** An event has its outcome here. */
  readonly settle: (event: Captured, outcome: Outcome) => void;
}

/** Events in memory: one queue and one lane per destination, the texts shared between them. */
export function createMemoryPipeline(pipeline: PipelineOptions): Pipeline {
  const { options, host, destinations, onDrop } = pipeline;
  const { queueMaxEvents, queueMaxBytes, overflow } = options;
  const { clock, random } = host.runtime;
  const makeKey = createUuidV7(clock, random);
  const lanes = destinations.map((destination) => createMemoryLane(destination, makeKey, pipeline));

  /** Whether the event may be pushed now; what has no room is dropped. */
  const makeRoom = ({ store, settle }: MemoryLane, event: Captured): boolean => {
    while (store.events + 1 > queueMaxEvents || store.bytes + event.bytes > queueMaxBytes) {
      // For an event that does not fit an empty queue nothing else is given up.
      const mayEvict = overflow === "drop-oldest" && event.bytes <= queueMaxBytes;
      const oldest = mayEvict ? store.dropOldest() : undefined;
      settle(oldest ?? event, QUEUE_FULL);
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
    flush: () => Promise.all(lanes.map(({ lane }) => lane.flush())),
    close: (deadlineMs) => Promise.all(lanes.map(({ lane }) => lane.close(deadlineMs, { drain: true }))),
    accounts: () =>
      Object.fromEntries(
        lanes.map(({ name, account, store, health }) => [name, { ...account.view(store.events), ...health() }]),
      ),
  };
}

function createMemoryLane(destination: Destination, makeKey: () => string, pipeline: PipelineOptions): MemoryLane {
  const { name } = destination;
  const { metadata, shared } = pipeline;
  const account = new Account();
  const settle = (event: Captured, outcome: Outcome): void => {
    account.settle(outcome);
    event.settle(outcome);
    reportTo(pipeline, outcome, { messageId: event.messageId, destination: name });
  };
  const store = new QueueStore<Captured>({ makeKey, metadata, onSettled: settle, shared });
  return { name, store, account, settle, ...watchedLane(destination, store, pipeline) };
}
