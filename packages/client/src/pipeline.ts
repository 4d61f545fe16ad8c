import {
  Account,
  type AccountView,
  type Batch,
  createSender,
  createUuidV7,
  type DropReason,
  fullJitter,
  Lane,
  type Outcome,
  type Runtime,
  type Sender,
  type Store,
  WaybillError,
} from "@waybill/core";
import type { Destination, Host, ResolvedOptions } from "./options.ts";
import { QueueStore } from "./queue-store.ts";

/** What the client tells its pipeline and hears from it. */
export interface PipelineOptions {
  readonly options: ResolvedOptions;
  readonly host: Host;
  readonly destinations: readonly Destination[];
  /** Sent beside the events of every request, in the vendor's form. */
  readonly metadata: string;
  readonly onDrop: (reason: DropReason, text: string, destination: string) => void;
  readonly onSettled: (destination: string, batch: Batch, outcomes: readonly Outcome[]) => void;
  readonly onError: (error: WaybillError) => void;
}

/** Between capture and the destinations: in memory, or on disk. */
export interface Pipeline {
  /** Takes an event for every destination. **Errors**: `WAYBILL_QUEUE_FULL` with the overflow policy `throw`. */
  push(text: string, bytes: number): void;
  /** Counts an event that was lost before it got here. */
  drop(reason: DropReason, text: string): void;
  /** Ends when everything pushed before is settled, or cannot be for now. */
  flush(): Promise<void>;
  /** Delivers within the deadline; what is left then stays on disk or is left behind. */
  close(deadlineMs: number): Promise<void>;
  accounts(): Readonly<Record<string, AccountView>>;
}

/** Made by `spool({ directory })` of `waybill/spool`. */
export interface Spool {
  readonly createPipeline: (options: PipelineOptions) => Pipeline;
}

/** One destination's lane over any store. */
export function createLane(
  destination: Destination,
  store: Store,
  { options, host, onSettled, onError }: PipelineOptions,
): Lane {
  const { flushAt, flushBytes, flushIntervalMs } = options;
  const { name, protocol } = destination;
  return new Lane({
    name,
    store,
    sender: senderOf(destination, options, host.runtime),
    runtime: host.runtime,
    limits: protocol.limits,
    trigger: { flushAt, flushBytes, flushIntervalMs },
    onSettled: (batch, outcomes) => onSettled(name, batch, outcomes),
    onModeChange: (mode, reason) => {
      if (mode === "failed") onError(new WaybillError("WAYBILL_DEFECT", `${name} ${mode}: ${reason}`));
    },
  });
}

function senderOf({ protocol, translate }: Destination, options: ResolvedOptions, runtime: Runtime): Sender {
  const { timeoutMs, backoffBaseMs, backoffMaxMs, maxAttempts, transport } = options;
  return createSender({
    protocol,
    runtime: transport === undefined ? runtime : { ...runtime, transport },
    timeoutMs,
    backoff: fullJitter(backoffBaseMs, backoffMaxMs),
    maxAttempts,
    ...(translate === undefined ? {} : { translate }),
  });
}

interface MemoryLane {
  readonly name: string;
  readonly lane: Lane;
  readonly store: QueueStore;
  readonly account: Account;
}

/** Events in memory: one queue and one lane per destination, the text shared between them. */
export function createMemoryPipeline(pipeline: PipelineOptions): Pipeline {
  const { options, host, destinations, metadata, onDrop } = pipeline;
  const { queueMaxEvents, queueMaxBytes, overflow } = options;
  const { clock, random } = host.runtime;
  const makeKey = createUuidV7(clock, random);
  const lanes: readonly MemoryLane[] = destinations.map((destination) => {
    const account = new Account();
    const store = new QueueStore(makeKey, metadata, account);
    return { name: destination.name, lane: createLane(destination, store, pipeline), store, account };
  });

  const dropFrom = ({ name, account }: MemoryLane, reason: DropReason, text: string): void => {
    account.drop(reason, 1);
    onDrop(reason, text, name);
  };
  /** Whether the event may be pushed now. */
  const makeRoom = (memoryLane: MemoryLane, text: string, bytes: number): boolean => {
    const { store } = memoryLane;
    const isFull = (): boolean => store.events + 1 > queueMaxEvents || store.bytes + bytes > queueMaxBytes;
    while (isFull()) {
      const oldest = overflow === "drop-oldest" ? store.dropOldest() : undefined;
      dropFrom(memoryLane, "queue_full", oldest ?? text);
      if (oldest === undefined) return false;
    }
    return true;
  };

  return {
    push(text, bytes) {
      const nowMs = clock.now();
      let full = false;
      for (const memoryLane of lanes) {
        memoryLane.account.accept(1);
        if (!makeRoom(memoryLane, text, bytes)) {
          full = true;
          continue;
        }
        memoryLane.store.push(text, bytes, nowMs);
        memoryLane.lane.notify();
      }
      if (full && overflow === "throw")
        throw new WaybillError(
          "WAYBILL_QUEUE_FULL",
          `The queue holds its limit of ${queueMaxEvents} events or ${queueMaxBytes} bytes`,
          {
            retryable: true,
            hint: "Await flush(), raise queueMaxEvents or queueMaxBytes, or choose another overflow policy.",
          },
        );
    },
    drop(reason, text) {
      for (const memoryLane of lanes) {
        memoryLane.account.accept(1);
        dropFrom(memoryLane, reason, text);
      }
    },
    async flush() {
      await Promise.all(lanes.map(({ lane }) => lane.flush()));
    },
    async close(deadlineMs) {
      await Promise.all(lanes.map(({ lane }) => lane.close(deadlineMs, { drain: true })));
    },
    accounts: () => Object.fromEntries(lanes.map(({ name, account, store }) => [name, account.view(store.events)])),
  };
}
