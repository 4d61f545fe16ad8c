import type { LogBatch } from "../batch.ts";
import type { Log, Position } from "../types.ts";
import type { EventOrder, OrderOf } from "./event-order.ts";
import type { LaneStateValue } from "./lane-value.ts";
import type { ReadMemory } from "./read-ahead.ts";
import type { Strand } from "./strands.ts";

export interface BacklogOptions {
  readonly log: Log;
  readonly memory: ReadMemory;
  readonly state: LaneStateValue;
  readonly order: EventOrder;
  readonly orderOf: () => OrderOf | undefined;
  /** Monotonic. */
  readonly now: () => number;
  /** Whether an event is known to be settled, whatever its strand says. */
  readonly isSettled: (position: Position) => boolean;
  /** An event that was read again is not settled. */
  readonly onUnsettled: (position: Position) => void;
  /** Called after each read. */
  readonly onRead: () => void;
}

/** Positions without a record: removed by retention, or damaged. */
export interface Gap {
  readonly from: Position;
  readonly to: Position;
  readonly expired: number;
  readonly damaged: number;
  /** The ledger has them already. */
  readonly counted: boolean;
}

export interface Chosen {
  readonly strand: Strand;
  readonly count: number;
  /** Reading on would not make it a better batch. */
  readonly isFull: boolean;
}

/** How a batch fared, for {@link Backlog.maySplit}. */
export interface RoundTrip {
  readonly batch: LogBatch;
  /** That it could have had. */
  readonly maxEvents: number;
  readonly tookMs: number;
  readonly maxInFlight: number;
}
