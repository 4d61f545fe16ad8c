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

export interface MemoryPipeline extends Pipeline {
  /** As `push`, but each destination that has room takes the event, and nothing is thrown. */
  take(event: Captured): void;
}

/** Events in memory: one queue and one lane per destination, the texts shared between them. */
export function createMemoryPipeline(pipeline: PipelineOptions): MemoryPipeline {
  const { options, host, destinations, onDrop } = pipeline;
  const { queueMaxEvents, queueMaxBytes, overflow } = options;
  const { clock, random } = host.runtime;
  const makeKey = createUuidV7(clock, random);
  const lanes = destinations.map((destination) => createMemoryLane(destination, makeKey, pipeline));

  const hasRoom = ({ store }: MemoryLane, event: Captured): boolean =>
    store.events + 1 <= queueMaxEvents && store.bytes + event.bytes <= queueMaxBytes;
  /** Whether the event may be pushed now; what has no room is dropped. */
  const makeRoom = (lane: MemoryLane, event: Captured): boolean => {
    const { store, settle } = lane;
    while (!hasRoom(lane, event)) {
      // For an event that does not fit an empty queue nothing else is given up.
      const mayEvict = overflow === "drop-oldest" && event.bytes <= queueMaxBytes;
      const oldest = mayEvict ? store.dropOldest() : undefined;
      settle(oldest ?? event, QUEUE_FULL);
      if (oldest === undefined) return false;
    }
    return true;
  };
  const take = (event: Captured): void => {
    for (const memoryLane of lanes) {
      memoryLane.account.accept(1);
      if (!makeRoom(memoryLane, event)) continue;
      memoryLane.store.push(event);
      memoryLane.lane.notify();
    }
  };

  return {
    take,
    push(event) {
      const full = overflow === "throw" ? lanes.filter((memoryLane) => !hasRoom(memoryLane, event)) : [];
      if (full.length === 0) return take(event);
      // Who catches the error captures the event again: those with room would get it twice.
      for (const { account, settle } of lanes) {
        account.accept(1);
        settle(event, QUEUE_FULL);
      }
      throw new WaybillError(
        "WAYBILL_QUEUE_FULL",
        `The queue of ${full.map(({ name }) => name).join(" ")} is full: ${queueMaxEvents} events or ${queueMaxBytes} bytes`,
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
