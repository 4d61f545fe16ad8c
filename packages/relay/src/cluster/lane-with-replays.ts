/**
 * A lane's state together with those of the replays that its owner runs. They are one commit: so a
 * replay is fenced as its lane is, and whoever gets the lane goes on with it where it was.
 */
import { type DurableState, isCount, isDropped, isObject, type LaneStateValue, parseLaneState } from "@waybill/log";
import type { StoredReplay } from "../delivery/stored-replay.ts";
import type { PartLedger } from "./asked-replays.ts";

/** How far a replay is in a partition: what of its state was not known when it was asked for. */
export type ReplayProgress = PartLedger &
  Pick<StoredReplay, "id" | "cursor" | "leased" | "leasedTo" | "marks" | "done">;

export type LaneWithReplaysValue = LaneStateValue & { readonly replays?: readonly ReplayProgress[] };

/** `undefined` for anything that no lane has written. */
export function parseLaneWithReplays(value: unknown): LaneWithReplaysValue | undefined {
  const lane: LaneWithReplaysValue | undefined = parseLaneState(value);
  const replays: unknown = lane?.replays ?? [];
  return Array.isArray(replays) && replays.every(isProgress) ? lane : undefined;
}

function isProgress(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { id, done, dropped, total, cursor, leased, leasedTo = 0, marks = 0, delivered, rejected, expired } = value;
  const isNamed = typeof id === "string" && typeof done === "boolean" && isDropped(dropped);
  return isNamed && [total, cursor, leased, leasedTo, marks, delivered, rejected, expired].every(isCount);
}

export class LaneWithReplays {
  /** The lane's own. */
  readonly lane: DurableState<LaneStateValue>;
  readonly #state: DurableState<LaneWithReplaysValue>;
  readonly #replays = new Map<string, ReplayProgress>();
  /** Ids of those that are done as of an acknowledged commit. */
  readonly #final = new Set<string>();
  /** As it was written last. */
  #lane: LaneStateValue;
  /** What was made last, so that what fits is written as it was encoded. */
  #made: { readonly lane: LaneStateValue; readonly whole: LaneWithReplaysValue } | undefined;

  constructor(state: DurableState<LaneWithReplaysValue>) {
    const { replays = [], ...initial } = state.initial;
    for (const progress of replays) this.#replays.set(progress.id, progress);
    this.#finish(replays);
    this.#state = state;
    this.#lane = initial;
    this.lane = {
      initial,
      fits: (value) => state.fits(this.#with(value)),
      write: (value) => {
        this.#lane = value;
        return this.confirm();
      },
      sync: () => state.sync(),
      close: () => state.close(),
      ...(state.isOurs === undefined ? {} : { isOurs: state.isOurs }),
    };
  }

  get isOurs(): boolean {
    return this.#state.isOurs?.() !== false;
  }

  get replays(): readonly ReplayProgress[] {
    return [...this.#replays.values()];
  }

  progressOf(id: string): ReplayProgress | undefined {
    return this.#replays.get(id);
  }

  /** Whether it is done for whoever reads the state: its ledger is the same for ever. */
  isFinal(id: string): boolean {
    return this.#final.has(id);
  }

  /** Writes what there is: an acknowledgement shows whose the lane is. **Errors**: of a write. */
  async confirm(): Promise<void> {
    const { replays } = this;
    await this.#state.write(this.#with(this.#lane));
    this.#finish(replays);
  }

  #finish(written: readonly ReplayProgress[]): void {
    for (const { id, done } of written) if (done && this.#replays.has(id)) this.#final.add(id);
  }

  /** Goes with the next write. */
  drop(id: string): void {
    this.#final.delete(id);
    if (this.#replays.delete(id)) this.#made = undefined;
  }

  /** The state of a replay, until it is dropped. */
  replay(initial: StoredReplay): DurableState<StoredReplay> {
    this.#note(initial);
    return {
      initial,
      fits: () => true,
      write: async (value) => {
        if (!this.#replays.has(value.id)) return;
        this.#note(value);
        await this.confirm();
      },
      sync: () => this.#state.sync(),
      close: () => Promise.resolve(),
      isOurs: () => this.isOurs,
    };
  }

  #note({ id, total, cursor, leased, leasedTo, marks, ...ledger }: StoredReplay): void {
    const { delivered, rejected, expired, dropped = {}, done } = ledger;
    const planned = leased === 0 || leasedTo === undefined ? {} : { leasedTo };
    const chosen = marks === undefined ? {} : { marks };
    this.#replays.set(id, {
      id,
      total,
      cursor,
      leased,
      ...planned,
      ...chosen,
      delivered,
      rejected,
      expired,
      dropped,
      done,
    });
    this.#made = undefined;
  }

  #with(lane: LaneStateValue): LaneWithReplaysValue {
    if (this.#replays.size === 0) return lane;
    if (this.#made?.lane !== lane) this.#made = { lane, whole: { ...lane, replays: this.replays } };
    return this.#made.whole;
  }
}
