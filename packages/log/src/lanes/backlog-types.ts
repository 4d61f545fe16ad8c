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
  /** An event was settled before a crash that the state does not know of. */
  readonly onUnsettled: (position: Position) => void;
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
