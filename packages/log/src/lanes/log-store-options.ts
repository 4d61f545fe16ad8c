import type { Clock } from "@waybill/core";
import type { Log } from "../types.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { DurableState } from "./durable-state.ts";
import type { EventOrder, OrderOf } from "./event-order.ts";
import type { Fates } from "./fates.ts";
import type { LaneStateValue } from "./lane-value.ts";
import type { ReadMemory } from "./read-ahead.ts";

export interface LogStoreOptions {
  /** Of its batches, before the id of its state. */
  readonly name: string;
  readonly log: Log;
  /**
   * Where another process may take the lane over (`isOurs`) a batch leaves only after its plan was
   * written, as with `durableLease`; once the lane is lost nothing is leased, sent or settled.
   */
  readonly state: DurableState<LaneStateValue>;
  readonly deadLetters: DeadLetters;
  readonly clock: Pick<Clock, "monotonic">;
  /**
   * Opened with {@link fateTailOf} the state. Absent where the fate of single events is not needed.
   */
  readonly fates?: Fates;
  /** Shared by all lanes of a process. Default: one of its own. */
  readonly memory?: ReadMemory;
  /** Called when the state could not be written; delivery goes on. */
  readonly onStateError?: (error: unknown) => void;
  /**
   * Called with the number of events that retention took from the lane, when it did or at the next
   * start. Must not throw.
   */
  readonly onExpired?: (events: number) => void;
  /**
   * Called for each event that becomes a dead letter, once it is kept. Must not throw.
   */
  readonly onRejected?: (reason: string) => void;
  readonly delivery?: Partial<LogStoreDelivery>;
}

/** How a lane's events leave; a reload may change it. */
export interface LogStoreDelivery {
  /**
   * Whether a batch is written down durably before it is sent: for a destination that recognises a
   * duplicate by the key of its batch. One that knows it by the ids of the events does not need the
   * sync; a power cut may then change how the last second's events are batched.
   */
  readonly durableLease: boolean;
  /** `arrival`: one strand. `user`: by the order hash. `none`: each record on its own. */
  readonly order: EventOrder;
  /** Whose events they are; needed for the order of users. Must be the same in every version. */
  readonly orderOf: OrderOf | undefined;
  /** How many batches may be on their way. */
  readonly maxInFlight: () => number;
  /** How long a parked event may have failed while others passed before it is given up. */
  readonly giveUpAfterMs: number;
}

export const DELIVERY: LogStoreDelivery = {
  durableLease: false,
  order: "arrival",
  orderOf: undefined,
  maxInFlight: () => 1,
  giveUpAfterMs: Number.POSITIVE_INFINITY,
};
