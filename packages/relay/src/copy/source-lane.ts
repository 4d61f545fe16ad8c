/** A destination's lane as it is where its log is copied from: read, never written. */
import type { AccountView, Clock } from "@waybill/core";
import {
  DeadLetters,
  type DurableState,
  type Fate,
  Fates,
  fatesOf,
  type LaneRuntime,
  type LaneStateValue,
  type Log,
  LogStore,
  type Position,
  plannedIn,
} from "@waybill/log";
import { orderHashesOf } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";

export interface SourceLaneOptions {
  readonly config: DestinationConfig;
  readonly log: Log;
  readonly state: LaneStateValue;
  /** Has `dead` and `fates`, or names them. */
  readonly directory: string;
  /** Opens the lane's own logs. */
  readonly own: LaneRuntime;
  readonly clock: Clock;
}

export type CopiedFate = Fate | { readonly status: "pending" };

export class SourceLane {
  readonly name: string;
  readonly deadLetters: DeadLetters;
  /**
   * Events of batches that may have been sent, and were not taken as far as is known: their last
   * attempt failed, with an answer such as 503 too, or was cut off.
   */
  readonly planned: number;
  readonly #store: LogStore;

  private constructor(name: string, planned: number, parts: { deadLetters: DeadLetters; store: LogStore }) {
    this.name = name;
    this.planned = planned;
    this.deadLetters = parts.deadLetters;
    this.#store = parts.store;
  }

  /** **Errors**: those of the logs. */
  static async open({ config, log, state, directory, own, clock }: SourceLaneOptions): Promise<SourceLane> {
    const { name, order, giveUpAfterMs } = config;
    const deadLetters = await DeadLetters.open(`${directory}/dead/${name}`, log.head, own, state.dead);
    const fates = await Fates.open({ directory: `${directory}/fates/${name}`, runtime: own, ...fatesOf(state, log) });
    const delivery = { order, giveUpAfterMs, orderOf: orderHashesOf };
    const store = new LogStore({ name, log, state: unwritten(state), deadLetters, fates, clock, delivery });
    return new SourceLane(name, plannedIn(state), { deadLetters, store });
  }

  get account(): AccountView {
    return this.#store.account();
  }

  /** The first event without an outcome. */
  get neededFrom(): Position {
    return this.#store.neededFrom;
  }

  fateAt(position: Position): Promise<CopiedFate> {
    return this.#store.fateAt(position);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

function unwritten(initial: LaneStateValue): DurableState<LaneStateValue> {
  const nothing = (): Promise<void> => Promise.resolve();
  return { initial, fits: () => true, write: nothing, sync: nothing, close: nothing };
}
